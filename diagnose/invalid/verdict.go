package invalid

import (
	"cmp"
	"slices"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

// Case is all that is known of what a log tells.
type Case struct {
	Groups []*Group
	Kernel host.Release
	// Host is the namespace that the packets are of, nil where they are of
	// another one or of nobody knows which: then nothing below is known.
	Host     *host.Snapshot
	Found    map[*Flow]*Found
	Table    TableState
	Accounts []Account
}

// Diagnosis is what follows from a Case.
type Diagnosis struct {
	// Invalid are the packets that conntrack takes for invalid, by their
	// messages; Accepted those that it lets through all the same; Unknown those of
	// which it is not known, since no kernel known prints the message.
	Invalid, Accepted, Unknown uint64
	// Told: a message tells of a packet that was invalid or dropped, or may have
	// been. Those that were accepted are none, nor are second lines.
	Told bool
	// Unlogged is what only counters tell of.
	Unlogged Unlogged
	// Fates are what becomes of the invalid ones, the worst first; Unseen is how
	// many packets were not taken through the rules.
	Fates  []FateSum
	Unseen uint64
	// Drop would end what does harm; nil where nothing does.
	Drop *Fix
	// Of is what becomes of each flow that was taken through them.
	Of map[*Flow]*Consequence
	// Causes are those that something speaks for, the most packets first;
	// Unclear is how many packets none of them explains.
	Causes  []Cause
	Unclear uint64
}

// FateSum is the packets that end alike.
type FateSum struct {
	Consequence
	Packets uint64
	Flows   []*Flow
}

// Cause is why packets are invalid, with what speaks for it.
type Cause struct {
	Name string
	// Text says it in a sentence; Likely that something else could be behind it.
	Text     string
	Likely   bool
	Evidence []string
	Fixes    []Fix
	Packets  uint64
	// Reasons are the names of those whose packets it explains.
	Reasons []string
}

// Fix is what to do: a command that can be pasted, or a sentence, and what it
// takes.
type Fix struct {
	Do   string
	Cost string
}

// maxWalked is how many flows are taken through the rules.
const maxWalked = 128

// Diagnose says what becomes of the packets, and why they are invalid.
func Diagnose(c *Case) *Diagnosis {
	d := &Diagnosis{Of: map[*Flow]*Consequence{}, Unlogged: unlogged(c.Accounts)}
	for _, g := range c.Groups {
		again := g.Reason != nil && g.Reason.Again
		d.Told = d.Told || !again && !g.Accepted(c.Kernel)
		switch {
		case g.Kind != KindInvalid || again:
		case g.Reason == nil:
			d.Unknown += g.Count
		case g.Accepted(c.Kernel):
			d.Accepted += g.Count
		default:
			d.Invalid += g.Count
		}
	}
	d.fates(c)
	d.causes(c)
	return d
}

// Top are the flows of the groups that pick chooses, the most packets first.
func Top(groups []*Group, n int, pick func(*Group) bool) []*Flow {
	var all []*Flow
	for _, g := range groups {
		if pick(g) {
			all = append(all, g.Flows()...)
		}
	}
	slices.SortStableFunc(all, func(a, b *Flow) int { return cmp.Compare(b.Count, a.Count) })
	return all[:min(n, len(all))]
}

// fates takes the flows with the most packets through the rules.
func (d *Diagnosis) fates(c *Case) {
	d.Unseen = d.Invalid
	if c.Host == nil || c.Host.RulesUnread() {
		return
	}
	w := NewWays(c.Host)
	bad := func(g *Group) bool {
		return g.Kind == KindInvalid && g.Reason != nil && !g.Reason.Again && !g.Accepted(c.Kernel)
	}
	for _, f := range Top(c.Groups, maxWalked, bad) {
		got := w.Consequence(f, c.Found[f].One())
		d.Of[f] = &got
		d.Unseen -= min(d.Unseen, f.Count)
		d.add(f, &got)
	}
	slices.SortStableFunc(d.Fates, func(a, b FateSum) int {
		return cmp.Or(cmp.Compare(rank(a.Fate), rank(b.Fate)), cmp.Compare(b.Packets, a.Packets))
	})
	d.drop(c.Host)
}

func (d *Diagnosis) add(f *Flow, c *Consequence) {
	for i := range d.Fates {
		if s := &d.Fates[i]; s.like(c) {
			s.Packets += f.Count
			s.Flows = append(s.Flows, f)
			s.Certain = s.Certain && c.Certain
			return
		}
	}
	d.Fates = append(d.Fates, FateSum{*c, f.Count, []*Flow{f}})
}

// like tells whether two end alike: the same rule, device, and sort of NAT that
// is missed.
func (c *Consequence) like(o *Consequence) bool {
	if c.Fate != o.Fate || c.By != o.By || c.Chain != o.Chain || c.Why != o.Why || c.Out != o.Out || c.Rule != o.Rule {
		return false
	}
	return slices.Equal(manips(c.Missed), manips(o.Missed))
}

func manips(all []host.Rewrite) (out []rules.Manip) {
	for _, r := range all {
		out = append(out, r.Manip)
	}
	return out
}

// rank is how bad a fate is.
func rank(f Fate) int {
	return slices.Index([]Fate{FateLeaks, FateAnswered, FateUnknown, FateForwarded, FateDelivered, FateDropped, FateAccepted}, f)
}

// Harm is the worst of the fates, FateDropped when all are: nothing comes of
// the packets.
func (d *Diagnosis) Harm() Fate {
	if len(d.Fates) == 0 {
		return FateUnknown
	}
	return d.Fates[0].Fate
}
