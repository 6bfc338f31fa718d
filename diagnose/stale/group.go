package stale

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"maps"
	"slices"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/packet"
	"github.com/ntdiag/ntdiag/diagnose/simulate"
	"github.com/ntdiag/ntdiag/rules"
)

// Bounds of a Tally: what lies beyond is counted.
const (
	maxGroups  = 4000
	maxReasons = 100
	maxNow     = 16 // targets of one group
	maxFrom    = 4  // destinations that its flows were sent to
	maxNotes   = 16 // assumptions, and things that are not known
)

// Group is the stale flows of one Change.
type Group struct {
	Change
	Flows int
	// Examples are the first of them, one at least.
	Examples []Verdict
	// Now are the targets that new packets of them would get at the end. Kept:
	// some would be left as they are. Chance: one is chosen for each flow, else
	// it hangs on the flow which one it gets. NowMore: there are others.
	Now     []*simulate.NAT
	Kept    bool
	Chance  bool
	NowMore bool
	// From are what flows whose destination differs were sent to, and Outs the
	// devices that new packets would leave by.
	From     []host.Endpoint
	FromMore bool
	Outs     []string
	Zones    []uint16 // in ascending order
	Risks    map[Risk]int
	// Assumed and Unknown are those of any.
	Assumed, Unknown []string
	// Starts are when the flows began, in ns since the epoch, of those that have
	// a time.
	Starts []int64
}

// Oldest is when the first of those that have a time began; Starts is not empty.
func (g *Group) Oldest() int64 { return slices.Min(g.Starts) }

// Newest is when the last of them began.
func (g *Group) Newest() int64 { return slices.Max(g.Starts) }

// Before is how many of the flows began before t, in ns since the epoch.
func (g *Group) Before(t int64) int {
	n := 0
	for _, s := range g.Starts {
		if s < t {
			n++
		}
	}
	return n
}

// Tally counts verdicts, and puts the stale ones into groups.
type Tally struct {
	Checked, Fresh, Undecided, Certain, Likely int
	// Reasons are why flows are undecided; the rest of them count as "".
	Reasons map[string]int
	// Ungrouped are stale flows of groups beyond the bound.
	Ungrouped int
	groups    map[Change]*Group
	keep      int // verdicts of a group
	room      int // of all groups, beside one each
}

// NewTally keeps at most each verdicts of a group as examples, and all of
// those of all groups.
func NewTally(each, all int) *Tally {
	return &Tally{Reasons: map[string]int{}, groups: map[Change]*Group{}, keep: each, room: all}
}

// Add counts v, which is copied where it is kept.
func (t *Tally) Add(v *Verdict) {
	t.Checked++
	switch {
	case v.Fate == Fresh:
		t.Fresh++
		return
	case v.Fate == Undecided:
		t.Undecided++
		why := v.Why
		if _, ok := t.Reasons[why]; !ok && len(t.Reasons) >= maxReasons {
			why = ""
		}
		t.Reasons[why]++
		return
	case v.Confidence == Certain:
		t.Certain++
	default:
		t.Likely++
	}
	g := t.groups[v.Change]
	switch {
	case g == nil && len(t.groups) == maxGroups:
		t.Ungrouped++
		return
	case g == nil:
		g = &Group{Change: v.Change, Risks: map[Risk]int{}}
		t.groups[v.Change] = g
		g.Examples = append(g.Examples, *v)
	case len(g.Examples) < t.keep && t.room > 0:
		t.room--
		g.Examples = append(g.Examples, *v)
	}
	g.add(v)
}

// Stale is how many were stale.
func (t *Tally) Stale() int { return t.Certain + t.Likely }

func (g *Group) add(v *Verdict) {
	g.Flows++
	g.target(v.Now[v.Manip])
	for _, n := range v.Others {
		g.target(n[v.Manip])
		g.Chance = g.Chance || !sameTarget(n[v.Manip], v.Now[v.Manip])
	}
	if v.Manip == rules.ManipDst {
		from := v.Flow.Ends()[rules.ManipDst].From
		if v.Flow.IsICMP() {
			from.Port = 0
		}
		g.From, g.FromMore = add(g.From, from, maxFrom, g.FromMore)
	}
	if v.Out != "" {
		g.Outs, _ = add(g.Outs, v.Out, maxFrom, false)
	}
	if at, ok := slices.BinarySearch(g.Zones, v.Flow.Zone); !ok {
		g.Zones = slices.Insert(g.Zones, at, v.Flow.Zone)
	}
	for _, r := range v.Risks {
		g.Risks[r]++
	}
	for _, a := range v.Assumed {
		g.Assumed, _ = add(g.Assumed, a, maxNotes, false)
	}
	for _, u := range v.Unknown {
		g.Unknown, _ = add(g.Unknown, u, maxNotes, false)
	}
	if v.Flow.Has&host.HasStart != 0 {
		g.Starts = append(g.Starts, v.Flow.Start)
	}
}

// add puts x into a short list of what there is, unless it is full.
func add[T comparable](list []T, x T, most int, more bool) ([]T, bool) {
	switch {
	case slices.Contains(list, x):
		return list, more
	case len(list) == most:
		return list, true
	}
	return append(list, x), more
}

// target adds n to what new packets get.
func (g *Group) target(n *simulate.NAT) {
	switch {
	case n == nil:
		g.Kept = true
	case slices.ContainsFunc(g.Now, func(o *simulate.NAT) bool { return targetOf(o) == targetOf(n) }):
	case len(g.Now) == maxNow:
		g.NowMore = true
	default:
		g.Now = append(g.Now, n)
	}
}

// targetOf is what of a rewrite is the same for flows that the rule treats
// alike: not a port that it leaves as it is.
func targetOf(n *simulate.NAT) simulate.To {
	to := n.To
	if to.Port == simulate.PortKept || to.Port == simulate.PortStays {
		to.PortLo, to.PortHi, to.HasPort = 0, 0, false
	}
	return to
}

// Groups are all groups, the largest first; of equal ones certain ones first,
// and then in an order that rests on what they are alone.
func (t *Tally) Groups() []*Group {
	return slices.SortedFunc(maps.Values(t.groups), func(a, b *Group) int {
		return cmp.Or(
			-cmp.Compare(a.Flows, b.Flows),
			cmp.Compare(a.Confidence, b.Confidence),
			cmp.Compare(a.Class, b.Class),
			cmp.Compare(a.Proto, b.Proto),
			cmp.Compare(a.Manip, b.Manip),
			a.To.Addr.Compare(b.To.Addr),
			cmp.Compare(a.To.Port, b.To.Port),
			cmp.Compare(ruleKey(a.Rule), ruleKey(b.Rule)),
		)
	})
}

func ruleKey(r *rules.Rule) string {
	if r == nil {
		return ""
	}
	return packet.RuleName(r)
}

// MapLacks tells whether the map that the rule takes the target from surely
// gives no packet what the flows still have.
func (g *Group) MapLacks() bool {
	if g.Map == nil || g.Map.Missing != "" || !g.To.Addr.IsValid() {
		return false
	}
	addr := g.To.Addr.AsSlice()
	// an address, or an address and a port in whole registers
	withPort := len(addr) + 4
	for i := range g.Map.Elements {
		data := g.Map.Elements[i].Data
		switch {
		case len(data) != len(addr) && len(data) != withPort && len(data) != withPort-2:
			return false // a port alone, or an interval
		case !bytes.HasPrefix(data, addr):
		case len(data) == len(addr) || binary.BigEndian.Uint16(data[len(addr):]) == g.To.Port:
			return false
		}
	}
	return true
}
