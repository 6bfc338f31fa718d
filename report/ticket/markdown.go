package ticket

import (
	"fmt"
	"io"
	"strings"

	"github.com/ntdiag/ntdiag/report"
)

// maxMarkdown is how many characters a page has that is pasted into an issue:
// GitHub takes 65,536.
const maxMarkdown = 60000

// How much of each the Markdown has at most; what does not fit is named.
const (
	markdownFindings = 15
	markdownRows     = 25
	markdownWays     = 6
)

// writeMarkdown writes what can be pasted into an issue: the verdict and the
// findings first, then as much of the rest as there is room for.
func writeMarkdown(w io.Writer, t *Ticket) error {
	p, err := newPage(t)
	if err != nil {
		return err
	}
	m := &markdown{room: maxMarkdown - closingRoom}
	m.head(p)
	m.kept = maxMarkdown / 2
	m.findings(p)
	m.kept = maxMarkdown / 4
	m.ways(p)
	m.kept = 0
	for i := range p.Sections {
		m.section(&p.Sections[i])
	}
	m.about(p)
	m.closing(p)
	_, err = io.WriteString(w, m.b.String())
	return err
}

// closingRoom is kept for what says what was left out.
const closingRoom = 1500

type markdown struct {
	b    strings.Builder
	room int // characters
	kept int // of them, for what comes later
	left []string
}

// add writes a block, or tells that there is no room for it.
func (m *markdown) add(block string) bool {
	n := len([]rune(block)) + 1
	if n > m.room-m.kept {
		return false
	}
	m.room -= n
	m.b.WriteString(block + "\n")
	return true
}

// leave notes what was left out.
func (m *markdown) leave(n int, one, many string) {
	if n > 0 {
		m.left = append(m.left, report.Counted(n, one, many))
	}
}

// marks are what stands for a severity where there is no colour.
var marks = map[string]string{report.Critical: "🔴", report.Warning: "🟠", report.Info: "ℹ️", "": "🟢"}

func (m *markdown) head(p *page) {
	m.add("## " + prose(p.Title) + "\n")
	m.add(fmt.Sprintf("%s **%s** %s\n", marks[p.Severity], orWord(p.Severity, "nothing found"), prose(p.Verdict)))
	if p.Beside != "" {
		m.add(prose(p.Beside) + "\n")
	}
	m.add(prose(strings.Join(p.Subtitle, ", ")) + "\n")
}

func orWord(s, or string) string {
	if s == "" {
		return or
	}
	return s
}

func (m *markdown) findings(p *page) {
	if len(p.Findings) == 0 {
		return
	}
	m.add("### Findings\n")
	n := 0
	for i := range p.Findings {
		if n == markdownFindings || !m.add(findingBlock(&p.Findings[i])) {
			break
		}
		n++
	}
	m.leave(len(p.Findings)-n+p.More, "finding", "findings")
}

func findingBlock(f *finding) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s **%s** %s\n\n", marks[f.Severity], f.Severity, prose(f.Text))
	for _, s := range f.Facts {
		b.WriteString("- " + prose(s) + "\n")
	}
	for i := range f.Rules {
		b.WriteString("- rule " + span(f.Rules[i].Name()) + ": " + span(f.Rules[i].Text) + "\n")
	}
	for i := range f.Causes {
		c := &f.Causes[i]
		b.WriteString("- **" + prose(c.Sure) + "**: " + prose(c.Text) + "\n")
		for _, e := range c.Evidence {
			b.WriteString("  - " + prose(e) + "\n")
		}
		doList(&b, c.Do)
	}
	for _, s := range f.Not {
		b.WriteString("- not: " + prose(s) + "\n")
	}
	doList(&b, f.Do)
	return b.String()
}

func doList(b *strings.Builder, all []report.Do) {
	for i := range all {
		d := &all[i]
		b.WriteString("- **do**: ")
		if d.Lead != "" {
			b.WriteString(prose(d.Lead) + " ")
		}
		if d.Command {
			b.WriteString(span(d.Text))
		} else {
			b.WriteString(prose(d.Text))
		}
		if d.Cost != "" {
			b.WriteString(" (it takes: " + prose(d.Cost) + ")")
		}
		b.WriteString("\n")
	}
}

// ways are what explain prints of each flow.
func (m *markdown) ways(p *page) {
	if len(p.Ways)+len(p.Unfound) == 0 {
		return
	}
	m.add("### Flows explained\n")
	for i := range p.Unfound {
		m.add("No entry fits " + span(p.Unfound[i].Query) + ":\n\n" + fenced(p.Unfound[i].Text))
	}
	n := 0
	for i := range p.Ways {
		w := &p.Ways[i]
		block := "<details><summary><code>" + entities(w.Title+": "+w.Answer) + "</code></summary>\n\n" + fenced(w.Text) + "\n</details>\n"
		if n == markdownWays || !m.add(block) {
			break
		}
		n++
	}
	m.leave(len(p.Ways)-n, "explained flow", "explained flows")
}

func (m *markdown) section(s *section) {
	if !m.add("### " + prose(s.Title) + "\n\n" + prose(s.Lead) + "\n") {
		m.left = append(m.left, "section "+s.Title)
		return
	}
	if len(s.Notes) > 0 {
		var b strings.Builder
		for _, n := range s.Notes {
			b.WriteString("- " + prose(n) + "\n")
		}
		if !m.add(b.String()) {
			m.left = append(m.left, "notes of "+s.Title)
		}
	}
	for i := range s.Tables {
		m.table(&s.Tables[i])
	}
}

// table writes the rows that fit.
func (m *markdown) table(t *table) {
	if t.Folded || len(t.Rows) == 0 {
		return
	}
	head, rule := "|", "|"
	for _, c := range t.Columns {
		head += " " + prose(c.Name) + " |"
		rule += map[bool]string{true: " --: |", false: " --- |"}[c.Kind == number]
	}
	n := 0
	if m.add("**" + prose(t.Caption) + "**\n\n" + head + "\n" + rule) {
		for _, r := range t.Rows {
			row := "|"
			for i := range r {
				row += " " + r[i].markdown() + " |"
			}
			if n == markdownRows || !m.add(row) {
				break
			}
			n++
		}
		m.add("")
	}
	m.leave(t.Count()-n, "row of "+t.Caption, "rows of "+t.Caption)
}

// markdown is the cell in a row: its parts a line each.
func (c cell) markdown() string {
	var out []string
	for _, p := range c.Parts {
		if p.Class == "code" {
			out = append(out, tableSpan(p.Text))
		} else {
			out = append(out, tableProse(p.Text))
		}
	}
	return strings.Join(out, "<br>")
}

func (m *markdown) about(p *page) {
	var b strings.Builder
	b.WriteString("### About\n\n")
	for _, f := range p.About {
		b.WriteString("- " + prose(f.Name) + ": " + prose(f.Value) + "\n")
	}
	if !m.add(b.String()) {
		m.left = append(m.left, "about the host")
	}
}

// closing says what was left out.
func (m *markdown) closing(p *page) {
	m.room += closingRoom
	if len(m.left) > 0 {
		text := "Left out here: " + strings.Join(m.left, ", ") + ". The HTML report has them."
		m.add(prose(cut(text, closingRoom/2)) + "\n")
	}
	m.add(prose(p.Footer))
}

func cut(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n]) + "…"
	}
	return s
}
