package checks

import "github.com/ntdiag/ntdiag/rules"

// neverHit tells of counters that are 0 in a chain that packets have passed.
// Nothing records since when a rule is there: that a neighbour has counted is
// what makes the 0 tell something.
func neverHit(p *Pass) {
	passed := map[*rules.Chain]bool{}
	p.each(func(r *rules.Rule) {
		if r.Hit() != rules.Yes {
			return
		}
		passed[r.Chain] = true
		for _, s := range r.Statements {
			if v, ok := s.(*rules.Verdict); ok && v.Chain != nil {
				passed[v.Chain] = true
			}
		}
	})
	p.each(func(r *rules.Rule) {
		if r.Hit() != rules.No || p.Reach.Dead(r) != nil || !p.Reach.Entered(r.Chain) {
			return
		}
		if b := r.Chain.Base; passed[r.Chain] || b != nil && b.HasCounter && b.Packets > 0 {
			p.report(Finding{Severity: Info, Rule: r, Text: "never hit"})
		}
	})
}
