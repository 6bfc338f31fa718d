package report

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/counters"
)

var countersColor = map[counters.Severity]string{counters.Critical: red, counters.Warning: yellow, counters.Info: dim}

// countersText is the answer, what was found with its causes, and the numbers
// themselves.
func countersText(w io.Writer, d *Counters, s Style) error {
	var b strings.Builder
	one := d.lead()
	if one != nil {
		wrap(&b, s.width(), s.paint(countersColor[one.Severity], string(one.Severity)+":")+" ", "  ", safe(one.Summary))
	} else {
		wrap(&b, s.width(), "", "  ", d.answer())
	}
	wrap(&b, s.width(), "", "  ", d.fillText())
	for i := range d.Findings {
		if f := &d.Findings[i]; f.Severity != counters.Info || len(f.Likely)+len(f.RuledOut) > 0 {
			findingText(&b, f, s, f == one)
		}
	}
	d.harmless(&b, s)
	d.notes(&b, s)
	if err := d.numbers(&b, s); err != nil {
		return err
	}
	missingText(&b, d.Header, s)
	d.meanwhile(&b, s)
	_, err := io.WriteString(w, b.String())
	return err
}

// meanwhile is what the second reading adds to the first.
func (d *Counters) meanwhile(b *strings.Builder, s Style) {
	m := d.Meanwhile
	if m == nil {
		return
	}
	b.WriteByte('\n')
	wrap(b, s.width(), "Between the two readings: ", "  ", m.answer()+"; "+m.fillText())
	for i := range m.Findings {
		findingText(b, &m.Findings[i], s, false)
	}
}

// lead is the finding that is the answer, nil where it is not one alone.
func (d *Counters) lead() *CounterFinding {
	var one *CounterFinding
	for i := range d.Findings {
		if d.Findings[i].Severity == counters.Info {
			continue
		}
		if one != nil {
			return nil
		}
		one = &d.Findings[i]
	}
	return one
}

func (d *Counters) answer() string {
	when := "since the namespace was made"
	switch {
	case d.Between:
		when = "between the readings"
	case d.interval > 0:
		when = "in " + counters.Seconds(d.interval)
	}
	var parts []string
	if d.Lost > 0 {
		parts = append(parts, plural64(d.Lost, "packet", "packets")+" lost")
	}
	if d.Evicted > 0 {
		parts = append(parts, plural64(d.Evicted, "entry", "entries")+" thrown out of a full table")
	}
	if len(parts) == 0 {
		parts = append(parts, "no packet lost")
	}
	if n := d.Total.Values[counters.Invalid]; n > 0 {
		parts = append(parts, plural64(n, "packet", "packets")+" invalid")
	}
	return strings.Join(parts, ", ") + " " + when
}

func plural64(n uint64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.FormatUint(n, 10) + " " + many
}

func (d *Counters) fillText() string {
	t := d.Table
	if t.Max == 0 {
		if t.Count > 0 {
			return plural64(t.Count, "entry", "entries") + "; how many there may be is not told"
		}
		return "how full the table is is not told"
	}
	text := fmt.Sprintf("%s of %d (%s)", plural64(t.Count, "entry", "entries"), t.Max, counters.Percent(float64(t.Count), float64(t.Max)))
	if t.Buckets > 0 {
		text += fmt.Sprintf(", %d buckets", t.Buckets)
	}
	switch {
	case t.ExpectedFull != nil:
		text += "; full at " + t.ExpectedFull.Format(time.RFC3339) + " if it goes on growing so"
	case d.interval > 0 && !d.Offline && t.Count > d.before:
		text += fmt.Sprintf("; %d more than %s before", t.Count-d.before, counters.Seconds(d.interval))
	case d.interval > 0 && !d.Offline:
		text += "; not growing"
	}
	return text
}

// findingText is a finding with its causes; brief where its summary stands
// above.
func findingText(b *strings.Builder, f *CounterFinding, s Style, brief bool) {
	b.WriteByte('\n')
	if !brief {
		wrap(b, s.width(), s.paint(countersColor[f.Severity], string(f.Severity)+":")+" ", "  ", s.paint(bold, safe(f.Summary)))
	}
	var moved []string
	for _, m := range f.finding.Moved {
		moved = append(moved, fmt.Sprintf("%s +%d", m.Counter, m.N))
	}
	lead := "  "
	if len(moved) > 0 {
		lead += strings.Join(moved, ", ") + ": "
	}
	wrap(b, s.width(), lead, "    ", safe(f.Meaning))
	for i := range f.Likely {
		x := &f.Likely[i]
		wrap(b, s.width(), "  "+x.gradeWord()+" ", "    ", safe(x.Cause))
		for _, line := range x.Evidence {
			wrap(b, s.width(), "    - ", "      ", safe(line))
		}
		fixText(b, x, s)
	}
	for _, r := range f.RuledOut {
		wrap(b, s.width(), "  not: ", "    ", safe(r.Cause)+": "+safe(r.Why))
	}
	if f.Note != "" {
		wrap(b, s.width(), "  note: ", "    ", safe(f.Note))
	}
}

