// Package simulate says what would happen to a packet: every way that it can
// take through the hooks of a host, and how each ends.
package simulate

import (
	"net/netip"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/packet"
	"github.com/ntdiag/ntdiag/diagnose/query"
	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/walk"
)

// Verdict is how a way ends.
type Verdict string

const (
	VerdictAccept Verdict = "accept" // it is sent on, or delivered here
	VerdictDrop   Verdict = "drop"
	VerdictReject Verdict = "reject"
	VerdictQueue  Verdict = "queue" // held by the program behind a queue
	VerdictStolen Verdict = "stolen"
)

// PortRule says how the kernel comes by a port that a rewrite gives
// (get_unique_tuple).
type PortRule string

const (
	PortNone   PortRule = ""                  // the protocol has none
	PortStays  PortRule = "stays"             // a destination port that no rule names
	PortKept   PortRule = "kept unless taken" // a source port that no rule names
	PortFixed  PortRule = "fixed"             // the rule names one
	PortRange  PortRule = "from the range"    // kept when in it and free
	PortRandom PortRule = "random"            // always chosen anew
	PortAny    PortRule = "not known"         // from a lookup whose key is not known
	PortOffset PortRule = "shifted"           // by its distance from a base
)

// To is what a rewrite makes of an address and a port.
type To struct {
	// Lo to Hi is the range of addresses, both one where it is one. Neither is
	// valid where it is not known.
	Lo, Hi netip.Addr
	// PortLo to PortHi is the range of ports; for ICMP the query's id. Not told
	// when HasPort is false.
	PortLo, PortHi uint16
	HasPort        bool
	Port           PortRule
}

// NAT is one rewrite and the rule that sets it up.
type NAT struct {
	Manip rules.Manip
	Kind  string // dnat, snat, masquerade, redirect, netmap
	Rule  *rules.Rule
	From  To
	To    To
	// target is what the rule can do, of several addresses the one of this way.
	target walk.Target
}

// Makes tells whether the rewrite can turn one end into the other: Unknown
// where what the rule does is not known (walk.Target.Makes).
func (n *NAT) Makes(from, to host.Endpoint) rules.Truth { return makes(&n.target, n.Manip, from, to) }

func makes(t *walk.Target, m rules.Manip, from, to host.Endpoint) rules.Truth {
	switch {
	case !t.Makes(m, from.Addr, to.Addr, from.Port, to.Port):
		return rules.No
	case t.AnyAddr || t.AnyPort:
		return rules.Unknown
	}
	return rules.Yes
}

// Aims are what the rules of an Outcome can do to the ends of a packet, by manip;
// nil where none is met.
type Aims [2]*walk.Target

// Aims are those of o: little, where many are kept.
func (o *Outcome) Aims() (a Aims) {
	for m, n := range [2]*NAT{rules.ManipSrc: o.SNAT, rules.ManipDst: o.DNAT} {
		if n != nil {
			t := n.target
			a[m] = &t
		}
	}
	return a
}

// Makes is that of the rule that is met for m. Without one the end stays, but
// for a source port, or the id of an ICMP query, that is taken (the null
// binding).
func (a *Aims) Makes(m rules.Manip, from, to host.Endpoint) rules.Truth {
	if t := a[m]; t != nil {
		return makes(t, m, from, to)
	}
	return kept(m, from, to)
}

func kept(m rules.Manip, from, to host.Endpoint) rules.Truth {
	return rules.TruthOf(from.Addr == to.Addr && (m == rules.ManipSrc || from.Port == to.Port))
}

// Makes is Aims.Makes of the outcome.
func (o *Outcome) Makes(m rules.Manip, from, to host.Endpoint) rules.Truth {
	n := o.SNAT
	if m == rules.ManipDst {
		n = o.DNAT
	}
	if n != nil {
		return n.Makes(from, to)
	}
	return kept(m, from, to)
}

// Changes tells whether the packet surely becomes another; a rule can set up a
// rewrite that leaves it as it is.
func (n *NAT) Changes() bool {
	return n != nil && (n.To.Lo != n.From.Lo || n.To.Hi != n.From.Hi ||
		n.To.Port != PortKept && n.To.Port != PortStays && n.To.Port != PortNone &&
			(n.To.PortLo != n.From.PortLo || n.To.PortHi != n.From.PortHi || !n.To.HasPort))
}

// Outcome is one way, or several that end alike.
type Outcome struct {
	// Certain: it is the only one, and rests on nothing that was assumed and
	// that could make it another.
	Certain bool
	// Probability is that of all its ways together, when Stated: every open
	// point on each of them is a choice whose odds a rule gives.
	Probability float64
	Stated      bool
	// Of what was not known, When says how it was on the likeliest way.
	When       []string
	DNAT, SNAT *NAT
	Verdict    Verdict
	// By and Chain are the rule, or the chain whose policy, that ended it; nil
	// when routing did, or nothing.
	By    *rules.Rule
	Chain *rules.Chain
	// Why says what ended it, or what else there is to it: "no route to …".
	Why string
	// Out is the device by which it leaves, "" when it does not or when that is
	// not known. Local: it is delivered here.
	In, Out string
	Local   bool
	// Untracked: conntrack does not see it, so that nothing rewrites it.
	Untracked bool
	// Invalid: it is so because conntrack takes it for invalid.
	Invalid bool
	// Original are the ends of the entry's original tuple by manip, as conntrack
	// takes the packet in: a rule before it can have written into the packet.
	// Zone is its zone, ZoneKnown false where that is not known.
	Original  [2]To
	Zone      uint16
	ZoneKnown bool
	// Src and Dst are the packet as it leaves or is delivered: of each end what
	// is known.
	Src, Dst To
	// astray: routing refused the packet by where it came in. Had the device
	// been assumed, it did not come by that.
	astray bool
}

// Miss is a rule that could have rewritten the packet, and the first condition
// that failed.
type Miss struct {
	Rule *rules.Rule
	Why  string
}

// Result is the answer for one packet.
type Result struct {
	Packet query.Packet
	// Entry is where it enters: prerouting, or output when this host sends it.
	Entry rules.Hook
	// Outcomes are in the order of their likelihood where that is known, and in
	// that of the rules else.
	Outcomes []Outcome
	// Otherwise are outcomes beside those, had what was assumed been otherwise.
	Otherwise []Outcome
	// More: there are more ways than were gone.
	More bool
	// Used are the assumptions that decided anything on any way, Open what left
	// points of the ways open.
	Used, Open rules.Sources
	// Vague: something about the machine that decides the way is not known.
	Vague bool
	// Assumed and Unknown say what the answer rests on.
	Assumed, Unknown []string
	Not              []Miss
	// Path is every rule and policy that any of the ways looks at, in order.
	Path []packet.Step
}
