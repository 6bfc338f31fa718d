// Package collect reads network namespaces whole and writes them into a bundle:
// everything is read once, but for flows and counters, which are read twice. It
// asks a capture.Whole, of a running kernel or one that redacts, and never
// makes a table or loads a module by that.
package collect
