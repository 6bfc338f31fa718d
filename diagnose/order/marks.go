package order

import "github.com/ntdiag/ntdiag/rules"

// marks are the marks that rules of nat chains test.
type marks struct{ packet, ct bool }

func (m marks) has(x rules.Expr) bool {
	switch x := x.(type) {
	case *rules.Meta:
		return m.packet && x.Key == rules.MetaMark
	case *rules.Ct:
		return m.ct && x.Key == rules.CtMark
	}
	return false
}

// marksTested looks at every nat chain and what it leads to.
func marksTested(rs *rules.Ruleset) marks {
	var m marks
	seen := map[*rules.Chain]bool{}
	var visit func(*rules.Chain)
	visit = func(c *rules.Chain) {
		if seen[c] {
			return
		}
		seen[c] = true
		for _, r := range c.Rules {
			m.rule(r)
			for _, to := range Targets(r) {
				visit(to)
			}
		}
	}
	for _, t := range rs.Tables {
		for _, c := range t.Chains {
			if c.Base != nil && c.Base.Type == rules.ChainNAT {
				visit(c)
			}
		}
	}
	return m
}

func (m *marks) rule(r *rules.Rule) {
	for _, s := range r.Statements {
		if _, sets := s.(*rules.Assign); sets {
			continue
		}
		rules.Reads(s, func(x rules.Expr) {
			switch x := x.(type) {
			case *rules.Meta:
				m.packet = m.packet || x.Key == rules.MetaMark
			case *rules.Ct:
				m.ct = m.ct || x.Key == rules.CtMark
			}
		})
	}
}
