package report

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	tw "github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/renderer"
	twx "github.com/olekukonko/tablewriter/tw"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/query"
)

// maxTable bounds a table: it is laid out in memory, and longer listings are
// for jsonl.
const maxTable = 5000

// column is one column of the listing of flows.
type column struct {
	name string
	wide bool // only with -o wide
	cell func(*host.Flow) string
}

var flowColumns = []column{
	{"PROTO", false, func(f *host.Flow) string { return query.ProtoName(f.Original.Proto) }},
	{"SOURCE", false, sourceCell},
	{"DESTINATION", false, destinationCell},
	{"STATE", false, stateCell},
	{"TIMEOUT", true, timeoutCell},
	{"ZONE", true, func(f *host.Flow) string { return itoa(int(f.Zone)) }},
	{"MARK", true, func(f *host.Flow) string { return "0x" + strconv.FormatUint(uint64(f.Mark), 16) }},
	{"STATUS", true, func(f *host.Flow) string { return strings.Join(f.Status.Names(), ",") }},
	{"PACKETS", true, packetsCell},
	{"ID", true, func(f *host.Flow) string { return strconv.FormatUint(uint64(f.ID), 10) }},
}

// sourceCell is the source before → after; after is left out when the same.
func sourceCell(f *host.Flow) string {
	out := forward(f)
	before, after := srcText(f.Original), srcText(out)
	if f.IsICMP() {
		before += " id " + itoa(int(f.Original.SrcPort))
		after += " id " + itoa(int(out.SrcPort))
	}
	return change(before, after)
}

func destinationCell(f *host.Flow) string { return change(dstText(f.Original), dstText(forward(f))) }

func change(before, after string) string {
	if before == after {
		return before
	}
	return before + " → " + after
}

func stateCell(f *host.Flow) string {
	state := f.State()
	if !f.Status.Has(host.StatusSeenReply) {
		state = strings.TrimSpace(state + " unreplied")
	}
	if f.Status&(host.StatusOffload|host.StatusHWOffload) != 0 {
		state = strings.TrimSpace(state + " offloaded")
	}
	return state
}

func timeoutCell(f *host.Flow) string {
	if f.Has&host.HasTimeout == 0 {
		return ""
	}
	return strconv.FormatUint(uint64(f.Timeout), 10) + "s"
}

func packetsCell(f *host.Flow) string {
	if f.Has&host.HasCounters == 0 {
		return ""
	}
	return fmt.Sprintf("%d/%d", f.Orig.Packets, f.Repl.Packets)
}

// flowTable gathers rows to its bound, and counts the rest.
type flowTable struct {
	w     io.Writer
	style Style
	rows  [][]string
	limit int
}

func newFlowTable(w io.Writer, s Style) FlowWriter {
	limit := maxTable
	if s.Rows > 0 {
		limit = min(s.Rows, maxTable)
	}
	return &flowTable{w: w, style: s, limit: limit}
}

func (t *flowTable) Add(f *host.Flow) error {
	if len(t.rows) >= t.limit {
		return nil
	}
	var row []string
	for _, c := range flowColumns {
		if !c.wide || t.style.Wide {
			row = append(row, c.cell(f))
		}
	}
	t.rows = append(t.rows, row)
	return nil
}

func (t *flowTable) Close(end FlowsEnd) error {
	if len(t.rows) > 0 {
		var names []string
		for _, c := range flowColumns {
			if !c.wide || t.style.Wide {
				names = append(names, c.name)
			}
		}
		if fit := t.style.Fold; fit > 0 && !t.style.Wide && tableWidth(names, t.rows) > fit {
			fold(t.rows)
		}
		if err := table(t.w, names, t.rows); err != nil {
			return err
		}
	}
	var b strings.Builder
	switch rest := end.Matched - len(t.rows); {
	case end.Matched == 0:
		fmt.Fprintf(&b, "no flow fits (%s looked at)\n", plural(end.Checked, "entry", "entries"))
	case rest > 0 && t.limit == maxTable:
		fmt.Fprintf(&b, "\n%s not shown: use -o jsonl\n", plural(rest, "more flow", "more flows"))
	case rest > 0:
		fmt.Fprintf(&b, "\n%s not shown: --all shows them\n", plural(rest, "more flow", "more flows"))
	}
	missingText(&b, end.Header, t.style)
	_, err := io.WriteString(t.w, b.String())
	return err
}

// tableWidth is how wide table makes its rows: two columns stand between cells.
func tableWidth(header []string, rows [][]string) int {
	total := 2 * (len(header) - 1)
	for i, name := range header {
		w := columns(name)
		for _, r := range rows {
			w = max(w, columns(r[i]))
		}
		total += w
	}
	return total
}

// fold puts what a rewrite makes below what it was.
func fold(rows [][]string) {
	for _, r := range rows {
		for i := range r {
			r[i] = strings.Replace(r[i], " → ", "\n→ ", 1)
		}
	}
}

// table writes bounded rows without lines between them.
func table(w io.Writer, header []string, rows [][]string) error {
	var buf strings.Builder
	t := tw.NewTable(&buf,
		tw.WithHeaderAutoFormat(twx.Off),
		tw.WithHeaderAlignment(twx.AlignLeft),
		tw.WithRowAlignment(twx.AlignLeft),
		tw.WithRowAutoWrap(twx.WrapNone),
		tw.WithHeaderAutoWrap(twx.WrapNone),
		tw.WithPadding(twx.Padding{Left: "", Right: "  ", Overwrite: true}),
		tw.WithRenderer(renderer.NewBlueprint(twx.Rendition{
			Borders: twx.BorderNone,
			Settings: twx.Settings{
				Separators: twx.SeparatorsNone,
				Lines:      twx.LinesNone,
			},
		})),
	)
	t.Header(header)
	if err := t.Bulk(rows); err != nil {
		return fmt.Errorf("table: %w", err)
	}
	if err := t.Render(); err != nil {
		return fmt.Errorf("table: %w", err)
	}
	for _, line := range strings.Split(strings.TrimRight(buf.String(), "\n"), "\n") {
		if _, err := io.WriteString(w, strings.TrimRight(line, " ")+"\n"); err != nil {
			return err
		}
	}
	return nil
}
