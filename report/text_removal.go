package report

import (
	"io"
	"slices"
	"strings"

	"github.com/ntdiag/ntdiag/diagnose/journal"
	"github.com/ntdiag/ntdiag/diagnose/remove"
	"github.com/ntdiag/ntdiag/diagnose/stale"
)

// RemovalPlan shows what is about to be deleted: how many, a page of them, and
// what it may lead to. checked is how many entries were looked at; notes are
// further things to know before.
func RemovalPlan(w io.Writer, plan []remove.Planned, checked int, notes []string, s Style) error {
	var b strings.Builder
	b.WriteString(s.paint(bold, counted(len(plan), "flow", "flows")+" to delete") + ", of " + counted(checked, "entry", "entries") + " looked at\n\n")
	if _, err := io.WriteString(w, b.String()); err != nil {
		return err
	}
	list := newFlowTable(w, s)
	for i := range plan {
		if err := list.Add(&plan[i].Flow); err != nil {
			return err
		}
	}
	if err := list.Close(FlowsEnd{Matched: len(plan), Checked: checked}); err != nil {
		return err
	}
	b.Reset()
	writeTraps(&b, s, func(r stale.Risk) int {
		n := 0
		for i := range plan {
			if slices.Contains(plan[i].Risks, r) {
				n++
			}
		}
		return n
	})
	for _, note := range notes {
		wrap(&b, s.width(), "\n"+s.paint(yellow, "note:")+" ", "    ", note)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// RemovalText tells people what became of the flows: how many went, which did
// not and why, which came back, and how to put them back.
func RemovalText(w io.Writer, d *Removal, s Style) error {
	t := &removalWriter{d: d, s: s}
	if d.DryRun {
		t.b.WriteString("\nnothing was deleted: --dry-run\n")
	} else {
		t.counts()
		t.left()
		t.back()
		t.way()
	}
	_, err := io.WriteString(w, t.b.String())
	return err
}

type removalWriter struct {
	b strings.Builder
	d *Removal
	s Style
}

// counts is the answer in a line.
func (t *removalWriter) counts() {
	d := t.d
	n := d.Count(journal.Deleted)
	head := "deleted " + counted(n, "flow", "flows")
	if n < len(d.Flows) {
		head = "deleted " + thousands(n) + " of " + counted(len(d.Flows), "flow", "flows")
	}
	colour := green
	if d.Left() || n+d.Count(journal.Gone) < len(d.Flows) {
		colour = yellow
	}
	t.b.WriteString("\n" + t.s.paint(colour, head) + "\n")
	for _, row := range []struct {
		action journal.Action
		text   string
	}{
		{journal.Gone, "had ended before"},
		{journal.Changed, "changed meanwhile, not touched"},
		{journal.Failed, "not deleted"},
		{journal.None, "left alone: it was not their turn"},
	} {
		if n := d.Count(row.action); n > 0 {
			t.b.WriteString("  " + thousands(n) + " " + row.text + "\n")
		}
	}
}

// page is how many flows of one kind are named.
const page = 10

// left names the flows that were not deleted for a reason of their own.
func (t *removalWriter) left() {
	shown, more := 0, 0
	for i := range t.d.Flows {
		f := &t.d.Flows[i]
		if f.Action != journal.Changed && f.Action != journal.Failed {
			continue
		}
		if shown++; shown > page {
			more++
			continue
		}
		wrap(&t.b, t.s.width(), "    ", "        ", FlowName(&f.Flow.Flow)+": "+safe(f.Why))
	}
	if more > 0 {
		t.b.WriteString("    " + counted(more, "more", "more") + ": -o json names all\n")
	}
}

// backOrder is what came back, what is wrong first.
var backOrder = []remove.Back{remove.BackReversed, remove.BackPlain, remove.BackSame, remove.BackOther, remove.BackFresh}

// back tells what stands there again.
func (t *removalWriter) back() {
	type group struct {
		back remove.Back
		what string
	}
	for _, b := range backOrder {
		groups := map[group][]*RemovedFlow{}
		var order []group
		var do = map[group]string{}
		for i := range t.d.Flows {
			f := &t.d.Flows[i]
			if f.Back != b {
				continue
			}
			what, todo := remove.BackText(b, &f.Flow.Flow)
			g := group{b, what}
			if groups[g] == nil {
				order = append(order, g)
			}
			groups[g], do[g] = append(groups[g], f), todo
		}
		for _, g := range order {
			t.backGroup(groups[g], g.what, do[g])
		}
	}
}

func (t *removalWriter) backGroup(flows []*RemovedFlow, what, do string) {
	head := counted(len(flows), "flow ", "flows ")
	colour := yellow
	if !flows[0].Back.Wrong() {
		colour = ""
	}
	if len(flows) > 1 {
		what = strings.Replace(what, "is back", "are back", 1)
	}
	wrap(&t.b, t.s.width(), "\n"+t.s.paint(colour, strings.TrimSpace(head))+" ", "  ", what)
	for i, f := range flows {
		if i == page {
			t.b.WriteString("    " + counted(len(flows)-page, "more", "more") + ": -o json names all\n")
			break
		}
		name := FlowName(&f.Flow.Flow)
		if f.Back == remove.BackReversed {
			name += ", now " + FlowName(&f.Now.Flow)
		}
		wrap(&t.b, t.s.width(), "    ", "        ", name)
	}
	if do != "" {
		wrap(&t.b, t.s.width(), "  do: ", "      ", do)
	}
}

// way is the way back.
func (t *removalWriter) way() {
	if t.d.Journal == "" {
		return
	}
	t.b.WriteString("\njournal  " + safe(t.d.Journal) + "\nundo     ntdiag undo " + ShellWord(safe(t.d.Journal)) + "\n")
}

func flowsDeleteText(w io.Writer, d *FlowsDelete, s Style) error {
	if len(d.Flows) == 0 {
		var b strings.Builder
		b.WriteString("no flow fits (" + counted(d.Checked, "entry", "entries") + " looked at): nothing was deleted\n")
		missingText(&b, d.Header, s)
		_, err := io.WriteString(w, b.String())
		return err
	}
	return RemovalText(w, &d.Removal, s)
}
