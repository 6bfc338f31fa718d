package report

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/explain"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/query"
	"github.com/ntdiag/ntdiag/diagnose/watch"
	"github.com/ntdiag/ntdiag/rules"
)

// eventColors paint what begins green and what ends dim.
var eventColors = map[capture.EventKind]string{
	capture.EventNew: green, capture.EventUpdate: yellow, capture.EventDestroy: red, capture.EventLost: red,
}

// eventTable is one event a line. Nobody knows how wide the columns will
// be: each grows with what it holds.
type eventTable struct {
	w      *bufio.Writer
	style  Style
	widths [4]int
}

// eventHeader are the columns whose widths grow, and the first widths: those of
// an ordinary IPv4 flow.
var (
	eventHeader = [4]string{"PROTO", "SOURCE", "DESTINATION", "STATE"}
	eventWidths = [4]int{5, 15, 13, 11}
)

// eventIndent is where the columns begin: time and kind stand before it.
const eventIndent = len("15:04:05.000 DESTROY ")

func newEventTable(w io.Writer, s Style) EventWriter {
	return &eventTable{w: bufio.NewWriterSize(w, 16<<10), style: s, widths: eventWidths}
}

func (t *eventTable) Flush() error { return t.w.Flush() }

func (t *eventTable) Add(e *Event) error {
	var b strings.Builder
	switch e.Kind {
	case capture.EventStart:
		t.header(&b)
	case capture.EventLost:
		t.note(&b, e, lostText(&e.Lost))
	case capture.EventResync:
		if !e.Resync.First {
			t.note(&b, e, resyncText(&e.Resync))
		}
	default:
		if e.Expect != nil {
			t.line(&b, e, expectCells(e.Expect), expectText(e))
		} else {
			t.line(&b, e, flowCells(&e.Flow), strings.TrimSpace(eventCauses(e)+t.wide(&e.Flow)))
		}
	}
	_, err := t.w.WriteString(b.String())
	return err
}

func (t *eventTable) header(b *strings.Builder) {
	line := fmt.Sprintf("%-*s", eventIndent, "TIME         EVENT")
	for i, name := range eventHeader {
		line += fmt.Sprintf("%-*s  ", t.widths[i], name)
	}
	b.WriteString(strings.TrimRight(line, " ") + "\n")
}

// head is time and kind.
func (t *eventTable) head(e *Event) string {
	kind := fmt.Sprintf("%-7s", strings.ToUpper(e.Kind.String()))
	return e.At.Format("15:04:05.000") + " " + t.style.paint(eventColors[e.Kind], kind) + " "
}

// note is a line of words.
func (t *eventTable) note(b *strings.Builder, e *Event, text string) {
	width := t.style.Fold
	if width == 0 {
		b.WriteString(t.head(e) + text + "\n")
		return
	}
	wrap(b, width, t.head(e), strings.Repeat(" ", eventIndent), text)
}

func lostText(l *capture.WatchLost) string {
	what := "events"
	switch {
	case l.Events == 1:
		what = "1 event"
	case l.Events > 1:
		what = strconv.FormatUint(l.Events, 10) + " events"
	}
	text := what + " lost: " + safe(l.Why)
	if gap := l.To.Sub(l.From); gap > 0 {
		text += ", within " + gapText(gap)
	}
	return text
}

// gapText is a time with as many places as matter.
func gapText(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return d.Round(time.Microsecond).String()
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	}
	return d.Round(10 * time.Millisecond).String()
}

func resyncText(r *capture.WatchResync) string {
	text := fmt.Sprintf("%s read in %s: %d new, %d changed, %d gone", counted(r.Entries, "entry", "entries"), gapText(r.Took), r.New, r.Changed, r.Gone)
	if r.Unsure > 0 {
		text += fmt.Sprintf(", %d new or forgotten", r.Unsure)
	}
	if r.Unparsed > 0 {
		text += fmt.Sprintf(", %d could not be read", r.Unparsed)
	}
	return text
}

func flowCells(f *host.Flow) [4]string {
	return [4]string{query.ProtoName(f.Original.Proto), sourceCell(f), destinationCell(f), stateCell(f)}
}

// line is one line where that fits, else the entry, what it became, and what
// made that, each on its own.
func (t *eventTable) line(b *strings.Builder, e *Event, cells [4]string, by string) {
	line := t.row(cells)
	if by != "" {
		line += "  " + by
	}
	if t.style.Fold == 0 || eventIndent+columns(line) <= t.style.Fold {
		t.grow(cells)
		b.WriteString(t.head(e) + strings.TrimRight(line, " ") + "\n")
		return
	}
	var after [4]string
	for i := range cells {
		cells[i], after[i], _ = strings.Cut(cells[i], " → ")
		if after[i] != "" {
			after[i] = "→ " + after[i]
		}
	}
	t.grow(cells)
	t.grow(after)
	first := strings.TrimRight(t.row(cells), " ")
	if eventIndent+columns(first) > t.style.Fold {
		by = strings.TrimSuffix(cells[3]+", "+by, ", ")
		cells[3] = ""
		first = strings.TrimRight(t.row(cells), " ")
	}
	b.WriteString(t.head(e) + first + "\n")
	indent := strings.Repeat(" ", eventIndent)
	if after != [4]string{} {
		b.WriteString(indent + strings.TrimRight(t.row(after), " ") + "\n")
	}
	if by != "" {
		indent += strings.Repeat(" ", t.widths[0]+2)
		wrap(b, t.style.Fold, indent, indent+"  ", by)
	}
}

// wide is what the wide listing of flows has besides.
func (t *eventTable) wide(f *host.Flow) string {
	if !t.style.Wide {
		return ""
	}
	text := ""
	for _, c := range flowColumns {
		if v := c.cell(f); c.show != always && v != "" {
			text += "  " + strings.ToLower(c.name) + " " + v
		}
	}
	return text
}

// row is the cells in their columns.
func (t *eventTable) row(cells [4]string) string {
	var b strings.Builder
	for i, c := range cells {
		b.WriteString(c + strings.Repeat(" ", max(t.widths[i]-columns(c), 0)))
		if i < len(cells)-1 {
			b.WriteString("  ")
		}
	}
	return b.String()
}

func (t *eventTable) grow(cells [4]string) {
	for i, c := range cells {
		t.widths[i] = max(t.widths[i], columns(c))
	}
}

// eventCauses says what made each rewrite.
func eventCauses(e *Event) string {
	var out []string
	for i := range e.Rewrites {
		r := &e.Rewrites[i]
		end := "src "
		if r.Manip == rules.ManipDst {
			end = "dst "
		}
		out = append(out, end+causeText(r))
	}
	if e.Found {
		out = append(out, "found in the table")
	}
	return strings.Join(out, ", ")
}

func causeText(r *watch.Rewrite[Rule]) string {
	if r.Cause == explain.CauseRule && len(r.Rules) > 0 {
		names := make([]string, len(r.Rules))
		for i, rule := range r.Rules {
			names[i] = eventRule(rule)
		}
		return "by " + strings.Join(names, " or ")
	}
	text := shortCause(&Rewrite{Cause: r.Cause})
	if r.Cause == explain.CauseUnknown && len(r.Unknown) > 0 {
		text += " (" + safe(r.Unknown[0]) + ")"
	}
	return text
}

// eventRule names a rule with its chain.
func eventRule(r *Rule) string {
	if r.Backend.Iptables() {
		return shortName(r)
	}
	return safe(r.Chain) + " " + ruleName(r)
}
