package explain

import (
	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/walk"
)

// search finds the rules that can have made the rewrite of st.manip, grades
// them, and leaves in st.after the packet as it goes on.
func (j *job) search(st *stage) {
	first := j.pass(st, &st.before, false)
	st.steps = first.steps
	st.all, st.used, st.dropper = first.res.Candidates, first.res.Used, first.res.Dropper
	st.fits, st.blocker = first.fits, first.blocker
	st.after = first.res.Packet
	if first.res.Alive.Truth == rules.No {
		st.after = st.before
		rewritten(&st.after, j.f, st.manip)
	}
	if j.walker.OrderUncertain(st.hook, j.f.Family) {
		j.otherOrder(st)
	}
	open := j.openPass(st)
	switch {
	case len(st.fits) == 0 && open != nil && len(open.fits) > 0:
		// what was assumed cannot be: nothing present makes this otherwise
		st.fits, st.blocker, st.all = open.fits, open.blocker, open.res.Candidates
		st.before = open.before
		st.grade = GradeInferred
		if len(st.fits) > 1 {
			st.grade = GradeAmbiguous
		}
		st.used = 0
	case len(st.fits) == 0:
		st.grade = GradeNone
	case len(st.fits) > 1:
		st.grade = GradeAmbiguous
	default:
		st.grade = j.gradeOne(st, open)
	}
	if len(st.fits) == 1 {
		j.settle(st)
	}
}

// passResult is one walk over the hook, sifted.
type passResult struct {
	res     walk.Result
	fits    []walk.Candidate
	blocker *walk.Candidate
	steps   []walk.Step
	before  rules.Packet
}

// pass walks once, and again without the candidates that cannot have made
// what is observed: that they were passed by is then known.
func (j *job) pass(st *stage, p *rules.Packet, swap bool) *passResult {
	h := &hypothesis{force: map[*rules.Rule]rules.Truth{}, into: map[*rules.Rule]*rules.Chain{}, swap: swap}
	out := &passResult{before: *p}
	for range 3 {
		scratch := &stage{}
		out.res = j.walker.Hook(p, st.hook, j.walkOptions(scratch, h))
		out.steps = scratch.steps
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
// matter. The first packet's TCP flags and what routes say stay.
const droppable = rules.Sources(1<<rules.FromIif | 1<<rules.FromOif | 1<<rules.FromMark)

// openPass walks with every assumption that decided something taken as
// unknown; nil when there was none.
func (j *job) openPass(st *stage) *passResult {
	used := st.used & droppable
	p := st.before
	if st.manip == rules.ManipSrc {
		used |= addressRests(st) & droppable
	}
	if used == 0 {
		return nil
	}
	if used.Has(rules.FromIif) && p.Iif.State == rules.IfaceAssumed {
		p.Iif = rules.Iface{}
	}
	if used.Has(rules.FromOif) && p.Oif.State == rules.IfaceAssumed {
		p.Oif = rules.Iface{}
	}
	if used.Has(rules.FromMark) {
		p.Mark = openAssumed(p.Mark, rules.FromMark)
	}
	return j.pass(st, &p, st.swapped)
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

// gradeOne grades the one candidate that fits.
func (j *job) gradeOne(st *stage, open *passResult) Grade {
	c := &st.fits[0]
	if c.Opaque != nil || c.Answer.Truth != rules.Yes || opaqueTargets(c) {
		return GradeInferred
	}
	if c.Rule.Hit() == rules.No || st.used.Has(rules.FromChainOrder) {
		return GradeInferred
	}
	if open == nil {
		return GradeExact
	}
	rivals := 0
	for i := range open.fits {
		if open.fits[i].Rule == c.Rule {
			continue
		}
		if j.confirmedAgainst(st, c, &open.fits[i]) {
			continue
		}
		rivals++
	}
	if rivals > 0 {
		return GradeInferred
	}
	st.confirmed = st.used & droppable
	return GradeExact
}

// confirmedAgainst: a rival that exists only because its device was taken as
// open, and that could take any address, is ruled out when the address is the
// assumed device's own.
func (j *job) confirmedAgainst(st *stage, c, rival *walk.Candidate) bool {
	if st.manip != rules.ManipSrc || c.NAT == nil || rival.NAT == nil || rival.NAT.Kind != rules.Masquerade || st.before.Oif.State != rules.IfaceAssumed {
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
	h := &hypothesis{force: map[*rules.Rule]rules.Truth{}, into: map[*rules.Rule]*rules.Chain{}, swap: st.swapped}
	h.hold(&st.fits[0])
	for i := range st.all {
		if c := &st.all[i]; c.Answer.Truth == rules.Unknown && c.Rule != st.fits[0].Rule {
			h.exclude(c)
		}
	}
	scratch := &stage{}
	res := j.walker.Hook(&st.before, st.hook, j.walkOptions(scratch, h))
	if res.Alive.Truth != rules.No {
		st.after = res.Packet
	}
}

// otherOrder takes chains of two tables that share a priority the other way
// round, since nothing tells which was registered last.
func (j *job) otherOrder(st *stage) {
	other := j.pass(st, &st.before, true)
	switch {
	case len(other.fits) == 0:
	case len(st.fits) == 0:
		st.fits, st.blocker, st.all, st.swapped = other.fits, other.blocker, other.res.Candidates, true
		st.steps, st.after = other.steps, other.res.Packet
	default:
		for _, c := range other.fits {
			if !holds(st.fits, c.Rule) {
				// handles say which table was made last, and so runs first
				st.used |= rules.Of(rules.FromChainOrder)
			}
		}
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
