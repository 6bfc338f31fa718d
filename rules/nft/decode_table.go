package nft

import (
	"maps"
	"slices"
)

// decodeFunc decodes one expression from its attributes: it either emits one
// statement, or loads one register, or returns why it cannot and has done
// neither.
type decodeFunc func(*decoder, *attrs) error

// exprRow is one expression: how it is decoded, and what it may do to a rule
// where it is not understood.
type exprRow struct {
	decode decodeFunc
	// last is the highest attribute that is understood: one above it means
	// that a newer kernel says something more.
	last int
	// writes: it can load a register. ends: it can give a verdict. nats: it
	// can set up NAT.
	writes, ends, nats bool
}

// exprs is every expression that is known, by the name of its nft_expr_type.
var exprs = map[string]exprRow{
	// loads and statements on the packet
	"meta":    {decode: decodeMeta, last: 3, writes: true},
	"payload": {decode: decodePayload, last: 8, writes: true},
	"exthdr":  {decode: decodeExthdr, last: 7, writes: true},
	"ct":      {decode: decodeCt, last: 4, writes: true},
	"fib":     {decode: decodeFib, last: 3, writes: true},
	"rt":      {decode: decodeRt, last: 2, writes: true},
	"socket":  {decode: decodeSocket, last: 3, writes: true},
	"numgen":  {decode: decodeNumgen, last: 4, writes: true},
	"hash":    {decode: decodeHash, last: 7, writes: true},
	"osf":     {decode: decodeOsf, last: 3, writes: true},
	"xfrm":    {decode: decodeXfrm, last: 4, writes: true},
	"tunnel":  {decode: decodeTunnel, last: 3, writes: true},
	"inner":   {decode: decodeInner, last: 5, writes: true},

	// registers
	"immediate": {decode: decodeImmediate, last: 2, writes: true, ends: true},
	"bitwise":   {decode: decodeBitwise, last: 8, writes: true},
	"byteorder": {decode: decodeByteorder, last: 5, writes: true},

	// conditions
	"cmp":       {decode: decodeCmp, last: 3},
	"range":     {decode: decodeRange, last: 4},
	"lookup":    {decode: decodeLookup, last: 5, writes: true, ends: true},
	"limit":     {decode: decodeLimit, last: 6},
	"quota":     {decode: decodeQuota, last: 4},
	"connlimit": {decode: decodeConnlimit, last: 2},

	// rewriting and verdicts
	"nat":     {decode: decodeNAT, last: 7, ends: true, nats: true},
	"masq":    {decode: decodeMasq, last: 3, ends: true, nats: true},
	"redir":   {decode: decodeRedir, last: 3, ends: true, nats: true},
	"reject":  {decode: decodeReject, last: 2, ends: true},
	"notrack": {decode: decodeNotrack},

	// to another place
	"queue":    {decode: decodeQueue, last: 4, ends: true},
	"synproxy": {decode: decodeSynproxy, last: 3, ends: true},
	"tproxy":   {decode: decodeTProxy, last: 3},
	"dup":      {decode: decodeDup, last: 2},
	"fwd":      {decode: decodeFwd, last: 3, ends: true},

	// the rest
	"counter": {decode: decodeCounter, last: 3},
	"last":    {decode: decodeLast, last: 3},
	"log":     {decode: decodeLog, last: 6},
	"objref":  {decode: decodeObjref, last: 5, ends: true},
	"dynset":  {decode: decodeDynset, last: 10},
	"match":   {decode: decodeCompatMatch, last: 3},
	"target":  {decode: decodeCompatTarget, last: 3, ends: true, nats: true},

	"flow_offload": {decode: decodeFlowOffload, last: 1},
}

// Expressions lists the expressions that are decoded, sorted. Any other is
// opaque.
func Expressions() []string { return slices.Sorted(maps.Keys(exprs)) }
