package invalid

import (
	"errors"

	"github.com/ntdiag/ntdiag/diagnose/explain"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/query"
	"github.com/ntdiag/ntdiag/diagnose/simulate"
	"github.com/ntdiag/ntdiag/rules"
)

// Fate is what becomes of packets without an entry: no NAT rule is asked for
// them, and they go on as they are.
type Fate string

const (
	// FateAccepted: the message is about a packet that conntrack accepts; it
	// keeps its entry and its NAT.
	FateAccepted Fate = "accepted"
	FateDropped  Fate = "dropped"
	// FateLeaks: it leaves with an address that its flow's NAT would have
	// replaced.
	FateLeaks Fate = "leaks"
	// FateAnswered: it is delivered to this host, where its NAT would have sent
	// it on, and TCP answers with a RST.
	FateAnswered Fate = "answered"
	// FateForwarded: it goes on, and no NAT was missed that is known.
	FateForwarded Fate = "forwarded"
	// FateDelivered: it ends on this host, as it would have with an entry.
	FateDelivered Fate = "delivered"
	FateUnknown   Fate = "unknown"
)

// Consequence is what becomes of the packets of one flow.
type Consequence struct {
	Fate Fate
	// Certain: nothing that is assumed or not known could make it another.
	Certain bool
	// By or Chain drops it, Why says what else does, or why it is not known.
	By    *rules.Rule
	Chain *rules.Chain
	Why   string
	// Out is the device it leaves by, and Source the address it leaves with.
	Out    string
	Source string
	// Missed is what NAT would have made of it, for an entry in Undone, or for a
	// packet that begins a flow in Rules.
	Missed []host.Rewrite
	// Rule is the NAT rule that is missed: the one that made the entry's rewrite,
	// or, without an entry, the one that the first packet of a flow with its ends
	// would meet; nil where there is none, or several can have made it.
	Rule *rules.Rule
	// May are the fates that what is not known leaves possible, when Fate is
	// FateUnknown.
	May []Fate
}

// Ways says what becomes of packets on one host. It is safe for concurrent use.
type Ways struct {
	host *host.Snapshot
	sim  *simulate.Simulator
}

// NewWays prepares a Ways.
func NewWays(s *host.Snapshot) *Ways { return &Ways{host: s, sim: simulate.New(s)} }

// Consequence takes the packets of f, which are invalid, through the hooks; e is
// the entry that they belong to, nil for none.
func (w *Ways) Consequence(f *Flow, e *Entry) Consequence {
	p := f.query()
	p.Invalid = true
	res, err := w.sim.Simulate(p)
	if err != nil {
		why := err.Error()
		if of := (*simulate.PacketError)(nil); errors.As(err, &of) {
			why = of.Why // without the packet, so that others end alike
		}
		return Consequence{Fate: FateUnknown, Why: why}
	}
	missed, rule := w.missed(f, e)
	if rule == nil && len(missed) > 0 {
		rule = madeBy(e.Made)
	}
	var all []Consequence
	for i := range res.Outcomes {
		c := w.consequence(f, &res.Outcomes[i], missed, rule)
		if !has(all, c.Fate) {
			all = append(all, c)
		}
	}
	switch {
	case len(all) == 1 && !res.More:
		c := all[0]
		c.Certain = len(res.Outcomes) == 1 && res.Outcomes[0].Certain
		if !c.Certain && len(res.Otherwise) > 0 && c.Why == "" {
			c.Why = "otherwise " + string(w.consequence(f, &res.Otherwise[0], missed, rule).Fate)
		}
		return c
	case len(all) == 0:
		return Consequence{Fate: FateUnknown, Why: "no way through the rules was found"}
	}
	c := Consequence{Fate: FateUnknown, Why: "it depends on what the message does not tell", Missed: missed, Rule: rule}
	if len(res.Unknown) > 0 {
		c.Why = "it depends on what is not known: " + res.Unknown[0]
	}
	for _, one := range all {
		c.May = append(c.May, one.Fate)
	}
	return c
}

func has(all []Consequence, fate Fate) bool {
	for i := range all {
		if all[i].Fate == fate {
			return true
		}
	}
	return false
}

