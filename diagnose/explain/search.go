package explain

import (
	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/walk"
)

// search finds the rules that can have made the rewrite of st.manip, grades
// them, and leaves in st.after the packet as it goes on.
func (j *job) search(st *stage) {
	j.find(st)
	j.otherOrders(st)
}

func (j *job) find(st *stage) {
	first := j.pass(st, &st.before, 0)
	st.steps, st.used = first.steps, first.res.Used
	st.all, st.fits, st.blocker = first.res.Candidates, first.fits, first.blocker
	st.after = first.res.Packet
	if first.res.Alive.Truth == rules.No {
		st.after = st.before
		rewritten(&st.after, j.f, st.manip)
	}
	rivals, weak := j.rivals(st)
	switch {
	case len(st.fits) == 0 && j.bareClash(st):
		st.grade = GradeNone
		return
	case len(st.fits) == 0 && first.res.Alive.Truth == rules.No && j.pastDrops(st, &first.res):
		for i := range rivals {
			if !holds(st.fits, rivals[i].Rule) {
				st.fits, st.grade = append(st.fits, rivals[i]), GradeAmbiguous
			}
		}
		return
	case len(st.fits) == 0 && st.blocker == nil && j.unchanged(st.manip):
		return // the null binding does that: no other way need be thought of
	case len(st.fits) == 0 && len(rivals)+len(weak) > 0:
		// what was assumed cannot be: nothing present makes this otherwise
		st.fits, st.blocker, st.refuted = append(rivals, weak...), nil, true
		st.grade = GradeInferred
		if len(st.fits) > 1 {
			st.grade = GradeAmbiguous
		}
		st.takeOtherWay()
		return
	case len(st.fits) == 0:
		j.beforeBlocker(st)
		return
	case len(st.fits) == 1:
		j.settle(st)
		st.grade, st.weak = j.gradeOne(&st.fits[0], weak), weak
	default:
		st.grade = GradeAmbiguous
	}
	if len(rivals) > 0 {
		st.fits, st.grade = append(st.fits, rivals...), GradeAmbiguous
	}
	if j.bareClash(st) && !sure(st.fits) {
		st.grade, st.unruled = GradeAmbiguous, true
	}
}

// unchanged tells whether the packet came out as it went in.
func (j *job) unchanged(m rules.Manip) bool { return j.observed[m].From == j.observed[m].To }

// takeOtherWay goes on with the packet as it is after the way on which the
// rule was found; of several ways the marks are not known.
func (st *stage) takeOtherWay() {
	if len(st.ways) == 0 {
		return
	}
	st.after = st.ways[0]
	if len(st.ways) > 1 {
		st.after.Mark = rules.UnknownBytes(4, rules.FromVerdict)
		st.after.Ct.Mark = rules.UnknownBytes(4, rules.FromVerdict)
	}
}

// sure tells whether one of the rules must have been applied.
func sure(cs []walk.Candidate) bool {
	for i := range cs {
		if cs[i].Answer.Truth == rules.Yes {
			return true
		}
	}
	return false
}

// bareClash tells whether only the source port changed, or the id of an ICMP
// query at either rewrite, with nothing in the way of the null binding, which
// does that when the port is taken (nf_nat_alloc_null_binding): no assumption
// need be given up to explain it.
func (j *job) bareClash(st *stage) bool {
	o := j.observed[st.manip]
	return (st.manip == rules.ManipSrc || j.f.IsICMP()) && st.blocker == nil && o.From.Addr == o.To.Addr && o.From.Port != o.To.Port
}

// beforeBlocker looks for the rule that would have made the rewrite had the
// rules that take the packet now not been there yet. Handles grow with time
// inside a table, so that only a rule with a smaller one can be older.
func (j *job) beforeBlocker(st *stage) {
	st.grade = GradeNone
	without := map[*rules.Rule]bool{}
	newest := st.blocker
	for blocker := st.blocker; blocker != nil && len(without) < 16; {
		without[blocker.Rule] = true
		o := j.walkOptions(nil, nil)
		o.Without = without
		res := j.walker.Hook(&st.before, st.hook, o)
		var fits []walk.Candidate
		fits, blocker = j.sift(res.Candidates, st.manip)
		if len(fits) != 1 {
			continue
		}
		for r := range without {
			// legacy rules have no handles: nothing tells which is older
			if r.Chain.Table != fits[0].Rule.Chain.Table || r.Handle <= fits[0].Rule.Handle {
				return
			}
		}
		st.fits, st.blocker, st.shadowed, st.grade = fits, newest, true, GradeInferred
		return
	}
}

