package ticket

import (
	"time"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/report"
)

// stale are the groups of stale flows, and flows of each.
func (t *Ticket) stale() *section {
	d := t.Stale
	if d == nil {
		return nil
	}
	s := &section{ID: "stale", Title: "Stale flows", Lead: d.Answer() + "."}
	if d.Unrecorded != "" && len(d.Groups) > 0 {
		s.Notes = append(s.Notes, "Who changed what, and when, is not known: "+d.Unrecorded)
	}
	if d.Ungrouped > 0 {
		s.Notes = append(s.Notes, report.Counted(d.Ungrouped, "more stale flow is", "more stale flows are")+" of groups beyond those listed.")
	}
	if len(d.Groups) > 0 {
		s.Tables = append(s.Tables, staleGroups(d), staleFlows(d))
	}
	if d.Undecided > 0 {
		s.Tables = append(s.Tables, undecided(d))
	}
	return s
}

func staleGroups(d *report.Stale) table {
	t := table{ID: "stale-groups", Caption: "Flows for which the same changed", What: "groups", Columns: []column{
		{"Flows", number}, {"Sure", severity}, {"Class", words}, {"Is", address}, {"New ones get", address}, {"By rule", long},
		{"Oldest began (UTC)", moment}, {"Changed", long},
	}}
	for i := range d.Groups {
		g := &d.Groups[i]
		was, now := g.WasNow()
		if now == "" {
			now = "as sent"
		}
		if was == "" {
			was = "as sent"
		}
		sure := report.Warning
		if g.Confidence == "certain" {
			sure = report.Critical
		}
		changed := cell{}
		if g.Cause != nil {
			changed = text(g.Cause.Text)
		}
		t.add(num(uint64(g.Flows)), graded(sure, string(g.Confidence)), cell{Parts: []part{{string(g.Class), ""}, {g.Proto + ", " + endNames[g.End], "dim"}}}, addr(was), addr(now),
			ruleCell(g.Rule), at(g.Oldest), changed)
	}
	return t
}

func staleFlows(d *report.Stale) table {
	t := table{ID: "stale-flows", Caption: "Stale flows", What: "flows", Columns: []column{
		{"Protocol", words}, {"Source", address}, {"Destination", address}, {"Leaves as", address}, {"Goes to", address},
		{"State", words}, {"Sure", severity}, {"Class", words}, {"Why", long}, {"Began (UTC)", moment}, {"Id", number},
	}}
	shown := 0
	for i := range d.Groups {
		g := &d.Groups[i]
		sure := report.Warning
		if g.Confidence == "certain" {
			sure = report.Critical
		}
		for _, x := range g.Examples() {
			in, out := x.Flow.Ends()
			f := &x.Flow.Flow
			shown++
			t.add(text(g.Proto), addr(in[0]), addr(in[1]), addr(out[0]), addr(out[1]),
				text(report.StateText(f)), graded(sure, string(g.Confidence)), text(string(x.Class)), text(x.Why), began(f), flowID(f))
		}
	}
	t.More += d.Certain + d.Likely - shown
	return t
}

func began(f *host.Flow) cell {
	if f.Has&host.HasStart == 0 {
		return cell{}
	}
	start := time.Unix(0, f.Start)
	return at(&start)
}

func flowID(f *host.Flow) cell {
	if f.Has&host.HasID == 0 {
		return cell{}
	}
	return ident(uint64(f.ID))
}

func undecided(d *report.Stale) table {
	t := table{ID: "undecided", Caption: "Flows that could not be decided", What: "reasons", Folded: true, Columns: []column{{"Flows", number}, {"Why", long}}}
	for _, r := range d.UndecidedWhy {
		why := r.Why
		if why == "" {
			why = "further reasons"
		}
		t.add(num(uint64(r.Flows)), text(why))
	}
	return t
}
