package reach

import "github.com/ntdiag/ntdiag/rules"

func (a *analysis) parseOnce(r *rules.Rule) *parsed {
	p := a.parsed[r]
	if p == nil {
		p = a.parse(r)
		a.parsed[r] = p
	}
	return p
}

// dies notes why no packet meets r, as long as no other way to it is found.
func (a *analysis) dies(r *rules.Rule, d *Dead) {
	was := a.res.dead[r]
	if was == nil {
		a.res.dead[r] = d
		return
	}
	if was.Why != Hidden && d.Why == Hidden {
		was.Why, was.By = Hidden, nil // the more telling one
	} else if was.Why != d.Why {
		return
	}
	for _, by := range d.By {
		if !contains(was.By, by) && len(was.By) < maxBy {
			was.By = append(was.By, by)
		}
	}
	was.Unsourced = was.Unsourced || d.Unsourced
}

func contains(rs []*rules.Rule, r *rules.Rule) bool {
	for _, x := range rs {
		if x == r {
			return true
		}
	}
	return false
}

// writesOf are the places that a chain and those below it write to.
func (a *analysis) writesOf(c *rules.Chain) place {
	if p, ok := a.writes[c]; ok {
		return p
	}
	a.writes[c] = anywhere // should the chains run in a loop
	var p place
	for _, r := range c.Rules {
		p |= a.parseOnce(r).all
		for _, s := range r.Statements {
			switch s := s.(type) {
			case *rules.Verdict:
				if s.Chain == nil && s.ChainName != "" {
					p = anywhere
				}
			case *rules.VerdictMap:
				if s.Set.Missing != "" {
					p = anywhere
				}
			}
		}
		for _, to := range targets(r) {
			p |= a.writesOf(to)
		}
	}
	a.writes[c] = p
	return p
}

// sizeOf is how many rules a chain and those below it have, as often as they
// are led to.
func (a *analysis) sizeOf(c *rules.Chain) int {
	if n, ok := a.size[c]; ok {
		return n
	}
	a.size[c] = maxVisits // should the chains run in a loop
	n := len(c.Rules)
	for _, r := range c.Rules {
		for _, to := range targets(r) {
			n = min(n+a.sizeOf(to), maxVisits)
		}
	}
	a.size[c] = n
	return n
}
