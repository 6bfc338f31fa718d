// Package stale tells which live flows no longer are what the rules make of
// them: a flow is stale when a new packet with its original tuple would get
// another rewrite than the entry holds.
package stale

import (
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/simulate"
	"github.com/ntdiag/ntdiag/rules"
)

// Fate is what became of a flow. The zero Fate is Undecided.
type Fate uint8

const (
	// Undecided: Verdict.Why says what keeps it open.
	Undecided Fate = iota
	// Fresh: what the entry holds is among what a new packet may get.
	Fresh
	// Stale: it is not.
	Stale
)

var fateNames = [...]string{Undecided: "undecided", Fresh: "fresh", Stale: "stale"}

func (f Fate) String() string { return fateNames[f] }

// Class is in which way a flow is stale.
type Class string

const (
	RuleGone        Class = "rule-gone"         // it is rewritten, and would not be
	TargetChanged   Class = "target-changed"    // it would be rewritten to something else
	RuleAdded       Class = "rule-added"        // it is not rewritten, and would be
	SNATAddressGone Class = "snat-address-gone" // neither this host nor a rule has its SNAT address any more
	RouteChanged    Class = "route-changed"     // it would leave by another device, and so get another address
	NotYetNAT       Class = "not-yet-nat"       // it was confirmed before NAT was set up
)

// Classes lists them.
func Classes() []Class {
	return []Class{RuleGone, TargetChanged, RuleAdded, SNATAddressGone, RouteChanged, NotYetNAT}
}

// Confidence is how sure that is.
type Confidence string

const (
	// Certain: nothing that is not known, and nothing that was assumed, could
	// make a new packet get what the entry holds.
	Certain Confidence = "certain"
	Likely  Confidence = "likely"
)

// Change is what changed for a flow: flows with the same one belong together.
type Change struct {
	Class      Class
	Confidence Confidence
	Proto      uint8
	Manip      rules.Manip
	// To is what the end still is rewritten to; for an end that is not, what it
	// was sent to. Of a source the address alone.
	To host.Endpoint
	// Rule is the one that would rewrite the end now, nil for none; Map the map
	// it takes the target from, nil when it names it itself.
	Rule *rules.Rule
	Map  *rules.Set
}

// Risk is a trap of deleting a flow.
type Risk string

const (
	// RiskTCPLoose: TCP is picked up in the middle (nf_conntrack_tcp_loose, on
	// where nobody has turned it off), with the next packet of either end. That
	// of the near end, which began the connection, meets the nat chains as a
	// SYN would: it gets what Now says, goes on where that is what it had, and
	// is reset where it is not, as nobody there knows of the connection. For the
	// far end see RiskReversed.
	RiskTCPLoose Risk = "tcp_loose"
	// RiskReversed: should the far end send next, its packet makes an entry the
	// other way round. A flow that was not rewritten goes on by that past the
	// rules, both ways, for as long as it lasts. Of one that was, the packet
	// comes to an end that has no such socket, this host or the near end, which
	// refuses it: that resets a TCP connection, and loses a UDP packet.
	RiskReversed Risk = "reversed"
	// RiskInvalid: without nf_conntrack_tcp_loose the packets of a connection
	// that was not rewritten are invalid, and go on as they were, past the
	// rules, unless one drops what is invalid.
	RiskInvalid Risk = "invalid"
	// RiskOffload: a flowtable forwards its packets past the hooks, whatever
	// the table holds.
	RiskOffload Risk = "offload"
	// RiskWorks: an established connection that both sides use breaks.
	RiskWorks Risk = "works"
	// RiskMaster: flows that a helper expects of it lose their master.
	RiskMaster Risk = "master"
)

// Verdict is the answer for one flow.
type Verdict struct {
	Flow host.Flow
	Fate Fate
	// Why is one sentence: for a stale flow what it is and what it would be,
	// for an undecided one what keeps it open; "" for a fresh one.
	Why string

	// What follows is of stale flows only.
	Change
	// Was are its rewrites by manip, nil where the end is not rewritten.
	Was [2]*host.Rewrite
	// Now are what a new packet would get, by manip, on its likeliest way; nil
	// for none. Others are what it would get on further ways, where chance
	// chooses: each pair that differs from Now in some end.
	Now    [2]*simulate.NAT
	Others [][2]*simulate.NAT
	// In and Out are the devices of that way.
	In, Out string
	// Assumed and Unknown are what the answer rests on; with Unknown, or an
	// assumption that could make it another, it is Likely.
	Assumed, Unknown []string
	Risks            []Risk
}
