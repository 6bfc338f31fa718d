// Package checks finds what is wrong, or not as it looks, in a ruleset: rules
// that no packet meets, two chains whose order nobody knows, exemptions that
// do not exempt.
//
// A check is a value with a name, what it looks for, and a function; all.go is
// the list of them. A new one is a new file and a new row. A check says only
// what it knows: where something could not be read, or may be either way, it
// stays silent. What it says is one line about a rule ("shadowed by handle 7")
// or about a chain or the whole, with what to do.
package checks
