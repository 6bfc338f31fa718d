package explain

import (
	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/walk"
)

// otherOrders looks at the other orders that chains of several tables can have
// at the hook. One that cannot have led to what is observed was not the
// kernel's; of the others each may have been, and what they set, marks above
// all, is known only as far as they agree.
func (j *job) otherOrders(st *stage) {
	for i := range j.walker.Orders(st.hook, j.f.Family) {
		p := j.pass(st, &st.before, i+1)
		if p.res.Alive.Truth == rules.No || !j.possible(st, p) {
			continue
		}
		if !sameFits(st.fits, p.fits) {
			st.orderOpen = true
		}
		if st.blocker != nil && len(st.fits) == 0 && j.unchanged(st.manip) && p.blocker == nil {
			// in the order that handles suggest a rule would have rewritten it:
			// it was this one, then
			st.blocker, st.fits, st.after, st.orderOpen = nil, p.fits, p.res.Packet, true
			continue
		}
		st.after = walk.Join(&st.after, &p.res.Packet)
		if j.unchanged(st.manip) {
			st.fits = j.alsoIn(st.fits, p.fits)
		}
	}
}

// alsoIn adds the rules that may have left the packet as it is in another
// order.
func (j *job) alsoIn(to, from []walk.Candidate) []walk.Candidate {
	for i := range from {
		if !j.neverHit(from[i].Rule) && !holds(to, from[i].Rule) {
			to = append(to, from[i])
		}
	}
	return to
}

// possible tells whether a walk in another order can have made what is
// observed.
func (j *job) possible(st *stage, p *passResult) bool {
	if j.unchanged(st.manip) {
		return p.blocker == nil
	}
	for i := range p.fits {
		if holds(st.fits, p.fits[i].Rule) {
			return true
		}
	}
	return false
}

// sameFits tells whether both name the same rules, each as sure.
func sameFits(a, b []walk.Candidate) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].Rule != b[i].Rule || a[i].Answer.Truth != b[i].Answer.Truth {
			return false
		}
	}
	return true
}
