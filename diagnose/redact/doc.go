// Package redact hides the addresses and names of a snapshot, and keeps what
// rules say of it: the redacted snapshot gets the same verdicts.
//
// Addresses go through a keyed permutation that preserves prefixes: two
// addresses that share their first n bits share n bits afterwards. Each class
// (private blocks, CGNAT, loopback, link-local, multicast, documentation,
// public) stays itself. Where rules look at more of an address than its
// prefixes, Constraints says which bits have to stay.
package redact

// Key is what a redaction hangs on: who has it can undo it.
type Key [32]byte

// Kind is what a name is of.
type Kind uint8

const (
	Device    Kind = iota // a network device
	Hostname              // a machine
	Namespace             // a network namespace, by name or path
	Table                 // an nf_tables table
	Chain                 // a chain of either backend
	SetName               // a set, a map, an ipset, a list of xt_recent
	Object                // a named object, a flowtable, an account of xt_nfacct
	Comment               // of a rule, set, element, …
	LogPrefix
	Helper
	Secctx // a security context, a secmark
	Cgroup // a path of cgroups
	Path   // of a file
	Program
	Word // anything else
)
