package reach

import (
	"slices"

	"github.com/ntdiag/ntdiag/rules"
)

// Overlap tells whether one packet may meet rule a in base chain x, and rule b
// in base chain y at the same hook. Marks and what ct tells may change from one
// to the other, and do not keep them apart.
func (res *Result) Overlap(a *rules.Rule, x *rules.Chain, b *rules.Rule, y *rules.Chain) bool {
	as, bs := res.met[a], res.met[b]
	if len(as) > maxMet || len(bs) > maxMet {
		return true
	}
	for i := range as {
		for j := range bs {
			m, n := &as[i], &bs[j]
			if m.hook != n.hook || m.family != n.family || m.base != nil && m.base != x || n.base != nil && n.base != y {
				continue
			}
			both := slices.Concat(m.way, m.need, n.way, n.need).without(inMark | inMeta | inCt | inCtMark)
			if c, _ := both.clash(0); c == nil {
				return true
			}
		}
	}
	return false
}
