package history

import (
	"net/netip"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

// CauseQuery asks what made a flow out of date. Exactly one of Rewrite, Rule,
// Gone and Dst is given.
type CauseQuery struct {
	// Rewrite is one that no present rule makes; Family and Proto are the
	// flow's, Original its tuple.
	Rewrite *host.Rewrite
	// Rule is one that takes the flow now.
	Rule *rules.Rule
	// Gone is an address that the flow is rewritten to and the host no longer
	// has.
	Gone netip.Addr
	// Dst is a destination that is now routed another way.
	Dst netip.Addr

	// Family, Proto and Original are the flow's; Proto 0 is not known.
	Family   rules.Family
	Proto    uint8
	Original rules.Tuple
	// Start is when the flow began; zero when that is not known.
	Start time.Time
	// Now is what times in Event.Limits are told by; zero means the time of
	// asking.
	Now time.Time
}

// Event is a change that answers a CauseQuery, or, without a Change, why there
// is none.
type Event struct {
	Change *Change
	// At is when it happened; with After, between the two.
	At, After time.Time
	By        []Author
	// Sure: what changed is what the query asks about. Else it can be that,
	// and the record does not tell.
	Sure bool
	// Before: the flow began before the change, as far as its start is known.
	Before rules.Truth
	// Limits are what the records leave open: that they begin later, that some
	// are missing.
	Limits []string

	what string // "element 53 : 10.244.1.7 was removed from map ip kube-system kube-dns"
}

// Cause finds the newest change that fits. false: none was recorded; the Event
// then has only its Limits.
func (h *History) Cause(q CauseQuery) (Event, bool) {
	if h.index == nil {
		h.index = newCauseIndex(h)
	}
	var hits []hit
	switch {
	case q.Rewrite != nil:
		hits = h.index.rewrite(&q)
	case q.Rule != nil:
		hits = h.index.rule(q.Rule)
	case q.Gone.IsValid():
		hits = h.index.gone(&q)
	case q.Dst.IsValid():
		hits = h.index.route(q.Dst)
	}
	best := -1
	for i := range hits {
		if best < 0 || better(&hits[i], &hits[best]) {
			best = i
		}
	}
	if best < 0 {
		return Event{Limits: h.limits(&q, time.Time{})}, false
	}
	c := hits[best].change
	e := Event{Change: c, At: c.At, After: c.After, By: c.By, Sure: hits[best].sure && !several(hits), what: hits[best].what()}
	if !q.Start.IsZero() {
		switch {
		case q.Start.After(c.At):
			e.Before = rules.No
		case c.After.IsZero() || q.Start.Before(c.After):
			e.Before = rules.Yes
		}
	}
	e.Limits = h.limits(&q, c.At)
	return e, true
}

// hit is one change that fits.
type hit struct {
	change *Change
	sure   bool
	thing  string // what changed; "" where it does not matter which of several it was
	what   func() string
}

// several tells whether it can have been one thing or another: two rules led to
// the same address, and which of them the flow came by is not known.
func several(hits []hit) bool {
	thing := ""
	for i := range hits {
		switch h := &hits[i]; {
		case !h.sure || h.thing == "" || h.thing == thing:
		case thing == "":
			thing = h.thing
		default:
			return true
		}
	}
	return false
}

// better takes what is sure before what may be, then the newest.
func better(a, b *hit) bool {
	if a.sure != b.sure {
		return a.sure
	}
	return a.change.Seq > b.change.Seq
}

// causeIndex is the changes of the namespace as it is now, by what they can be
// the cause of.
type causeIndex struct {
	changes []*Change
	// byAddr are rules and elements that led to one address and no longer do;
	// wide are those that led to several, or to none that is known.
	// byKey are elements of sets by their one address.
	byAddr, byKey map[netip.Addr][]lost
	wide          []lost
}

// lost is a rule or an element that was removed or replaced.
type lost struct {
	change  *Change
	rule    *RuleChange
	set     *SetChange
	element *ElementChange
	was     *RuleVersion // of a rule
	to      *Range       // of an element
}

func newCauseIndex(h *History) *causeIndex {
	ix := &causeIndex{byAddr: map[netip.Addr][]lost{}, byKey: map[netip.Addr][]lost{}}
	if len(h.Changes) == 0 {
		return ix
	}
	now := h.Changes[len(h.Changes)-1].Netns
	for _, c := range h.Changes {
		if !c.Netns.Same(now) {
			continue
		}
		ix.changes = append(ix.changes, c)
		if c.Rules != nil {
			ix.addRules(c)
		}
	}
	return ix
}

func (ix *causeIndex) addRules(c *Change) {
	for i := range c.Rules.Rules {
		r := &c.Rules.Rules[i]
		was := &r.RuleVersion
		if r.Op == Replaced && r.Was != nil {
			was = r.Was
		}
		if was.NAT != nil && (r.Op == Removed || r.Op == Replaced) {
			ix.addRule(lost{change: c, rule: r, was: was})
		}
	}
	for i := range c.Rules.Sets {
		s := &c.Rules.Sets[i]
		for j := range s.Elements {
			e := &s.Elements[j]
			switch {
			case e.Op == Added:
			case e.Op == Replaced:
				ix.addElement(lost{change: c, set: s, element: e, to: e.WasTo})
			default:
				ix.addElement(lost{change: c, set: s, element: e, to: e.To})
			}
		}
	}
}

func single(r *Range) bool { return r != nil && r.Addr.IsValid() && !r.AddrMax.IsValid() }

func (ix *causeIndex) addElement(l lost) {
	key := l.element.Key
	switch {
	case single(l.to):
		ix.byAddr[l.to.Addr] = append(ix.byAddr[l.to.Addr], l)
	case l.to != nil:
		ix.wide = append(ix.wide, l)
	case l.element.Op != Removed || key == nil || !key.Addr.IsValid():
	case single(key):
		ix.byKey[key.Addr] = append(ix.byKey[key.Addr], l)
	default:
		ix.wide = append(ix.wide, l)
	}
}

func (ix *causeIndex) addRule(l lost) {
	nat := l.was.NAT
	wide := nat.Open || nat.Map != "" || len(nat.To) == 0
	for i := range nat.To {
		to := &nat.To[i]
		if !single(to) {
			wide = true
			continue
		}
		if at := ix.byAddr[to.Addr]; len(at) == 0 || at[len(at)-1].rule != l.rule {
			ix.byAddr[to.Addr] = append(at, l)
		}
	}
	if wide {
		ix.wide = append(ix.wide, l)
	}
}

// rewrite finds what led to the observed address and no longer does.
func (ix *causeIndex) rewrite(q *CauseQuery) (out []hit) {
	seen := map[any]bool{}
	for _, list := range [][]lost{ix.byAddr[q.Rewrite.To.Addr], ix.byKey[q.Original.Src], ix.byKey[q.Original.Dst], ix.wide} {
		for i := range list {
			l := &list[i]
			thing := any(l.rule)
			if l.rule == nil {
				thing = l.element
			}
			fits, sure := l.fits(q)
			if !fits || seen[thing] {
				continue
			}
			seen[thing] = true
			out = append(out, l.hit(sure))
		}
	}
	return out
}

func (l *lost) hit(sure bool) hit {
	h := hit{change: l.change, sure: sure}
	if l.element != nil {
		text := l.element.Text
		if l.element.Op == Replaced {
			text = l.element.Was
		}
		h.thing = l.set.What + "\x00" + placeKey(&l.set.Place) + text
		h.what = func() string { return l.element.sentence(l.set) }
		return h
	}
	h.thing = "rule\x00" + placeKey(&l.rule.Place) + l.was.Text
	h.what = func() string { return l.rule.sentence() }
	return h
}

func placeKey(p *Place) string {
	return string(p.Backend) + "\x00" + p.Family + "\x00" + p.Table + "\x00" + p.Chain + "\x00" + p.Set + "\x00"
}

// fits tells whether l can have made the rewrite that is asked about, and
// whether nothing that is recorded of it leaves that open.
func (l *lost) fits(q *CauseQuery) (fits, sure bool) {
	to := q.Rewrite.To
	if l.element != nil {
		return l.elementFits(q)
	}
	nat := l.was.NAT
	if !familyFits(l.rule.Family, q.Family) || !kindFits(nat.Kind, q.Rewrite.Manip) || l.was.Needs.refuse(q) {
		return false, false
	}
	for i := range nat.To {
		if in, known := nat.To[i].Holds(to); in {
			// a rule that names no port keeps it
			portKept := nat.To[i].Port == nil && to.Port == q.Rewrite.From.Port
			return true, known || portKept && nat.To[i].Addr.IsValid()
		}
	}
	// masquerade and redirect take an address of the host
	return nat.Open && len(nat.To) == 0, false
}

func (l *lost) elementFits(q *CauseQuery) (fits, sure bool) {
	if l.set.Backend != backendIPSet && !familyFits(l.set.Family, q.Family) {
		return false, false
	}
	o := q.Original
	dst, src := host.Endpoint{Addr: o.Dst, Port: o.DstPort}, host.Endpoint{Addr: o.Src, Port: o.SrcPort}
	if l.to != nil {
		in, known := l.to.Holds(q.Rewrite.To)
		portKept := l.to.Port == nil && q.Rewrite.To.Port == q.Rewrite.From.Port
		return in && !l.keyedElse(dst, src), in && (known || portKept)
	}
	// a set that a rule asks: the flow's destination or source was in it
	inDst, _ := l.element.Key.Holds(dst)
	inSrc, _ := l.element.Key.Holds(src)
	return inDst || inSrc, false
}

// keyedElse: the map's key is a port or an address, and the flow has another
// one at either end.
func (l *lost) keyedElse(dst, src host.Endpoint) bool {
	k := l.element.Key
	if k == nil || !dst.Addr.IsValid() {
		return false
	}
	inDst, _ := k.Holds(dst)
	inSrc, _ := k.Holds(src)
	return !inDst && !inSrc
}

func familyFits(name string, f rules.Family) bool {
	return f == rules.FamilyUnspec || name == f.String() || name == rules.FamilyInet.String() || name == rules.FamilyUnspec.String()
}

func kindFits(kind string, m rules.Manip) bool {
	switch kind {
	case rules.SNAT.String(), rules.Masquerade.String():
		return m == rules.ManipSrc
	case rules.DNAT.String(), rules.Redirect.String():
		return m == rules.ManipDst
	}
	return true // netmap
}

// rule finds when a rule came. Handles are counted anew when a table is, so
// that the text has to be the same.
func (ix *causeIndex) rule(r *rules.Rule) (out []hit) {
	if r.Chain == nil || r.Chain.Table == nil {
		return nil
	}
	p := placeOf(r.Chain.Table)
	p.Chain = r.Chain.Name
	for _, c := range ix.changes {
		if c.Rules == nil {
			continue
		}
		for i := range c.Rules.Rules {
			x := &c.Rules.Rules[i]
			if x.Op == Removed || x.Place != p || x.Text != ruleText(r) || x.Comment != r.Comment {
				continue
			}
			out = append(out, hit{change: c, sure: true, what: x.sentence})
		}
	}
	return out
}

// gone finds when an address went: from a device, or from a rule that had it.
func (ix *causeIndex) gone(q *CauseQuery) (out []hit) {
	for _, c := range ix.changes {
		for i := range c.Addrs {
			if a := &c.Addrs[i]; a.Op == Removed && a.Prefix.Addr() == q.Gone {
				out = append(out, hit{change: c, sure: true, what: a.String})
			}
		}
	}
	for _, l := range ix.byAddr[q.Gone] {
		if l.rule != nil && kindFits(l.was.NAT.Kind, rules.ManipSrc) {
			out = append(out, hit{change: l.change, sure: true, what: l.rule.sentence})
		}
	}
	return out
}

// route finds when the way to dst changed: its route, or a policy rule, or a
// device, of which it is not known whether they bear on it.
func (ix *causeIndex) route(dst netip.Addr) (out []hit) {
	for _, c := range ix.changes {
		var best *RouteChange
		for i := range c.Routes {
			if r := &c.Routes[i]; r.Dst.Contains(dst) && (best == nil || r.Dst.Bits() > best.Dst.Bits()) {
				best = r
			}
		}
		if best != nil {
			out = append(out, hit{change: c, sure: best.Table == tableMain, what: best.String})
		}
		for i := range c.Policies {
			out = append(out, hit{change: c, what: c.Policies[i].String})
		}
		for i := range c.Links {
			if l := &c.Links[i]; l.Op != Added {
				out = append(out, hit{change: c, what: l.String})
			}
		}
	}
	return out
}
