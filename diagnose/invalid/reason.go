package invalid

import "github.com/ntdiag/ntdiag/diagnose/host"

// Reason is one reason that the kernel logs, over all kernels that print it:
// the wording differs, what it means does not.
type Reason struct {
	// Name is short and stays: "seq-over", "bad-checksum", "invalid-new". It is
	// one of a kind within Proto.
	Name string
	Kind Kind
	// Proto is the protocol it is of, 0 for several.
	Proto uint8
	Forms []Form
	// Moves are the counters that the packet moves.
	Moves []Move
	// Accepted: the packet goes on as if nothing was; it has its entry and its
	// NAT. AcceptedSince is the first kernel that does so, zero for all.
	Accepted      bool
	AcceptedSince host.Release
	// Again: a second line about a packet that another line has told of.
	Again bool
	Cause string // why it comes about
	// Check is what to look at first, in words that follow "check"; "" where there
	// is nothing to find.
	Check string
	// Fix is a command that can be pasted, or a sentence; "" where nothing need be
	// done. Cost is what it takes, "" for nothing.
	Fix, Cost string
	// Function is the kernel function that prints it.
	Function string
}

// Form is one wording.
type Form struct {
	// Text is the kernel's format string, from the prefix on, without blanks and
	// newlines at its end; %-verbs as there.
	Text string
	// Args are what the verbs are, 0 for one that is not kept.
	Args []Arg
	// Since and Before are the kernels that print it, Before excluded; zero for
	// without an end.
	Since, Before host.Release
}

// Move is a counter that a packet moves on kernels from Since on, until Before.
type Move struct {
	Counter       string // as counters.Table has it
	Since, Before host.Release
}

// Moved are the names of the counters that a packet logged for r moves on
// kernel k: of an unknown kernel, those of the newest.
func (r *Reason) Moved(k host.Release) []string {
	var out []string
	for _, m := range r.Moves {
		if k.In(m.Since, m.Before) {
			out = append(out, m.Counter)
		}
	}
	return out
}

// Accepts tells whether kernel k lets the packet through with its entry and its
// NAT.
func (r *Reason) Accepts(k host.Release) bool {
	return r.Accepted && k.In(r.AcceptedSince, host.Release{})
}

// Silent is a way in which a packet moves a counter and nothing is ever
// printed.
type Silent struct {
	Counter       string // as counters.Table has it; the first that it moves
	Also          string // a second one that moves with it, or ""
	Proto         uint8  // 0 for any
	Since, Before host.Release
	What          string // the packet: "an answer to a ping that was never asked"
	Cause         string
	Fix           string
	Function      string
	// Setting is one that it takes to be Value, "" for none.
	Setting, Value string
}