var gradeWords = map[counters.Grade]string{
	counters.Shown:     "cause:",
	counters.Indicated: "likely:",
	counters.Open:      "possible, no evidence:",
}

func (x *CounterCause) gradeWord() string {
	if x.Grade == counters.Open && len(x.Evidence) > 0 {
		return "possible:"
	}
	return gradeWords[x.Grade]
}

func fixText(b *strings.Builder, x *CounterCause, s Style) {
	lead := "    do: "
	if x.Grade == counters.Open {
		lead = "    look: "
	}
	for line := range strings.SplitSeq(x.Fix, "\n") {
		if line != "" {
			commandText(b, s, lead, "        ", safe(line))
			lead = strings.Repeat(" ", len(lead))
		}
	}
	if x.Cost != "" && x.Fix != "" {
		wrap(b, s.width(), "    cost: ", "          ", safe(x.Cost))
	}
}

// harmless are findings of which there is nothing to say but that.
func (d *Counters) harmless(b *strings.Builder, s Style) {
	first := true
	for i := range d.Findings {
		f := &d.Findings[i]
		if f.Severity != counters.Info || len(f.Likely)+len(f.RuledOut) > 0 {
			continue
		}
		if first {
			b.WriteByte('\n')
			first = false
		}
		wrap(b, s.width(), "info: ", "  ", safe(f.Summary))
	}
}

func (d *Counters) notes(b *strings.Builder, s Style) {
	notes := append([]string{}, d.Notes...)
	if d.KernelWhy != "" {
		notes = append(notes, "kernel: "+d.KernelWhy)
	}
	if d.Offline {
		notes = append(notes, "evidence: none, there is nothing but the numbers of "+d.Source+"; on the machine itself, ntdiag counters --interval 10s looks")
	} else if strings.HasPrefix(d.Source, "/proc/") {
		notes = append(notes, "read from "+d.Source+": netlink needs CAP_NET_ADMIN")
	}
	if d.interval == 0 && d.Wrong() && !d.Offline {
		notes = append(notes, "whether it goes on: ntdiag counters"+s.inNetns(d.Header)+" --interval 10s")
	}
	for i, n := range notes {
		if i == 0 {
			b.WriteByte('\n')
		}
		wrap(b, s.width(), "note: ", "  ", safe(n))
	}
}

func (s Style) inNetns(h Header) string {
	s.host = h.Host.Netns
	return s.netns()
}

// numbers is a counter a line, with what moves it on the kernel; those that did
// not move are named, unless all are asked for.
func (d *Counters) numbers(b *strings.Builder, s Style) error {
	width := 6
	for _, n := range d.total.Values {
		width = max(width, len(strconv.FormatUint(n, 10)))
	}
	b.WriteByte('\n')
	var rows [][]string
	var still []string
	for k := range counters.Table {
		c := &counters.Table[k]
		n, meaning := d.total.Values[k], c.MeaningOn(d.kernel.Release)
		switch {
		case !d.total.Has[k] || meaning == "" && n == 0:
			continue
		case n == 0 && !s.Wide:
			still = append(still, c.Name)
			continue
		}
		row := fmt.Sprintf("  %-15s %*d", c.Name, width, n)
		if n > 0 {
			row = s.paint(bold, row)
		}
		wrap(b, s.width(), row+"  ", strings.Repeat(" ", 18+width+2), meaning)
		cells := []string{c.Name}
		for _, cpu := range d.CPUs {
			cells = append(cells, strconv.FormatUint(cpu.Values[k], 10))
		}
		rows = append(rows, cells)
	}
	if len(still) > 0 {
		wrap(b, s.width(), "  0: ", "     ", strings.Join(still, ", "))
	}
	switch {
	case d.PerCPU || s.Wide && len(d.CPUs) > maxColumns:
		return d.perCPU(b, s.width())
	case !s.Wide || len(rows) == 0:
		return nil
	}
	b.WriteString("\n")
	header := []string{""}
	for _, c := range d.CPUs {
		header = append(header, "cpu "+itoa(c.CPU.CPU))
	}
	return table(b, header, rows)
}

