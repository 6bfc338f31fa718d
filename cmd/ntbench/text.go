package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
)

// seconds is a time with three digits.
func seconds(s float64) string {
	unit := "s"
	if s < 1 && s > -1 {
		s, unit = s*1000, "ms"
	}
	digits := 2
	for n := s; (n >= 10 || n <= -10) && digits > 0; n /= 10 {
		digits--
	}
	return strconv.FormatFloat(s, 'f', digits, 64) + " " + unit
}

// thousands is n with commas.
func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// plus is a difference of times.
func plus(s float64) string {
	if s < 0 {
		return seconds(s)
	}
	return "+" + seconds(s)
}

// mib is "-" for what is not known.
func mib(kib int) string {
	if kib == 0 {
		return "-"
	}
	return strconv.Itoa((kib + 1023) >> 10)
}

// Columns of the lines, 80 in all.
const columns = "%-30s%9s%10s%9s%8s%5s  %s\n"

func lineHead(w io.Writer) {
	fmt.Fprintf(w, columns, "", "ours", "reference", "ratio", "at most", "MiB", "verdict")
}

// line shows a result on one line, and what is wrong below.
func line(w io.Writer, r *Result) {
	name := r.Name
	if r.Shape != "" {
		name += ", " + r.Shape
	}
	fmt.Fprintf(w, columns, name, r.ours(), seconds(r.Theirs.Seconds), r.ratio(), r.row.bound(), mib(r.Ours.PeakKiB), r.verdict())
	for _, text := range slices.Concat(r.Wrong, r.Missed, r.Told) {
		wrapped(w, text)
	}
}

// wrapped writes a text within 80 columns, below a line.
func wrapped(w io.Writer, text string) {
	row := " "
	for _, word := range strings.Fields(text) {
		if len(row)+1+len(word) > 80 && row != " " {
			fmt.Fprintln(w, row)
			row = "   "
		}
		row += " " + word
	}
	fmt.Fprintln(w, row)
}

// ours is its time, or that it takes more than that.
func (r *Result) ours() string {
	if r.Ours.Over {
		return "> " + seconds(r.Ours.Seconds)
	}
	return seconds(r.Ours.Seconds)
}

// ratio is what the bound is for.
func (r *Result) ratio() string {
	switch {
	case r.row.Within > 0:
		return plus(r.Less)
	case r.Ours.Over:
		return fmt.Sprintf("> %.1f", r.Ratio)
	}
	return fmt.Sprintf("%.2f", r.Ratio)
}

func (r *Row) bound() string {
	if r.Within > 0 {
		return fmt.Sprintf("%+d ms", r.Within.Milliseconds())
	}
	return fmt.Sprintf("%.2f", r.AtMost)
}

// reference in Markdown.
func (r *Row) reference() string {
	if r.Reference != "" {
		return r.Reference
	}
	var out []string
	for _, c := range r.Theirs {
		out = append(out, "`"+strings.ReplaceAll(c, " FLOW", "")+"`")
	}
	return strings.Join(out, " and ")
}

// header says what was measured and where, a line each.
func (r *Report) header() []string {
	s := r.Sizes
	return []string{
		fmt.Sprintf("%s, kernel %s, %d cores, %s buckets, %s", r.Date.Format("2006-01-02"), r.Kernel, r.Cores, thousands(r.Buckets), r.Go),
		strings.Join(r.Tools, ", "),
		fmt.Sprintf("%s flows, %s rules (few: %s), %s elements, runs: %d", thousands(s.Flows), thousands(s.Rules), thousands(s.Few), thousands(s.Elements), s.Runs),
		fmt.Sprintf("to read an empty table, beside what other namespaces have: %s", seconds(r.Empty)),
	}
}

// tableHead are the columns of the table in Markdown; the first three are those
// of Rows.
const tableHead = `| work | beside | at most | rules | ratio | ntdiag | reference | CPU, both | MiB | |
|---|---|---|---|---|---|---|---|---|---|
`

// fixed are the cells of a row that are no figures.
func (r *Row) fixed() string {
	return fmt.Sprintf("| %s | %s | %s |", r.Work, r.reference(), r.bound())
}

// markdown writes the table of results.
func (r *Report) markdown(w io.Writer) {
	fmt.Fprint(w, tableHead)
	for _, x := range r.Results {
		verdict := x.verdict()
		if verdict != "ok" {
			verdict = "**" + verdict + "**"
		}
		fmt.Fprintf(w, "%s %s | %s | %s | %s | %s, %s | %s | %s |\n", x.row.fixed(), x.Shape, x.ratio(), x.ours(),
			seconds(x.Theirs.Seconds), seconds(x.Ours.CPU), seconds(x.Theirs.CPU), mib(x.Ours.PeakKiB), verdict)
	}
}

// page is results.md.
func (r *Report) page(w io.Writer, plots []string) {
	fmt.Fprint(w, "# ntdiag beside the usual tools\n\n")
	r.section(w)
	for _, x := range r.Results {
		for _, text := range slices.Concat(x.Wrong, x.Missed, x.Told) {
			fmt.Fprintf(w, "\n%s: %s\n", strings.TrimSuffix(x.Name+", "+x.Shape, ", "), text)
		}
	}
	r.growthTable(w)
	for _, p := range plots {
		fmt.Fprintf(w, "\n![%s](%s)\n", strings.TrimSuffix(p, ".svg"), p)
	}
}

// section is what was measured where, and the table.
func (r *Report) section(w io.Writer) {
	for i, text := range r.header() {
		end := ";\n"
		if i == len(r.header())-1 {
			end = ".\n\n"
		}
		fmt.Fprint(w, text, end)
	}
	r.markdown(w)
}

// The table of results in the README stands between these.
const readmeBegin, readmeEnd = "<!-- bench -->\n", "<!-- /bench -->\n"

// intoReadme puts the section where that of a former run stands.
func (r *Report) intoReadme(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, begins := strings.Cut(string(text), readmeBegin)
	_, after, ends := strings.Cut(rest, readmeEnd)
	if !begins || !ends {
		return fmt.Errorf("%s: no %s … %s", path, strings.TrimSpace(readmeBegin), strings.TrimSpace(readmeEnd))
	}
	var b strings.Builder
	r.section(&b)
	return os.WriteFile(path, []byte(before+readmeBegin+b.String()+readmeEnd+after), 0o644)
}

// growthTable lists the points of the plots.
func (r *Report) growthTable(w io.Writer) {
	if len(r.Growth) == 0 {
		return
	}
	fmt.Fprint(w, "\n| grows | at | rules | command | time | CPU | MiB |\n|---|---|---|---|---|---|---|\n")
	for _, p := range r.Growth {
		fmt.Fprintf(w, "| %s | %s | %s | %s | %s | %s | %s |\n", p.Axis, thousands(p.N), p.Shape, p.Name, seconds(p.Seconds), seconds(p.CPU), mib(p.PeakKiB))
	}
}
