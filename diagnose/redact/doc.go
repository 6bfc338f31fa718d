// Package redact hides the addresses and names of a snapshot, and keeps what
// rules say of it: the redacted snapshot gets the same verdicts.
//
// Addresses go through a keyed permutation that preserves prefixes: two
// addresses that share their first n bits share n bits afterwards. Each class
// (private blocks, CGNAT, loopback, link-local, multicast, documentation,
// public) stays itself. Where rules look at more of an address than its
// prefixes, Constraints says which bits have to stay. Names become tokens, but
// for the words that everybody has; a program's names keep what the program is
// recognised by.
//
// What that does not hide:
//
//   - which addresses are near each other, how many there are, how large the
//     networks are, and which names are the same;
//   - who knows that one address became another knows the first n bits of all
//     that share n bits with it: an address that is known anyway, as that of a
//     public resolver, gives its neighbours' prefixes away;
//   - an address keeps as many bits as it shares with the nearest special block
//     (8.8.8.8 begins with 8 or 9, for 10.0.0.0/8 is near), and its class;
//   - what Mapper.Kept lists;
//   - ports, protocols, handles, marks, times, counters, lengths, ids.
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