// rivals are further rules that can have made the rewrite if an assumption is
// wrong. Those that stand or fall with what nothing tells, the order of two
// tables, the way in from behind a default route, the mark of a local socket,
// count as much as the rule found. That a packet came in or went out by
// another device than routes say, that it came with a mark, or that a named
// set held something else, is less likely: weak.
func (j *job) rivals(st *stage) (strong, weak []walk.Candidate) {
	add := func(to []walk.Candidate, from *passResult, likely bool) []walk.Candidate {
		for i := range from.fits {
			c := &from.fits[i]
			if j.neverHit(c.Rule) || !likely && j.byClash(c, st.manip) && len(st.fits) > 0 && !j.byClash(&st.fits[0], st.manip) {
				continue // never applied; or only by chance, on a way that is not likely, where another does it plainly
			}
			if !holds(st.fits, c.Rule) && !holds(strong, c.Rule) && !holds(weak, c.Rule) && !holds(to, c.Rule) {
				to = append(to, *c)
				st.ways = append(st.ways, from.res.Packet)
			}
		}
		return to
	}
	for i := range j.walker.Orders(st.hook, j.f.Family) {
		strong = add(strong, j.pass(st, &st.before, i+1), true)
	}
	if len(strong) > 0 {
		st.used |= rules.Of(rules.FromChainOrder)
	}
	used := (st.used | addressRests(st)) & droppable
	if used.Has(rules.FromIif) && j.strictArrival() {
		used &^= rules.Of(rules.FromIif)
	}
	likely := devicesOnly
	if j.out.LocalOut {
		likely |= rules.Of(rules.FromMark) // a socket sends with a mark (SO_MARK)
	}
	st.confirmed = used
	if j.ownAddress(st) {
		used &^= rules.Of(rules.FromOif)
	}
	// a default route tells little of where a packet came from
	openArrival := used.Has(rules.FromIif) && st.hook == rules.Prerouting && st.route.Prefix.Bits() == 0
	for _, p := range j.otherDevices(st, used) {
		if openArrival {
			strong = add(strong, j.pass(st, &p, 0), true)
		} else {
			weak = add(weak, j.pass(st, &p, 0), false)
		}
	}
	if len(weak) > 0 {
		st.weakBy = used & devicesOnly
	}
	if rest := used & likely &^ devicesOnly; rest != 0 {
		strong = add(strong, j.openPass(st, rest), true)
	}
	if rest := used &^ likely; rest != 0 {
		n := len(weak)
		if weak = add(weak, j.openPass(st, rest), false); n == 0 && len(weak) > 0 {
			st.weakBy = rest
		}
	}
	return strong, weak
}

// byClash tells whether c can have made the rewrite only where a port was
// taken.
func (j *job) byClash(c *walk.Candidate, m rules.Manip) bool {
	o := j.observed[m]
	from, to := j.ports(m)
	for i := range c.Targets {
		t := &c.Targets[i]
		if t.Makes(m, o.From.Addr, o.To.Addr, from, to) && !t.ByClash(m, from, to) {
			return false
		}
	}
	return true
}

// strictArrival tells whether strict reverse path filtering on every device
// makes the reverse path the only way in (fib_validate_source).
func (j *job) strictArrival() bool {
	if j.f.Family != rules.FamilyIPv4 {
		return false
	}
	for i := range j.host.Links {
		if l := &j.host.Links[i]; l.Name != "lo" && j.host.RPFilter(l.Name) != 1 {
			return false
		}
	}
	return true
}

// passResult is one walk over the hook, sifted.
type passResult struct {
	res     walk.Result
	fits    []walk.Candidate
	blocker *walk.Candidate
	steps   []walk.Step
}

// pass walks once, and again without the candidates that cannot have made
// what is observed: that they were passed by is then known.
func (j *job) pass(st *stage, p *rules.Packet, order int) *passResult {
	h := &hypothesis{order: order}
	out := j.room()
	for range 3 {
		out.steps = nil
		out.res = j.walker.Hook(p, st.hook, j.walkOptions(&out.steps, h))
		out.fits, out.blocker = j.sift(out.res.Candidates, st.manip)
		n := len(h.force)
		for i := range out.res.Candidates {
			c := &out.res.Candidates[i]
			if c.Answer.Truth == rules.Unknown && !j.makes(c, st.manip) && !sharesOpen(c, out.fits) {
				h.exclude(c)
			}
		}
		if len(h.force) == n {
			break
		}
	}
	return out
}

// room is for one more pass of the job.
func (j *job) room() *passResult {
	if j.passes == len(j.rooms) {
		j.rooms = append(j.rooms, new(passResult))
	}
	j.passes++
	return j.rooms[j.passes-1]
}

// sharesOpen tells whether the open condition of c is also on the way to one
// that fits: a verdict map that led elsewhere.
func sharesOpen(c *walk.Candidate, fits []walk.Candidate) bool {
	for i := range fits {
		for _, r := range fits[i].Open {
			for _, o := range c.Open {
				if o == r {
					return true
				}
			}
		}
		for _, r := range fits[i].Via {
			if len(c.Open) == 1 && c.Open[0] == r {
				return true
			}
		}
	}
	return false
}

