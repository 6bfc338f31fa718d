// Package ticket makes one page of what the commands say of a network namespace:
// HTML that needs nothing but itself, or Markdown for an issue.
//
// The documents become a page (page.go): findings, sections of tables, the ways
// of flows. All text of a page is made printable at one place (printable.go)
// before a writer sees it, and each writer escapes for its own format.
package ticket

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/report"
)

// Ticket is what the commands said of one namespace. A document that is nil was
// not made; Missing says why.
type Ticket struct {
	Tool string    // version of the program
	Made time.Time // when the page is made
	Now  time.Time // what ages are counted to: when it was captured
	// From is the file that it was made of, "" for the kernel. Redacted tells
	// whether names and addresses stand for others.
	From     string
	Redacted bool
	Kept     []Fact // what stayed as it is where the rest was hidden, and why
	Host     report.Host
	About    []Fact

	Rules    *report.Rules
	Stale    *report.Stale
	Counters *report.Counters
	Invalid  *report.Invalid
	// Asked are the answers to what was asked for, Flows further flows that were
	// explained; MoreFlows is how many more could have been.
	Asked     []*report.Explain
	Flows     []Flow
	MoreFlows int
	Missing   []host.Missing
}

// Fact is a line of what the page is about.
type Fact struct{ Name, Value string }

// Flow is an explained flow.
type Flow struct {
	Why string // why it is shown: "stale", "for rule …"
	report.Explained
}

// Format writes a ticket.
type Format struct {
	Name  string
	Ext   string // of a file's name
	Write func(io.Writer, *Ticket) error
}

var formats = []Format{
	{"html", ".html", writeHTML},
	{"markdown", ".md", writeMarkdown},
}

// Formats names the formats, the default first.
func Formats() []string {
	var out []string
	for _, f := range formats {
		out = append(out, f.Name)
	}
	return out
}

// FormatByName finds a format.
func FormatByName(name string) (Format, error) {
	for _, f := range formats {
		if f.Name == name {
			return f, nil
		}
	}
	return Format{}, fmt.Errorf("unknown output format %q (known: %s)", name, strings.Join(Formats(), ", "))
}

// Found tells whether anything of the ticket is a warning or worse.
func (t *Ticket) Found() bool {
	all, _ := t.points()
	wrong := func(p report.Point) bool { return p.Severity != report.Info }
	missed := func(d *report.Explain) bool { return len(d.Flows) == 0 }
	return slices.ContainsFunc(all, wrong) || slices.ContainsFunc(t.Asked, missed)
}
