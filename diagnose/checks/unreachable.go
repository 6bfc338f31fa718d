package checks

import (
	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/reach"
)

// unreachable tells of rules that no packet meets: what package reach proves.
func unreachable(p *Pass) {
	p.each(func(r *rules.Rule) {
		d := p.Reach.Dead(r)
		if d == nil || !p.Reach.Entered(r.Chain) {
			return
		}
		f := Finding{Severity: severityOf(r), Rule: r, Rules: d.By, Text: deadText(r, d)}
		if len(d.Sets) > 0 {
			f.Text += setsText(d.Sets)
		}
		if d.Why == reach.NoSuchPacket || d.Why == reach.EmptySet {
			f.Severity = Info
		}
		f.Do = deadDo(r, d)
		p.report(f)
	})
}

// severityOf: a NAT rule that does nothing is what somebody looks for.
func severityOf(r *rules.Rule) Severity {
	if r.NAT() != nil {
		return Warning
	}
	return Info
}

func deadText(r *rules.Rule, d *reach.Dead) string {
	switch d.Why {
	case reach.Hidden:
		text := "shadowed by " + nearAll(r, d.By)
		if d.Unsourced {
			text += ", but for packets from 0.0.0.0"
		}
		return text
	case reach.EmptySet:
		return "never matches: the set is empty"
	case reach.NoSuchPacket:
		return "never matches: no such packet comes to this hook"
	}
	if len(d.By) > 0 {
		return "never matches: " + nearAll(r, d.By) + " lets no such packet in"
	}
	return "never matches: its conditions exclude each other"
}

func deadDo(r *rules.Rule, d *reach.Dead) string {
	if d.Why != reach.Hidden || r.NAT() == nil || len(d.By) == 0 {
		return ""
	}
	by := d.By[0]
	if by.Chain == r.Chain {
		return "move it before " + by.Ref() + ", or narrow that rule"
	}
	return "narrow " + near(r, by) + ", or give this rule's chain a priority before it"
}

// setsText names the sets that a claim rests on.
func setsText(sets []*rules.Set) string {
	var names []string
	for _, s := range sets {
		names = append(names, "@"+s.Name)
	}
	return " (as " + list(names) + " is now)"
}
