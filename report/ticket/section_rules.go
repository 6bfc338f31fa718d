package ticket

import (
	"github.com/ntdiag/ntdiag/report"
)

// rules are the NAT rules in evaluation order, with their flows and findings.
func (t *Ticket) rules() *section {
	d := t.Rules
	if d == nil {
		return nil
	}
	m := &d.Summary
	lead := report.Counted(m.NATRules, "NAT rule", "NAT rules")
	if m.Deciding > 0 {
		lead += " and " + report.Counted(m.Deciding, "that decides about NAT", "that decide about NAT")
	}
	lead += ", of " + report.Counted(m.Rules, "rule", "rules") + " in " + report.Counted(m.Tables, "table", "tables") + ", in the order in which packets meet them."
	s := &section{ID: "rules", Title: "NAT rules", Lead: lead}
	if d.Opaque > 0 {
		s.Notes = append(s.Notes, report.Counted(d.Opaque, "rule has a part", "rules have a part")+" that is not understood: answers that pass through say so.")
	}
	rows := table{ID: "nat-rules", Caption: "Rules that make NAT, or decide about it", What: "rules", Columns: []column{
		{"#", number}, {"Met from", words}, {"Rule", long}, {"NAT", words}, {"Flows", number}, {"Packets", number}, {"Found", severity},
	}}
	for i := range d.Rules {
		r := &d.Rules[i]
		rows.add(num(i+1), fromCell(r), ruleRow(r), natCell(r), flowsCell(d, r), packetsCell(r), foundCell(r))
	}
	s.Tables = append(s.Tables, rows, chains(d))
	return s
}

func ruleRow(r *report.RuleRow) cell {
	name := r.Rule.NameInChain()
	if r.From != r.Rule.Family+" "+r.Rule.Table+" "+r.Rule.Chain {
		name = r.Rule.Chain + " " + name
	}
	c := cell{Parts: parts("", name)}
	c.Parts = append(c.Parts, part{r.Rule.Text, "code"})
	if !r.Rule.Decoded {
		c.Parts = append(c.Parts, part{"a part of this rule is not understood", report.Warning})
	}
	if r.Rule.Owner != "" {
		c.Parts = append(c.Parts, part{"by " + r.Rule.Owner, "dim"})
	}
	return c
}

func natCell(r *report.RuleRow) cell {
	if r.NAT != nil {
		return text(*r.NAT)
	}
	return cell{Parts: parts("dim", r.RoleText())}
}

func flowsCell(d *report.Rules, r *report.RuleRow) cell {
	if d.Attributed == nil || r.NAT == nil {
		return cell{}
	}
	return num(uint64(r.Flows))
}

func packetsCell(r *report.RuleRow) cell {
	if !r.Counted {
		return cell{}
	}
	return num(r.Packets)
}

// foundCell has the gravest finding first.
func foundCell(r *report.RuleRow) cell {
	worst := len(report.Severities)
	var c cell
	for _, sev := range report.Severities {
		for i := range r.Details {
			if f := &r.Details[i]; string(f.Severity) == sev {
				worst = min(worst, rank(sev))
				c.Parts = append(c.Parts, part{sev + ": " + f.Text, class(sev)})
			}
		}
	}
	c.Key = string(rune('0' + worst))
	return c
}

// chains are the base chains in evaluation order.
func chains(d *report.Rules) table {
	t := table{ID: "chains", Caption: "Base chains in evaluation order", What: "chains", Folded: true, Columns: []column{
		{"#", number}, {"Hook", words}, {"Chain", words}, {"Type", words}, {"Runs at", number}, {"Policy", words}, {"Rules", number}, {"By", words},
	}}
	for i := range d.Chains {
		c := &d.Chains[i]
		t.add(num(i+1), text(c.Hook), code(c.Family+" "+c.Table+" "+c.Chain), text(c.Type), signed(int(c.RunsAt)), text(c.Policy), num(uint64(c.Rules)), text(c.Owner))
	}
	return t
}

func fromCell(r *report.RuleRow) cell {
	if r.Hook == "" {
		return text("met by no packet")
	}
	return cell{Parts: []part{{r.Hook, ""}, {r.From, "dim"}}}
}
