package report

import (
	"io"
	"strings"

	"github.com/ntdiag/ntdiag/diagnose/journal"
)

// undoText is how many were put back, which were not and why, and what of them
// cannot be.
func undoText(w io.Writer, d *Undo, s Style) error {
	var b strings.Builder
	restored := d.Count(journal.Restored)
	switch {
	case len(d.Flows) == 0 && d.Before:
		b.WriteString("all of it was put back before: nothing to do\n")
	case len(d.Flows) == 0:
		b.WriteString("the journal names no flow that was deleted: nothing to do\n")
	default:
		head := "put back " + counted(restored, "flow", "flows")
		if restored < len(d.Flows) {
			head = "put back " + thousands(restored) + " of " + counted(len(d.Flows), "flow", "flows")
		}
		wrap(&b, s.width(), "", "  ", s.paintWords(bold, head)+", deleted by: "+safe(d.Command))
	}
	for _, row := range []struct {
		outcome journal.Outcome
		text    string
	}{
		{journal.There, "there already"},
		{journal.Taken, "not put back: another entry has the place, and stays"},
		{journal.NotBack, "not taken by the kernel"},
	} {
		if n := d.Count(row.outcome); n > 0 {
			b.WriteString("  " + thousands(n) + " " + row.text + "\n")
			undoPage(&b, d, row.outcome, s)
		}
	}
	if d.Torn > 0 {
		wrap(&b, s.width(), "\n"+s.paint(yellow, "note:")+" ", "    ", "the last "+counted(int(d.Torn), "byte", "bytes")+
			" of the journal are no record: the program was ended while it wrote; what they would have named was not deleted")
	}
	if len(d.Lost) > 0 {
		b.WriteString("\nNot kept:\n")
		for _, l := range d.Lost {
			head := "  " + l.What
			if l.Flows < restored {
				head += " (" + counted(l.Flows, "flow", "flows") + ")"
			}
			wrap(&b, s.width(), head+": ", "    ", l.Why)
		}
	}
	missingText(&b, d.Header, s)
	_, err := io.WriteString(w, b.String())
	return err
}

// undoPage names the flows that there is more to say about.
func undoPage(b *strings.Builder, d *Undo, o journal.Outcome, s Style) {
	n := 0
	for i := range d.Flows {
		f := &d.Flows[i]
		if f.Outcome != o || f.Why == "" {
			continue
		}
		if n++; n > page {
			continue
		}
		wrap(b, s.width(), "    ", "        ", FlowName(&f.Flow.Flow)+": "+safe(f.Why))
	}
	if n > page {
		b.WriteString("    " + counted(n-page, "more", "more") + ": -o json names all\n")
	}
}