// droppable are the assumptions that can be given up to see whether they
// matter. That the first TCP packet is a SYN stays.
const (
	devicesOnly = rules.Sources(1<<rules.FromIif | 1<<rules.FromOif)
	droppable   = devicesOnly | 1<<rules.FromMark | 1<<rules.FromRoute | 1<<rules.FromSet
)

// maxDevices bounds how many other devices are tried one by one.
const maxDevices = 64

// otherDevices are the packet by each other device that it may have come in
// or gone out by; with too many of them, one packet whose device is not known.
func (j *job) otherDevices(st *stage, open rules.Sources) []rules.Packet {
	var out []rules.Packet
	vary := func(pick func(*rules.Packet) *rules.Iface) {
		p := st.before
		dev := pick(&p)
		if dev.State != rules.IfaceAssumed {
			return
		}
		was := dev.Link.Index
		if len(j.host.Links) > maxDevices {
			*dev = rules.Iface{}
			out = append(out, p)
			return
		}
		for _, l := range j.host.Links {
			if l.Index != was {
				*dev = rules.Iface{State: rules.IfaceAssumed, Link: l}
				out = append(out, p)
			}
		}
	}
	if open.Has(rules.FromIif) {
		vary(func(p *rules.Packet) *rules.Iface { return &p.Iif })
	}
	if open.Has(rules.FromOif) {
		vary(func(p *rules.Packet) *rules.Iface { return &p.Oif })
	}
	return out
}

// openPass walks with the assumptions in open taken as unknown.
func (j *job) openPass(st *stage, open rules.Sources) *passResult {
	p := st.before
	if open.Has(rules.FromMark) {
		p.Mark = openAssumed(p.Mark, rules.FromMark)
	}
	p.RoutesOpen, p.SetsOpen = open.Has(rules.FromRoute), open.Has(rules.FromSet)
	return j.pass(st, &p, 0)
}

// addressRests: the address that masquerade takes rests on the device.
func addressRests(st *stage) rules.Sources {
	for i := range st.fits {
		if n := st.fits[i].NAT; n != nil && n.Kind == rules.Masquerade && st.before.Oif.State == rules.IfaceAssumed {
			return rules.Of(rules.FromOif)
		}
	}
	return 0
}

func openAssumed(v rules.Value, s rules.Source) rules.Value {
	for i := range v.N {
		if v.From[i] == s {
			v.Bits[i], v.Known[i] = 0, 0
		}
	}
	return v
}

// neverHit tells whether r's counter says that it was not applied to the flow.
func (j *job) neverHit(r *rules.Rule) bool { return !j.opt.Later && r.Hit() == rules.No }

// gradeOne grades the one candidate that fits. A rule whose counter is 0 has
// never been applied since it was loaded.
func (j *job) gradeOne(c *walk.Candidate, weak []walk.Candidate) Grade {
	switch {
	case c.Opaque != nil, c.Answer.Truth != rules.Yes, opaqueTargets(c), len(weak) > 0, j.neverHit(c.Rule):
		return GradeInferred
	}
	return GradeExact
}

// ownAddress: the rule found is a masquerade, and the address that it took is
// the assumed device's own. This confirms the device.
func (j *job) ownAddress(st *stage) bool {
	if len(st.fits) == 0 || st.fits[0].NAT == nil || st.fits[0].NAT.Kind != rules.Masquerade {
		return false
	}
	to := j.observed[rules.ManipSrc].To.Addr
	for _, a := range j.host.Addrs {
		if a.Prefix.Addr() == to {
			return a.Index == st.before.Oif.Link.Index
		}
	}
	return false
}

func opaqueTargets(c *walk.Candidate) bool {
	for i := range c.Targets {
		if c.Targets[i].AnyAddr || c.Targets[i].AnyPort {
			return true
		}
	}
	return false
}

// settle walks again with everything on the way to the one rule held to have
// matched: this decides the marks that chains on the way set.
func (j *job) settle(st *stage) {
	h := &hypothesis{}
	h.hold(&st.fits[0])
	for i := range st.all {
		if c := &st.all[i]; c.Answer.Truth == rules.Unknown && c.Rule != st.fits[0].Rule {
			h.exclude(c)
		}
	}
	st.settled = nil
	res := j.walker.Hook(&st.before, st.hook, j.walkOptions(&st.settled, h))
	if res.Alive.Truth != rules.No {
		st.after = res.Packet
	}
}

func holds(cs []walk.Candidate, r *rules.Rule) bool {
	for i := range cs {
		if cs[i].Rule == r {
			return true
		}
	}
	return false
}
