package counters

import (
	"cmp"
	"slices"

	"github.com/ntdiag/ntdiag/diagnose/host"
)

// Severity is what a finding means for traffic.
type Severity string

const (
	Info     Severity = "info"     // nothing is lost
	Warning  Severity = "warning"  // packets are lost, or go out without NAT
	Critical Severity = "critical" // and new connections go on failing, as it is now
)

// Moved is a counter and by how much it moved.
type Moved struct {
	Counter ID
	N       uint64
}

// Finding is one joint movement of counters.
type Finding struct {
	Name  string
	Moved []Moved // the first names the finding; none of a table that fills
	// Lost are the packets lost, as far as these counters tell.
	Lost     uint64
	Severity Severity
	Summary  string // what happened, a clause: "3 packets were lost: …"
	Meaning  string // what the counters mean on this kernel
	// Likely are the causes, those that the evidence carries best first.
	Likely   []Cause
	RuledOut []Ruled
	// Note says what of it is not sure.
	Note string
}

// Grade is how well evidence carries a cause.
type Grade string

const (
	Shown     Grade = "shown"     // it is so now
	Indicated Grade = "indicated" // something of it is there
	Open      Grade = "open"      // nothing for it, and nothing against it
)

var gradeOrder = map[Grade]int{Shown: 0, Indicated: 1, Open: 2}

// Cause is what can have moved the counters.
type Cause struct {
	Name     string
	Text     string
	Grade    Grade
	Evidence []string
	// Fix is one command or more, a line each, that can be pasted; without
	// evidence it is one that looks for it. Cost is what it takes; "" for nothing.
	Fix, Cost string
	// Keep: it is told whatever else is shown.
	Keep bool
}

// Ruled is a cause that the evidence rules out.
type Ruled struct{ Text, Why string }

// row is one finding: when it is made, and what can be behind it.
type row struct {
	name string
	// find tells which counters moved for it, nil for none of it, and fills the
	// rest of the finding.
	find   func(*Case, *Finding) []Moved
	causes []cause
}

// cause is one thing that can be behind a finding.
type cause struct {
	name, text string
	// look fills in the evidence, or says why it is none.
	look func(*Case, *Finding, *Cause) (ruledOut string)
	// since and before are the kernels on which it can be.
	since, before host.Release
	// last: named only where nothing else is shown or indicated.
	last bool
	// told: named only with evidence, and so never where there is none to be had.
	told bool
	// ask is a command that looks for it, for where there is no evidence.
	ask string
}

// rows are all findings, the gravest first.
var rows = []row{
	lostTogether,
	dropAlone,
	dropWithInvalid,
	insertFailedAlone,
	chainTooLong,
	earlyDropAlone,
	invalid,
	icmpError,
	portTaken,
	resolvedBefore510,
	clashResolved,
	inserted,
	searchRestarted,
}

// none is a cause that does not apply at all: nothing is said of it.
const none = "\x00"

// Diagnose says what the counters of c mean.
func Diagnose(c *Case) []Finding {
	c.split = splitOf(c)
	var out []Finding
	for _, r := range rows {
		f := Finding{Name: r.name, Severity: Info}
		if f.Moved = r.find(c, &f); len(f.Moved) == 0 {
			continue
		}
		if f.Meaning == "" {
			f.Meaning = Table[f.Moved[0].Counter].MeaningOn(c.Kernel.Release)
		}
		if !c.Brief {
			c.causes(&f, r.causes)
		}
		if !c.within() && f.Severity != Info {
			f.Note = sinceBoot
			if len(f.Moved) > 1 {
				f.Note = sinceBootTogether
			}
		}
		out = append(out, f)
	}
	if f := c.filling(out); f != nil {
		out = append(out, *f)
	}
	slices.SortStableFunc(out, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(severityOrder[a.Severity], severityOrder[b.Severity]))
	})
	return out
}

var severityOrder = map[Severity]int{Critical: 0, Warning: 1, Info: 2}

const (
	sinceBoot         = "counted since the namespace was made: it may be long past"
	sinceBootTogether = "counted since the namespace was made: it may be long past, and the counters need not have moved together"
)

// causes looks at each, and sorts them by what there is for them.
func (c *Case) causes(f *Finding, all []cause) {
	for _, x := range all {
		got := Cause{Name: x.name, Text: x.text, Grade: Open}
		why := ""
		switch {
		case !c.Kernel.Release.In(x.since, x.before):
			why = none
		case c.Look != nil && x.look != nil:
			why = x.look(c, f, &got)
		case c.Look == nil && x.told:
			why = none
		}
		switch {
		case why == none:
			continue
		case why != "":
			f.RuledOut = append(f.RuledOut, Ruled{x.text, why})
			continue
		}
		if got.Grade == Open && got.Fix == "" {
			got.Fix = x.ask
		}
		got.Fix = inside(got.Fix, c.Netns, c.Enter)
		f.Likely = append(f.Likely, got)
	}
	best := Open
	for _, x := range f.Likely {
		if gradeOrder[x.Grade] < gradeOrder[best] {
			best = x.Grade
		}
	}
	f.Likely = slices.DeleteFunc(f.Likely, func(x Cause) bool {
		last := slices.ContainsFunc(all, func(o cause) bool { return o.name == x.Name && o.last })
		return x.Grade == Open && (best == Shown && !x.Keep || best == Indicated && last)
	})
	slices.SortStableFunc(f.Likely, func(a, b Cause) int { return gradeOrder[a.Grade] - gradeOrder[b.Grade] })
}
