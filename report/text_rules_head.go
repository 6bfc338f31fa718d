package report

import (
	"strings"

	"github.com/ntdiag/ntdiag/diagnose/checks"
)

// head is the answer: how many rules, whose, and whether something is wrong.
func (t *rulesWriter) head() {
	m := &t.doc.Summary
	if m.NATRules == 0 && len(t.doc.Chains) == 0 && len(t.doc.Rules) == 0 {
		if t.doc.Complete {
			t.b.WriteString("no chain of type nat is loaded\n")
		} else {
			t.b.WriteString("no chain of type nat was read\n")
		}
		return
	}
	line := counted(m.NATRules, "NAT rule", "NAT rules") + amounts(", in ", m.Backends, "") + amounts(", by ", m.Owners, "unknown")
	distinct := map[ruleKey]bool{} // a rule can be met at several hooks
	for i := range t.doc.Rules {
		distinct[t.doc.Rules[i].key()] = true
	}
	switch n := len(distinct); {
	case n == 0 && m.NATRules+m.Deciding > 0:
		line = "no rule fits, of " + line
	case n < m.NATRules+m.Deciding:
		line += "; " + thousands(n) + map[bool]string{true: " fits", false: " fit"}[n == 1]
	case m.Deciding > 0:
		line += "; " + counted(m.Deciding, "more decides", "more decide") + " about NAT"
	}
	wrap(&t.b, t.s.width(), "", "  ", line)
	if a := t.doc.Attributed; a != nil {
		wrap(&t.b, t.s.width(), "", "  ", a.text())
	}
	var found []string
	for _, sev := range []checks.Severity{checks.Critical, checks.Warning} {
		if n := m.Findings[sev]; n > 0 {
			found = append(found, t.s.paint(severityColor(sev), counted(n, string(sev), map[checks.Severity]string{checks.Critical: "critical", checks.Warning: "warnings"}[sev])))
		}
	}
	if n := m.Findings[checks.Info]; n > 0 {
		found = append(found, counted(n, "note", "notes"))
	}
	if len(found) > 0 {
		wrap(&t.b, t.s.width(), "", "  ", strings.Join(found, ", "))
	}
	t.b.WriteByte('\n')
}

// text is what made the flows, the surest first.
func (a *Attributed) text() string {
	var by []string
	for _, g := range []struct {
		n    int
		what string
	}{
		{a.Exact, "by a rule for certain"},
		{a.Inferred, "by the only rule that fits"},
		{a.Ambiguous, "by one of several rules"},
		{a.None, "by no present rule"},
	} {
		if g.n == 0 {
			continue
		}
		n := thousands(g.n)
		if len(by) == 0 {
			n = counted(g.n, "rewrite", "rewrites")
		}
		by = append(by, n+" "+g.what)
	}
	if len(by) == 0 {
		return "no flow with NAT"
	}
	return counted(a.Flows, "flow", "flows") + " with NAT: " + strings.Join(by, ", ")
}

// amounts is ", in nft (3), iptables-nft (2)"; a single name needs no number.
func amounts(lead string, cs []Count, nobody string) string {
	var out []string
	for _, c := range cs {
		name := c.Name
		if name == "" {
			name = nobody
		}
		if len(cs) > 1 {
			name += " (" + thousands(c.N) + ")"
		}
		out = append(out, name)
	}
	if len(out) == 0 || len(cs) == 1 && cs[0].Name == "" {
		return ""
	}
	return lead + strings.Join(out, ", ")
}

func severityColor(s checks.Severity) string {
	return map[checks.Severity]string{checks.Critical: red, checks.Warning: yellow, checks.Info: dim}[s]
}
