package report

import "github.com/ntdiag/ntdiag/diagnose/host"

// Points are the findings: those of a rule with the rule, whether it is listed or
// not. A rule that is met at several hooks is one.
func (d *Rules) Points() []Point {
	var out []Point
	for i := range d.Findings {
		out = append(out, d.Findings[i].point(nil))
	}
	seen := map[ruleKey]bool{}
	for i := range d.Rules {
		r := &d.Rules[i]
		if seen[r.key()] {
			continue
		}
		seen[r.key()] = true
		for j := range r.Details {
			out = append(out, r.Details[j].point(&r.Rule))
		}
	}
	for i := range d.Elsewhere {
		out = append(out, d.Elsewhere[i].point(d.Elsewhere[i].Rule))
	}
	return out
}

func (f *RulesFinding) point(about *Rule) Point {
	p := Point{Of: "rules", Severity: string(f.Severity), Text: f.Text, Facts: f.More}
	if about != nil {
		p.Text = about.Chain + " " + ruleName(about) + ": " + f.Text
		p.Rules = append(p.Rules, *about)
	}
	p.Rules = append(p.Rules, f.With...)
	if f.Do != "" {
		p.Do = []Do{{Text: f.Do}}
	}
	return p
}

// First is the first live flow that the rule made, nil for none.
func (r *RuleRow) First() *host.Flow { return r.first }

// RoleText is what is said of a rule that makes no NAT itself.
func (r *RuleRow) RoleText() string { return roles[r.Role] }
