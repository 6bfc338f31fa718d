package report

import (
	"bytes"
	"strings"
	"testing"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/journal"
	"github.com/ntdiag/ntdiag/diagnose/remove"
	"github.com/ntdiag/ntdiag/diagnose/stale"
)

// removed is one flow of each thing that can become of it.
func removed() []remove.Result {
	web, six, esp := webFlow(), sixFlow(), espFlow()
	of := func(f host.Flow, risks ...stale.Risk) *remove.Planned { return &remove.Planned{Flow: f, Risks: risks} }
	turned := web
	turned.Original, turned.Reply = web.Reply, web.Original
	all := stale.Risks()
	return []remove.Result{
		{Planned: of(web, all...), Action: journal.Deleted},
		{Planned: of(web, stale.RiskTCPLoose), Action: journal.Deleted, Back: remove.BackReversed, Now: &turned},
		{Planned: of(web), Action: journal.Deleted, Back: remove.BackPlain, Now: &web},
		{Planned: of(six, stale.RiskReversed), Action: journal.Deleted, Back: remove.BackPlain, Now: &six},
		{Planned: of(six), Action: journal.Deleted, Back: remove.BackSame, Now: &six},
		{Planned: of(six), Action: journal.Deleted, Back: remove.BackOther, Now: &six},
		{Planned: of(web), Action: journal.Deleted, Back: remove.BackFresh, Now: &web},
		{Planned: of(web), Action: journal.Gone, Said: "it ended before"},
		{Planned: of(web), Action: journal.Changed, Said: "another reply tuple", Now: &web},
		{Planned: of(esp), Action: journal.Failed, Said: "conntrack delete: \x1b[31mbusy"},
		{Planned: of(esp), Action: journal.None},
	}
}

func TestFlowsDelete(t *testing.T) {
	path := "/var/lib/nt diag/20260301T120000Z-1.jsonl"
	many := removed()[:1]
	for range 1200 {
		many = append(many, removed()[8])
	}
	for name, d := range map[string]*FlowsDelete{
		"flows-delete":         {Header: header("flows.delete"), Removal: NewRemoval(removed(), path, false), Checked: 20},
		"flows-delete-many":    {Header: header("flows.delete"), Removal: NewRemoval(many, path, false), Checked: 2000},
		"flows-delete-dry-run": {Header: header("flows.delete"), Removal: NewRemoval(remove.Untouched([]remove.Planned{{Flow: webFlow()}}), "", true), Checked: 20},
		"flows-delete-none":    {Header: header("flows.delete"), Removal: NewRemoval(nil, "", false), Checked: 20},
	} {
		for _, f := range formats {
			if name == "flows-delete-many" && !f.Human || f.Name == "wide" {
				continue
			}
			var b bytes.Buffer
			if err := f.FlowsDelete(&b, d, Style{Now: now}); err != nil {
				t.Fatal(err)
			}
			golden(t, name+"."+f.Name, b.Bytes())
			if f.Human {
				harmless(t, b.String(), 80)
			}
		}
	}
}

func TestRemovalPlan(t *testing.T) {
	var plan []remove.Planned
	for _, r := range removed() {
		plan = append(plan, *r.Planned)
	}
	var b bytes.Buffer
	if err := RemovalPlan(&b, plan, 1234, []string{"your own SSH session is among them"}, Style{Now: now, Rows: 3, Fold: 80}); err != nil {
		t.Fatal(err)
	}
	golden(t, "removal-plan.table", b.Bytes())
	harmless(t, b.String(), 80)
}

func TestUndo(t *testing.T) {
	web, six, esp := webFlow(), sixFlow(), espFlow()
	entry := func(n int, f host.Flow) *journal.Entry { return &journal.Entry{Intent: journal.Intent{N: n, Flow: f}} }
	j := &journal.Journal{Header: journal.Header{Command: "ntdiag flows delete --proto \x1btcp"}, Torn: 14}
	before := &journal.Journal{Header: j.Header, Undone: now}
	mixed := []remove.Undone{
		{Entry: entry(1, web), Outcome: journal.Restored},
		{Entry: entry(2, esp), Outcome: journal.Restored},
		{Entry: entry(3, six), Outcome: journal.There, Now: &six},
		{Entry: entry(4, six), Outcome: journal.Taken, Why: "it began anew with another mapping", Now: &six},
		{Entry: entry(5, esp), Outcome: journal.NotBack, Why: "conntrack insert: its master is not in the table"},
	}
	for name, d := range map[string]*Undo{
		"undo":        NewUndo(header("undo"), "j.jsonl", j, mixed),
		"undo-before": NewUndo(header("undo"), "j.jsonl", before, nil),
		"undo-none":   NewUndo(header("undo"), "j.jsonl", &journal.Journal{Header: j.Header}, nil),
	} {
		for _, f := range formats {
			if f.Name == "wide" {
				continue
			}
			var b bytes.Buffer
			if err := f.Undo(&b, d, Style{Now: now}); err != nil {
				t.Fatal(err)
			}
			golden(t, name+"."+f.Name, b.Bytes())
			if f.Human {
				harmless(t, b.String(), 80)
			}
		}
	}
}

func TestEveryRiskIsTold(t *testing.T) {
	for _, r := range stale.Risks() {
		var b strings.Builder
		writeTraps(&b, Style{}, func(o stale.Risk) int {
			if o == r {
				return 1
			}
			return 0
		})
		if !strings.Contains(b.String(), "  "+string(r)+" (1 flow): ") || !strings.Contains(b.String(), "    do: ") {
			t.Errorf("%s: %q", r, b.String())
		}
	}
}
