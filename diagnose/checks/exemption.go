package checks

import (
	"fmt"

	"github.com/ntdiag/ntdiag/diagnose/order"
	"github.com/ntdiag/ntdiag/rules"
)

// exemption tells of accept in a nat chain that a later nat chain does not
// know of: accept ends its own chain only, and nf_nat_inet_fn asks the next one
// until a rule has set up a NAT.
func exemption(p *Pass) {
	for i := range p.Hooks {
		bases := natBases(&p.Hooks[i])
		for j, b := range bases {
			for _, r := range b.Rules {
				if r.Role == order.RoleExempt && accepts(r.Rule) && p.Reach.Dead(r.Rule) == nil {
					p.exempts(r, bases[j+1:])
				}
			}
		}
	}
}

func accepts(r *rules.Rule) bool {
	for _, s := range r.Statements {
		if v, ok := s.(*rules.Verdict); ok && v.Code == rules.VerdictAccept {
			return true
		}
	}
	return false
}

func (p *Pass) exempts(r *order.Rule, later []*order.Base) {
	pairs := 0
	for _, b := range later {
		for _, q := range b.Rules {
			if pairs++; pairs > maxPairs {
				return
			}
			if q.Role != order.RoleNAT || !p.Reach.Overlap(r.Rule, r.Base.Chain, q.Rule, b.Chain) {
				continue
			}
			p.report(Finding{Severity: Warning, Rule: r.Rule, Rules: []*rules.Rule{q.Rule},
				Text: fmt.Sprintf("accept does not keep the packet from %s", near(r.Rule, q.Rule)),
				Do:   "exempt it in " + order.Name(b.Chain) + " too"})
			return
		}
	}
}
