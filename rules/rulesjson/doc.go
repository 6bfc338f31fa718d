// Package rulesjson is a ruleset of package rules as JSON and back, without
// loss.
//
// A document is {"ruleset":1, "generation", "order":"little", "ipsets":[…],
// "tables":[…]}; "ruleset" is Version. What package jsonform says of structs
// holds of everything in it: the fields are those of the Go types, in lower
// case with underscores, and what is zero is left out.
//
//	{"ruleset":1,"generation":7,"order":"little","tables":[
//	 {"backend":"nft","family":"ip","name":"nat","handle":1,
//	  "sets":[{"name":"m","key_len":2,"elements":[{"key":"0050","data":"1f90"}]}],
//	  "chains":[{"name":"pre","handle":1,"base":{"type":"nat","hook":"prerouting","priority":-100,"policy":"accept"},
//	   "rules":[{"handle":4,"position":1,
//	     "raw":[{"name":"payload","data":"08000100…"},…],
//	     "statements":[{"type":"match","span":[0,1],"left":{"type":"payload","base":"transport","off":2,"len":2},"op":"==","right":"0050"},…]}]}]}]}
//
// Expressions and statements are the tables of types.go. Numbers that the
// kernel or this program gives a name to are strings (enums.go). Chains, sets
// and ipsets are referred to by name, within their table; by their place in
// its list where the name is another's too. An expression that several places
// of a rule have in common, as a register is read more than once, is written at
// the first with an "id", and at the others as {"type":"same","id":1}: it is
// one expression again. What follows from the rest is not
// written and is there again after reading: indexes, back pointers, the
// members of lists of ipsets. Ruleset.DeviceName is the caller's.
//
// A program that reads a later document of the same version takes a statement
// that it does not know, or of which it does not know a field, for a
// *rules.Opaque that can do anything; other fields that it does not know it
// passes over. Whatever an older program must not pass over makes a new
// version, which it refuses.
package rulesjson
