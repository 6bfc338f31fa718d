package ticket

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/report"
)

// page is all that a writer shows, in the order in which it is read.
type page struct {
	Title    string
	Subtitle []string
	Severity string // of the verdict, "" for nothing found
	Verdict  string
	Beside   string // what was found beside it
	Findings []finding
	More     int // findings that are not among them
	Ways     []way
	WaysMore string
	Unfound  []unfound
	Sections []section
	About    []Fact
	Footer   string
}

// finding is a report.Point with a place in the page.
type finding struct {
	ID string
	report.Point
}

// First is the first thing to do, of the finding itself or of its first cause
// that has one; nil for nothing.
func (f finding) First() *report.Do {
	if len(f.Do) > 0 {
		return &f.Do[0]
	}
	for i := range f.Causes {
		if len(f.Causes[i].Do) > 0 {
			return &f.Causes[i].Do[0]
		}
	}
	return nil
}

// unfound is a query that no entry fits, with what explain prints then.
type unfound struct {
	Query string
	Text  []string
}

// section is tables with what is to be said before.
type section struct {
	ID, Title, Lead string
	Notes           []string
	Tables          []table
}

// maxFindings is how many findings a page has.
const maxFindings = 60

func newPage(t *Ticket) (*page, error) {
	p := &page{Title: "NAT of " + named(t.Host), Subtitle: t.subtitle()}
	all, more := t.points()
	p.verdict(t, all)
	for i, x := range all[:min(len(all), maxFindings)] {
		p.Findings = append(p.Findings, finding{fmt.Sprintf("finding-%d", i+1), x})
	}
	p.More = len(all) - len(p.Findings) + more
	if err := p.ways(t); err != nil {
		return nil, err
	}
	for _, s := range []*section{t.rules(), t.stale(), t.counters(), t.invalid(), t.missing()} {
		if s == nil {
			continue
		}
		for i := range s.Tables {
			s.Tables[i].prune()
		}
		p.Sections = append(p.Sections, *s)
	}
	p.About = t.about()
	p.Footer = "Made by ntdiag " + t.Tool + " at " + clock(t.Made) + "."
	out := printable(*p)
	return &out, nil
}

func named(h report.Host) string {
	name := h.Hostname
	if name == "" {
		name = "this host"
	}
	if h.Netns != "" {
		name += ", namespace " + h.Netns
	}
	return name
}

func (t *Ticket) subtitle() []string {
	out := []string{"captured " + clock(t.Host.CapturedAt)}
	if t.Host.Kernel != "" {
		out = append(out, "kernel "+t.Host.Kernel)
	}
	if t.Redacted {
		out = append(out, "redacted: names and addresses stand for others")
	}
	return out
}

// speakers is in which order findings of one severity stand.
var speakers = []string{"stale", "invalid", "counters", "rules"}

// points are the findings of all documents, the gravest first, and how many more
// there are of stale flows.
func (t *Ticket) points() (out []report.Point, more int) {
	if t.Stale != nil {
		out, more = t.Stale.Points(t.Now, maxFindings)
	}
	if t.Invalid != nil {
		out = append(out, t.Invalid.Points()...)
	}
	if t.Counters != nil {
		out = append(out, t.Counters.Points()...)
	}
	if t.Rules != nil {
		out = append(out, t.Rules.Points()...)
	}
	slices.SortStableFunc(out, func(a, b report.Point) int {
		return cmp.Or(rank(a.Severity)-rank(b.Severity), slices.Index(speakers, a.Of)-slices.Index(speakers, b.Of))
	})
	return out, more
}

// verdict is the worst finding, or what was looked at without one.
func (p *page) verdict(t *Ticket, all []report.Point) {
	n := map[string]int{}
	for i := range all {
		n[all[i].Severity]++
	}
	unknown := len(t.allMissing())
	if n[report.Critical]+n[report.Warning] == 0 {
		p.Verdict = "Nothing wrong was found" + lookedAt(t)
	} else {
		p.Severity, p.Verdict = all[0].Severity, all[0].Text
		n[p.Severity]--
	}
	var beside []string
	for _, x := range []struct{ sev, one, many string }{
		{report.Critical, "critical finding", "critical findings"}, {report.Warning, "warning", "warnings"}, {report.Info, "note", "notes"},
	} {
		more := ""
		if x.sev == p.Severity {
			more = "more "
		}
		if n[x.sev] > 0 {
			beside = append(beside, report.Counted(n[x.sev], more+x.one, more+x.many))
		}
	}
	if unknown > 0 {
		beside = append(beside, report.Counted(unknown, "thing", "things")+" could not be known")
	}
	p.Beside = strings.Join(beside, ", ")
}

