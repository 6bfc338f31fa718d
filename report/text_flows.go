package report

import (
	"fmt"
	"io"
	"slices"
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
	show showing
	cell func(*host.Flow) string
}

// showing tells when a column is there.
type showing uint8

const (
	always showing = iota
	ifWide         // with -o wide
	ifAny          // with -o wide, where a flow has it
)

// flowColumns hold, with -o wide, all that conntrack -L prints of an entry.
var flowColumns = []column{
	{"PROTO", always, func(f *host.Flow) string { return query.ProtoName(f.Original.Proto) }},
	{"SOURCE", always, sourceCell},
	{"DESTINATION", always, destinationCell},
	{"ICMP", ifAny, icmpCell},
	{"STATE", always, stateCell},
	{"TIMEOUT", ifWide, timeoutCell},
	{"ZONE", ifWide, zoneCell},
	{"MARK", ifWide, func(f *host.Flow) string { return markText(f.Mark) }},
	{"STATUS", ifWide, func(f *host.Flow) string { return strings.Join(f.Status.Names(), ",") }},
	{"PACKETS", ifWide, func(f *host.Flow) string { return countsCell(f, f.Orig.Packets, f.Repl.Packets) }},
	{"BYTES", ifAny, func(f *host.Flow) string { return countsCell(f, f.Orig.Bytes, f.Repl.Bytes) }},
	{"HELPER", ifAny, func(f *host.Flow) string { return safe(f.Helper) }},
	{"LABELS", ifAny, labelsText},
	{"SECCTX", ifAny, func(f *host.Flow) string { return safe(f.Secctx) }},
	{"BEGAN", ifAny, func(f *host.Flow) string { return when(f, host.HasStart, timeText(f.Start)) }},
	{"USE", ifAny, func(f *host.Flow) string { return when(f, host.HasUse, strconv.FormatUint(uint64(f.Use), 10)) }},
	{"ID", ifWide, func(f *host.Flow) string { return strconv.FormatUint(uint64(f.ID), 10) }},
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

// zoneCell is the zone; -orig and -reply name the one direction that has it.
func zoneCell(f *host.Flow) string {
	text := itoa(int(f.Zone))
	switch {
	case f.Has&host.HasZoneOrig != 0:
		return text + "-orig"
	case f.Has&host.HasZoneReply != 0:
		return text + "-reply"
	}
	return text
}

func icmpCell(f *host.Flow) string {
	if !f.IsICMP() {
		return ""
	}
	typ, code := host.ICMPTypeCode(f.Original)
	return fmt.Sprintf("type %d code %d", typ, code)
}

func countsCell(f *host.Flow, orig, reply uint64) string {
	return when(f, host.HasCounters, fmt.Sprintf("%d/%d", orig, reply))
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
	row := make([]string, len(flowColumns))
	for i, c := range flowColumns {
		row[i] = c.cell(f)
	}
	t.rows = append(t.rows, row)
	return nil
}

func (t *flowTable) Close(end FlowsEnd) error {
	if len(t.rows) > 0 {
		names := t.cut()
		if fit := t.style.Fold; fit > 0 && !t.style.Wide && tableWidth(names, t.rows) > fit {
			fold(t.rows)
		}
		if err := table(t.w, names, t.rows); err != nil {
			return err
		}
	}
	var b strings.Builder
	about := ""
	if end.Unread > 0 { // what has timed out counts until it is removed
		about = "about "
	}
	switch rest := end.Matched + end.Unread - len(t.rows); {
	case end.Matched == 0:
		fmt.Fprintf(&b, "no flow fits (%s looked at)\n", counted(end.Checked, "entry", "entries"))
	case rest > 0 && t.limit == maxTable:
		fmt.Fprintf(&b, "\n%s%s not shown: use -o jsonl\n", about, counted(rest, "more flow", "more flows"))
	case rest > 0:
		fmt.Fprintf(&b, "\n%s%s not shown: --all shows them\n", about, counted(rest, "more flow", "more flows"))
	}
	missingText(&b, end.Header, t.style)
	if note := end.Header.Note; note != "" {
		wrap(&b, t.style.width(), "\n"+t.style.paint(yellow, "note:")+" ", "  ", safe(note))
	}
	_, err := io.WriteString(t.w, b.String())
	return err
}

// cut leaves the columns that are shown, and names them.
func (t *flowTable) cut() []string {
	var keep []int
	var names []string
	for i, c := range flowColumns {
		has := func(row []string) bool { return row[i] != "" }
		if c.show == always || t.style.Wide && (c.show == ifWide || slices.ContainsFunc(t.rows, has)) {
			keep, names = append(keep, i), append(names, c.name)
		}
	}
	for n, row := range t.rows {
		cut := make([]string, len(keep))
		for k, i := range keep {
			cut[k] = row[i]
		}
		t.rows[n] = cut
	}
	return names
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
