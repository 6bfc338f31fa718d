package ticket

import (
	"github.com/ntdiag/ntdiag/report"
)

// invalid are the messages about invalid packets, and what becomes of them.
func (t *Ticket) invalid() *section {
	d := t.Invalid
	if d == nil {
		return nil
	}
	s := &section{ID: "invalid", Title: "Invalid packets", Lead: d.Answer() + ".", Notes: []string{"Read: " + d.ReadText()}}
	if g := d.Logging; g != nil && g.Silent != "" {
		s.Notes = append(s.Notes, capital(g.Silent))
	}
	if text := d.AbsentText(); text != "" {
		s.Notes = append(s.Notes, text)
	}
	if !d.Joined && d.NotJoined != "" {
		s.Notes = append(s.Notes, "Packets were not looked up in table and rules: "+d.NotJoined)
	}
	s.Notes = append(append(s.Notes, d.CounterLines()...), d.Limits...)
	if len(d.Verdict.Fates) > 0 {
		s.Tables = append(s.Tables, fates(d))
	}
	if len(d.Messages) > 0 {
		s.Tables = append(s.Tables, messages("messages", "Messages of conntrack", d.Messages), messageFlows(d))
	}
	if d.Absent != nil {
		x := messages("messages-absent", "Messages of devices that are not here", d.Absent.Messages)
		x.Folded = true
		s.Tables = append(s.Tables, x)
	}
	return s
}

func fates(d *report.Invalid) table {
	t := table{ID: "fates", Caption: "What becomes of them", What: "ways", Columns: []column{{"Packets", number}, {"Flows", number}, {"Fate", severity}, {"By", long}, {"Missed NAT", long}}}
	for i := range d.Verdict.Fates {
		f := &d.Verdict.Fates[i]
		fate := graded(f.Severity(), f.Fate)
		fate.Parts = append(fate.Parts, part{f.Text(), ""})
		missed := ruleCell(f.MissedRule)
		for _, m := range f.MissedTexts() {
			missed.Parts = append(missed.Parts, part{m, "code"})
		}
		t.add(num(f.Packets), num(uint64(f.Flows)), fate, ruleCell(f.By), missed)
	}
	return t
}

func messages(id, caption string, all []report.InvalidMessage) table {
	t := table{ID: id, Caption: caption, What: "messages", Columns: []column{
		{"Packets", number}, {"Reason", words}, {"Message", long}, {"Counted as", words}, {"Why", long}, {"What to do", long}, {"First (UTC)", moment}, {"Last (UTC)", moment},
	}}
	for i := range all {
		m := &all[i]
		do := cell{Parts: parts("", m.Check, m.Fix)}
		if m.Cost != "" {
			do.Parts = append(do.Parts, part{"it takes: " + m.Cost, "dim"})
		}
		t.add(num(m.Count), cell{Parts: append(parts("", m.Proto), part{m.Reason, "strong"})}, code(m.Text), text(m.Moved()), text(m.Cause), do, at(m.First), at(m.Last))
	}
	return t
}

// messageFlows are the packets of each tuple, with the entry that they belong to.
func messageFlows(d *report.Invalid) table {
	t := table{ID: "message-flows", Caption: "Flows of these messages", What: "flows", Columns: []column{
		{"Packets", number}, {"Packet", long}, {"Source", address}, {"Destination", address}, {"Came in by", words}, {"Reason", words}, {"Entry", long}, {"Fate", words}, {"Last (UTC)", moment},
	}}
	for i := range d.Messages {
		m := &d.Messages[i]
		for j := range m.Flows {
			f := &m.Flows[j]
			in := f.In
			if in == "" && f.Out != "" {
				in = "sent by this host"
			}
			t.add(num(f.Count), code(f.Line()), addr(f.Packet.Src), addr(f.Packet.Dst), text(in), text(m.Reason), text(f.EntryText()), text(f.Fate), at(f.Last))
		}
	}
	return t
}