func lookedAt(t *Ticket) string {
	var out []string
	if t.Rules != nil {
		out = append(out, report.Counted(t.Rules.Summary.NATRules, "NAT rule", "NAT rules"))
	}
	if t.Stale != nil {
		out = append(out, report.Counted(t.Stale.Checked, "flow", "flows"))
	}
	if t.Counters != nil {
		out = append(out, "the counters")
	}
	if t.Invalid != nil {
		out = append(out, "the kernel's log")
	}
	if len(out) == 0 {
		return ""
	}
	return ": " + strings.Join(out, ", ") + " looked at"
}

// allMissing is what could not be known, once each, over all documents.
func (t *Ticket) allMissing() []host.Missing {
	var out []host.Missing
	add := func(all []host.Missing) {
		for _, m := range all {
			if !slices.Contains(out, m) {
				out = append(out, m)
			}
		}
	}
	add(t.Missing)
	for _, h := range t.headers() {
		add(h.Missing)
	}
	return out
}

func (t *Ticket) headers() []*report.Header {
	var out []*report.Header
	if t.Rules != nil {
		out = append(out, &t.Rules.Header)
	}
	if t.Stale != nil {
		out = append(out, &t.Stale.Header)
	}
	if t.Counters != nil {
		out = append(out, &t.Counters.Header)
	}
	if t.Invalid != nil {
		out = append(out, &t.Invalid.Header)
	}
	for _, d := range t.Asked {
		out = append(out, &d.Header)
	}
	return out
}

// Incomplete is what could not be read, nil when all was.
func (t *Ticket) Incomplete() []host.Missing { return t.allMissing() }

func (t *Ticket) about() []Fact {
	out := []Fact{
		{"Host", t.Host.Hostname}, {"Network namespace", t.Host.Netns}, {"Kernel", t.Host.Kernel},
		{"Captured", clock(t.Host.CapturedAt)},
	}
	if t.From != "" {
		out = append(out, Fact{"Made of", t.From})
	}
	out = append(out, t.About...)
	if t.Redacted {
		out = append(out, Fact{"Redacted", "yes"}, Fact{"What redaction keeps",
			"which addresses are in one network, and in one class (private, public, …); ports, protocols, marks, handles and times; how much of each there is. Who knows some of the originals can find others by that."})
		for _, k := range t.Kept {
			out = append(out, Fact{"Kept: " + k.Name, k.Value})
		}
	} else {
		out = append(out, Fact{"Redacted", "no: addresses, names and comments are those of the host"})
	}
	return slices.DeleteFunc(out, func(f Fact) bool { return f.Value == "" })
}

// ways are the flows that were asked for, then the others.
func (p *page) ways(t *Ticket) error {
	more := t.MoreFlows
	for _, d := range t.Asked {
		more += d.More
		for i := range d.Flows {
			if err := p.way(t, "asked for: "+d.Query, &d.Flows[i]); err != nil {
				return err
			}
		}
		if len(d.Flows) > 0 {
			continue
		}
		lines, err := t.printed(d)
		if err != nil {
			return err
		}
		p.Unfound = append(p.Unfound, unfound{d.Query, lines})
	}
	for i := range t.Flows {
		if err := p.way(t, t.Flows[i].Why, &t.Flows[i].Explained); err != nil {
			return err
		}
	}
	if more > 0 {
		p.WaysMore = report.Counted(more, "more flow", "more flows") + " could be explained here: ask for one with --explain QUERY."
	}
	return nil
}

func (p *page) way(t *Ticket, why string, x *report.Explained) error {
	w, err := t.way(fmt.Sprintf("flow-%d", len(p.Ways)+1), why, x)
	p.Ways = append(p.Ways, w)
	return err
}

// printed is what explain prints.
func (t *Ticket) printed(d *report.Explain) ([]string, error) {
	f, err := report.FormatByName(report.Formats()[0])
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	if err := f.Explain(&b, d, report.Style{Now: t.Now}); err != nil {
		return nil, err
	}
	return strings.Split(strings.TrimRight(b.String(), "\n"), "\n"), nil
}
