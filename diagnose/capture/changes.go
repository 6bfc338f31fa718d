package capture

import (
	"time"

	"github.com/ntdiag/ntdiag/diagnose/host"
)

// Part is a part of the state that is read as one.
type Part uint8

const (
	PartAll     Part = iota // everything, at the beginning
	PartNft                 // the tables of nf_tables
	PartXt                  // iptables-legacy and ipsets, which tell of no change: they are read every so often
	PartRouting             // links, addresses, routes, policy rules
)

// Changed is the state of one part, read anew because something told that it
// may be another now, or because it was time to.
type Changed struct {
	Part Part
	// Before and After differ in this part at most. Before is nil at the
	// beginning.
	Before, After *host.Snapshot
	// At is when the first word of it came, or when it was read.
	At time.Time
	// Since is when the part was read before.
	Since time.Time
	// Transactions are those of nf_tables since then, oldest first; Unheard is
	// how many more there were of which no word came.
	Transactions []Transaction
	Unheard      int
	// Overrun: the kernel had more to tell than the socket's buffer held.
	Overrun bool
	// Failed is what could not be read: After is Before then. It is told once,
	// and reading is tried again.
	Failed []host.Missing
	// Lacked is what of the part is not in Before, because it could not be read
	// then: the two cannot be compared.
	Lacked []host.Missing
}

// Transaction is one batch of changes of nf_tables, as the kernel closes it
// with NFT_MSG_NEWGEN.
type Transaction struct {
	At         time.Time
	Generation uint32
	PID        uint32 // of the thread, in the initial pid namespace
	Program    string // its comm
	// Parent and Command are the parent's comm and the command line, when /proc
	// still had the process under that number with that comm.
	Parent, Command string
	// Touched is what the transaction's messages named; Partial: not all of
	// them came.
	Touched map[Touch]struct{}
	Partial bool
}

// Touch is one thing that a transaction added, changed or deleted. Handle is
// that of a rule; a rule's chain is named by a Touch of kind TouchRules.
type Touch struct {
	Kind   TouchKind
	Family string
	Table  string
	Name   string // chain of a rule; chain, set, object or flowtable
	Handle uint64
}

// TouchKind is what kind of thing it is.
type TouchKind uint8

const (
	TouchTable TouchKind = iota
	TouchChain
	TouchRule
	TouchRules // some rule of the chain
	TouchSet   // the set or its elements
	TouchObject
	TouchFlowtable
)

// maxTouched bounds what is kept of one transaction.
const maxTouched = 500000