func (w *Ways) consequence(f *Flow, o *simulate.Outcome, missed []host.Rewrite, rule *rules.Rule) Consequence {
	c := Consequence{By: o.By, Chain: o.Chain, Why: o.Why, Out: o.Out, Missed: missed, Rule: rule}
	switch {
	case o.Verdict == simulate.VerdictDrop || o.Verdict == simulate.VerdictReject:
		c.Fate = FateDropped
	case o.Verdict != simulate.VerdictAccept:
		c.Fate, c.Why = FateUnknown, "it is taken by "+string(o.Verdict)
	case o.Local && sentOn(missed):
		c.Fate = FateAnswered
	case o.Local:
		c.Fate = FateDelivered
	default:
		c.Fate, c.Source = FateForwarded, f.Packet.Src.String()
		if len(missed) > 0 || rule != nil {
			c.Fate = FateLeaks
		}
	}
	return c
}

// madeBy is the rule behind the first rewrite that one rule made.
func madeBy(x *explain.Explanation) *rules.Rule {
	if x == nil {
		return nil
	}
	for i := range x.Rewrites {
		if r := x.Rewrites[i].Rules; len(r) == 1 {
			return r[0]
		}
	}
	return nil
}

// sentOn tells whether NAT would have given the packet another destination.
func sentOn(missed []host.Rewrite) bool {
	for _, r := range missed {
		if r.Manip == rules.ManipDst {
			return true
		}
	}
	return false
}

// missed is the NAT that the packet does without: what its entry would have done
// to it, or, without an entry, what the rules would make of the first packet of
// a flow with its ends.
func (w *Ways) missed(f *Flow, e *Entry) ([]host.Rewrite, *rules.Rule) {
	if e != nil && !e.Quoted {
		return undone(&e.Flow, e.Fit), nil
	}
	p := f.query()
	p.Flags, p.Invalid = query.Opt{}, false
	res, err := w.sim.Outcomes(p)
	if err != nil || len(res.Outcomes) == 0 {
		return nil, nil
	}
	o := &res.Outcomes[0]
	for _, n := range []*simulate.NAT{o.DNAT, o.SNAT} {
		if n == nil || !n.Changes() {
			continue
		}
		r := host.Rewrite{Manip: n.Manip, From: host.Endpoint{Addr: n.From.Lo, Port: n.From.PortLo}}
		if n.To.Lo == n.To.Hi {
			r.To = host.Endpoint{Addr: n.To.Lo, Port: n.To.PortLo}
		}
		return []host.Rewrite{r}, n.Rule
	}
	return nil, nil
}

// undone is what the entry's NAT would have done to a packet that fits it so.
func undone(f *host.Flow, fit Fit) []host.Rewrite {
	var out []host.Rewrite
	for _, r := range f.Rewrites() {
		after := fit.SrcAfter
		if (r.Manip == rules.ManipDst) != fit.Reply {
			after = fit.DstAfter
		}
		if after {
			continue // it was done elsewhere
		}
		if fit.Reply { // a SNAT turns the answer's destination back
			r.From, r.To = r.To, r.From
			r.Manip ^= rules.ManipSrc ^ rules.ManipDst
		}
		out = append(out, r)
	}
	return out
}

// query is the packet in the form that simulate takes.
func (f *Flow) query() query.Packet {
	p := &f.Packet
	q := query.Packet{Text: p.String(), Family: p.Family, Iif: f.In, Oif: f.Out}
	q.Tuple, _ = p.Tuple()
	probe := host.Flow{Original: q.Tuple}
	switch {
	case probe.IsICMP():
		q.IDOpen = p.Has&HasICMPID == 0
	case probe.HasPorts() && p.Has&HasPorts == 0:
		q.SportOpen, q.DportOpen = true, true
	}
	set := func(o *query.Opt, n uint32, is bool) { o.N, o.Set = n, is }
	set(&q.Mark, p.Mark, p.Has&HasMark != 0)
	set(&q.UID, p.UID, p.Has&HasUID != 0)
	set(&q.TTL, uint32(p.TTL), p.Has&HasTTL != 0)
	set(&q.Length, p.Len, p.Has&HasLen != 0)
	set(&q.Flags, uint32(p.TCPFlags), p.Has&HasTCP != 0)
	return q
}