// maxColumns is how many CPUs have a column each; more have a row each.
const maxColumns = 16

// uneven is how many times more than its share a CPU has to have counted for the
// load to be called uneven, of at least so many.
const (
	uneven     = 2.0
	unevenFrom = 100
)

// perCPU is a row for each CPU, with the counters that moved; where they do not
// fit the width, in several tables.
func (d *Counters) perCPU(b *strings.Builder, width int) error {
	var ids []int
	for k := range counters.Table {
		if d.total.Values[k] > 0 {
			ids = append(ids, k)
		}
	}
	if len(ids) == 0 {
		b.WriteString("\nno counter moved on any CPU\n")
		return nil
	}
	sum := func(c *counters.CPU) (n uint64) {
		for _, k := range ids {
			n += c.Values[k]
		}
		return n
	}
	all := sum(&d.total)
	busiest := 0
	share := make([]string, len(d.CPUs))
	for i := range d.CPUs {
		n := sum(&d.CPUs[i].CPU)
		if n > sum(&d.CPUs[busiest].CPU) {
			busiest = i
		}
		share[i] = counters.Percent(float64(n), float64(all))
	}
	for rest := ids; len(rest) > 0; {
		n := d.fitting(rest, width)
		b.WriteByte('\n')
		header := []string{"cpu", "share"}
		for _, k := range rest[:n] {
			header = append(header, counters.Table[k].Name)
		}
		var rows [][]string
		for i := range d.CPUs {
			c := &d.CPUs[i].CPU
			cells := []string{itoa(c.CPU), share[i]}
			for _, k := range rest[:n] {
				cells = append(cells, strconv.FormatUint(c.Values[k], 10))
			}
			rows = append(rows, cells)
		}
		if err := table(b, header, rows); err != nil {
			return err
		}
		rest = rest[n:]
	}
	if n := sum(&d.CPUs[busiest].CPU); len(d.CPUs) > 1 && n >= unevenFrom && float64(n) >= uneven*float64(all)/float64(len(d.CPUs)) {
		fmt.Fprintf(b, "CPU %d counted %s of all: receive queues may be uneven (RSS, RPS)\n", d.CPUs[busiest].CPU.CPU, counters.Percent(float64(n), float64(all)))
	}
	return nil
}

// fitting is how many of the counters fit beside each other, at least one: each
// takes what its name or its largest number does, and two spaces.
func (d *Counters) fitting(ids []int, width int) int {
	used := len("9999  under 0.1 %")
	for n, k := range ids {
		w := len(counters.Table[k].Name)
		for i := range d.CPUs {
			w = max(w, len(strconv.FormatUint(d.CPUs[i].CPU.Values[k], 10)))
		}
		if used += 2 + w; used > width && n > 0 {
			return n
		}
	}
	return len(ids)
}

// CountersFrame is what a --follow shows at a time: the last step, and all since
// it began.
func CountersFrame(step, sum *Counters, s Style) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s\n", step.Host.CapturedAt.Format(time.TimeOnly), s.paint(bold, sum.answer()))
	b.WriteString(step.fillText() + "\n\n")
	fmt.Fprintf(&b, "  %-15s %12s %12s %12s\n", "", "a second", "last "+counters.Seconds(step.interval), "in all")
	for k := range counters.Table {
		if !sum.total.Has[k] || counters.Table[k].MeaningOn(sum.kernel.Release) == "" {
			continue
		}
		n := step.total.Values[k]
		row := fmt.Sprintf("  %-15s %12.1f %12d %12d", counters.Table[k].Name, float64(n)/step.interval.Seconds(), n, sum.total.Values[k])
		if n > 0 {
			row = s.paint(bold, row)
		}
		b.WriteString(row + "\n")
	}
	b.WriteByte('\n')
	shown := 0
	for i := range sum.Findings {
		f := &sum.Findings[i]
		if shown == maxFrame {
			break
		}
		shown++
		b.WriteString(s.paint(countersColor[f.Severity], string(f.Severity)) + ": " + safe(f.Summary) + "\n")
	}
	return b.String()
}

// maxFrame bounds the findings of a frame: it has 24 lines.
const maxFrame = 5
