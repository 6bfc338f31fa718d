package counters

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/query"
	"github.com/ntdiag/ntdiag/diagnose/survey"
)

// Parts of the table in use. The kernel throws out unassured entries by itself
// from 95 % on (gc_worker), without counting that.
const (
	nearlyFull = 0.95
	roomy      = 0.9
)

// entryBytes is about what an entry takes, with its extensions.
const entryBytes = 320

// tableFull: __nf_conntrack_alloc found no room.
var tableFull = cause{
	name: "table-full",
	text: "the conntrack table is full: new flows get no entry",
	ask:  "sysctl net.netfilter.nf_conntrack_count net.netfilter.nf_conntrack_max; dmesg | grep 'table full'",
	look: func(c *Case, f *Finding, x *Cause) string {
		log, early, fill := c.kernelLog(), c.moved(EarlyDrop), c.fill()
		said := log != nil && log.Full > 0
		if c.within() && c.Stats.Max > 0 && fill < roomy && early == 0 && !said {
			return "it had room at both ends of the interval: " + c.fillText()
		}
		switch {
		case fill >= nearlyFull:
			x.Grade, f.Severity = Shown, Critical
			x.Evidence = append(x.Evidence, c.fillText())
		case early > 0 || said:
			x.Grade = Indicated
			x.Text = "the conntrack table was full: new flows got no entry"
			x.Evidence = append(x.Evidence, "now "+c.fillText())
		case c.Stats.Max > 0:
			x.Evidence = append(x.Evidence, "not now: "+c.fillText())
		}
		if early > 0 {
			x.Evidence = append(x.Evidence, fmt.Sprintf("early_drop +%d: entries thrown out of a full table", early))
		}
		logLines(log, x)
		if c.logErr != nil {
			x.Evidence = append(x.Evidence, "whether the kernel's log has more is not known: "+c.logErr.Error())
		}
		if x.Grade == Open {
			return ""
		}
		if fill >= roomy {
			c.talkers(x)
		}
		c.room(x)
		if x.Grade == Shown && f.Lost > 0 {
			f.Summary = c.lost(f.Lost) + ": the conntrack table is full"
		}
		return ""
	},
}

// soon is when a table that fills has to be looked at; one that is not half full
// yet, a twelfth of that: it may have only begun.
const soon = time.Hour

// filling is a table that will be full: no counter tells before it is.
func (c *Case) filling(found []Finding) *Finding {
	fill, grows, near := c.fill(), !c.Full.IsZero(), soon
	if fill < 0.5 {
		near /= 12
	}
	if fill < roomy && !(grows && c.Full.Sub(c.Now) < near) {
		return nil
	}
	for i := range found {
		if n := found[i].Name; n == dropAlone.name || n == earlyDropAlone.name {
			return nil // it is
		}
	}
	f := &Finding{Name: "filling", Severity: Warning, Meaning: "when the table is full, entries that are not assured are thrown out for new ones, and where there are none, packets are lost"}
	f.Summary = "the conntrack table is " + Percent(fill, 1) + " full"
	if grows {
		f.Summary += fmt.Sprintf(", and will be full at %s if it goes on growing so", c.Full.Format(time.RFC3339))
	}
	if c.Look == nil || c.Brief {
		return f
	}
	x := Cause{Name: "table-full", Text: "what it is full of", Grade: Shown}
	c.talkers(&x)
	c.room(&x)
	x.Fix = inside(x.Fix, c.Netns, c.Enter)
	f.Likely = []Cause{x}
	return f
}

func logLines(log *Log, x *Cause) {
	if log == nil {
		return
	}
	if log.Full > 0 {
		line := counted(uint64(log.Full), "message", "messages") + ` "table full" of this namespace in the kernel's log`
		if !log.Last.IsZero() {
			line += ", the last at " + log.Last.UTC().Format(time.RFC3339)
		}
		x.Evidence = append(x.Evidence, line)
	}
	if log.Other > 0 {
		x.Evidence = append(x.Evidence, counted(uint64(log.Other), "message", "messages")+` "table full" in the kernel's log of other namespaces, or that do not say of which`)
	}
}

// talkers says what the table is full of.
func (c *Case) talkers(x *Cause) {
	s := c.flows()
	if s == nil || s.Flows == 0 {
		return
	}
	n := float64(s.Flows)
	for i, g := range s.Groups() {
		if i == 3 || float64(g.Flows) < 0.1*n {
			break
		}
		name := query.ProtoName(g.Proto)
		if g.State != "" {
			name += " " + g.State
		}
		line := fmt.Sprintf("%s: %d flows (%s)", name, g.Flows, Percent(float64(g.Flows), n))
		if g.Unreplied > 0 {
			line += fmt.Sprintf(", %d without an answer", g.Unreplied)
		}
		x.Evidence = append(x.Evidence, line)
	}
	x.Evidence = append(x.Evidence, fmt.Sprintf("%d of %d may be thrown out for new ones (not assured)", s.Flows-s.Assured, s.Flows))
	addr := func(what string, top []survey.Counted[netip.Addr]) {
		for _, t := range top {
			if float64(t.N) >= 0.1*n {
				line := fmt.Sprintf("%s %s: %d flows (%s)", what, t.Key, t.N, Percent(float64(t.N), n))
				if t.Error > 0 {
					line += fmt.Sprintf(", or up to %d more", t.Error)
				}
				x.Evidence = append(x.Evidence, line)
			}
		}
	}
	addr("from", s.Sources(3))
	addr("to", s.Destinations(3))
	for _, p := range s.Ports(2) {
		if float64(p.N) >= 0.1*n {
			x.Evidence = append(x.Evidence, fmt.Sprintf("to %s port %d: %d flows (%s)", query.ProtoName(p.Key.Proto), p.Key.Port, p.N, Percent(float64(p.N), n)))
		}
	}
	c.ages(x)
}
