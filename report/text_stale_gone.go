package report

import (
	"io"
	"strings"

	"github.com/ntdiag/ntdiag/diagnose/journal"
	"github.com/ntdiag/ntdiag/diagnose/remove"
	"github.com/ntdiag/ntdiag/diagnose/stale"
)

// StaleGone tells people what became of stale flows that were to go: group by
// group, then as of every removal. of is the group of a planned flow.
func StaleGone(w io.Writer, d *Stale, results []remove.Result, of []stale.Change, s Style) error {
	var b strings.Builder
	groups := map[stale.Change][]*remove.Result{}
	for i := range results {
		groups[of[i]] = append(groups[of[i]], &results[i])
	}
	if len(groups) > 1 && !d.DryRun {
		b.WriteByte('\n')
		rest := 0
		for i, n := 0, 0; i < len(d.Groups); i++ {
			g := &d.Groups[i]
			members := groups[g.group.Change]
			if len(members) == 0 {
				continue
			}
			if n++; n > page && !s.Verbose {
				rest += len(members)
				continue
			}
			wrap(&b, s.width(), "  ", "      ", goneText(g, members))
		}
		if rest > 0 {
			b.WriteString("  " + counted(rest, "flow", "flows") + " of other groups: -v lists them\n")
		}
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return err
	}
	r := NewRemoval(results, d.Journal, d.DryRun)
	return RemovalText(w, &r, s)
}

// goneText is one group: "412 udp flows to 10.244.1.7:53: 410 deleted, 2 had
// ended before".
func goneText(g *StaleGroup, members []*remove.Result) string {
	text := counted(len(members), g.Proto+" flow", g.Proto+" flows")
	switch {
	case g.To == nil:
		text += " with " + verb(len(members), "its", "their") + " own source"
	case g.End == "dnat":
		text += " to " + toText(g)
	default:
		text += " from " + toText(g)
	}
	counts, back := map[journal.Action]int{}, 0
	for _, r := range members {
		counts[r.Action]++
		if r.Back.Wrong() {
			back++
		}
	}
	var parts []string
	for _, row := range []struct {
		action journal.Action
		text   string
	}{
		{journal.Deleted, "deleted"}, {journal.Gone, "had ended before"}, {journal.Changed, "changed meanwhile"},
		{journal.Failed, "not deleted"}, {journal.None, "left alone"},
	} {
		switch n := counts[row.action]; {
		case n == len(members):
			parts = append(parts, row.text)
		case n > 0:
			parts = append(parts, thousands(n)+" "+row.text)
		}
	}
	if back > 0 {
		parts = append(parts, thousands(back)+" came back wrong")
	}
	return text + ": " + strings.Join(parts, ", ")
}
