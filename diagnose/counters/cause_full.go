package counters

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/host"
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
	if fill < roomy && !(grows && time.Until(c.Full) < near) {
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
}

// room is the command that makes room: what fits what the table is full of.
func (c *Case) room(x *Cause) {
	limit := max(c.Stats.Max, 1)
	const established = "net.netfilter.nf_conntrack_tcp_timeout_established"
	if s := c.flows(); s != nil && c.fill() >= roomy {
		for _, g := range s.Groups() {
			long := g.Timeouts[len(g.Timeouts)-1]
			if g.Proto == host.ProtoTCP && g.State == "ESTABLISHED" && float64(long) >= manyOf*float64(s.Flows) {
				x.Evidence = append(x.Evidence, fmt.Sprintf("%d established connections have over a day left; %s is %s", long, established, c.sysctl(established)))
				x.Fix = "sysctl -w " + established + "=86400"
				x.Cost = "connections that are silent for longer than a day lose their entry, and their NAT; entries that are there keep their time until their next packet"
				return
			}
		}
	}
	x.Fix = fmt.Sprintf("sysctl -w net.netfilter.nf_conntrack_max=%d", 2*limit)
	x.Cost = fmt.Sprintf("up to %d MiB of kernel memory more; one value for the whole machine, held against the entries of each namespace, and written in the first only", limit*entryBytes>>20+1)
}

// fewBuckets: entries stand in two chains each, one for either tuple; one of
// more than 50 to 79 is refused.
var fewBuckets = cause{
	name: "few-buckets",
	text: "too few hash buckets for the entries",
	ask:  "sysctl net.netfilter.nf_conntrack_buckets net.netfilter.nf_conntrack_count",
	look: func(c *Case, f *Finding, x *Cause) string {
		if c.Stats.Buckets == 0 {
			return ""
		}
		mean := 2 * float64(c.Stats.Entries) / float64(c.Stats.Buckets)
		x.Evidence = append(x.Evidence, fmt.Sprintf("2 × %d entries in %d buckets: %.1f in a chain on average, refused from 50 to 79 on; the buckets are those of all namespaces", c.Stats.Entries, c.Stats.Buckets, mean))
		if mean >= 8 {
			x.Grade = Shown
		}
		want := c.Stats.Buckets * 2
		for want < c.Stats.Max {
			want *= 2
		}
		x.Fix = fmt.Sprintf("sysctl -w net.netfilter.nf_conntrack_buckets=%d", want)
		x.Cost = fmt.Sprintf("%d MiB of kernel memory, and a moment in which lookups wait; in the first namespace", want*8>>20+1)
		return ""
	},
}

// helperAdjust: nf_ct_seq_adjust failed.
var helperAdjust = cause{
	name: "helper-adjust", told: true,
	text: "the sequence numbers of a connection that a helper rewrites could not be adjusted",
	ask:  "ntdiag flows --status SEQ_ADJUST -o wide",
	look: func(c *Case, f *Finding, x *Cause) string {
		s := c.flows()
		switch {
		case s == nil:
			return none
		case s.SeqAdjusted == 0 && c.within():
			return "no connection has its sequence numbers adjusted"
		case s.SeqAdjusted == 0:
			return none
		}
		x.Grade = Indicated
		x.Evidence = append(x.Evidence, counted(uint64(s.SeqAdjusted), "connection has its", "connections have their")+" sequence numbers adjusted")
		if log := c.kernelLog(); log != nil && log.Helper > 0 {
			x.Evidence = append(x.Evidence, counted(uint64(log.Helper), "message", "messages")+" of a helper in the kernel's log, the last: "+log.LastHelper)
		}
		return ""
	},
}

// Growth is how the number of entries changes.
type Growth struct{ first, last sample }

type sample struct {
	at time.Time
	n  uint64
}

// Add takes a reading.
func (g *Growth) Add(at time.Time, n uint64) {
	if g.first.at.IsZero() {
		g.first = sample{at, n}
	}
	g.last = sample{at, n}
}

// tooFar is when a forecast from a short time tells nothing any more.
const tooFar = 30 * 24 * time.Hour

// Full is when the table will be full, if it goes on as it did between the first
// and the last reading; false where it does not grow, or by less than chance
// would.
func (g *Growth) Full(limit uint64) (time.Time, bool) {
	dt := g.last.at.Sub(g.first.at)
	if dt <= 0 || g.last.n <= g.first.n || limit <= g.last.n {
		return time.Time{}, false
	}
	grown := float64(g.last.n - g.first.n)
	if grown*grown < 4*float64(g.first.n) || grown < 10 {
		return time.Time{}, false // within twice the deviation of as many independent flows
	}
	left := float64(limit-g.last.n) / grown * float64(dt)
	if left > float64(tooFar) {
		return time.Time{}, false
	}
	return g.last.at.Add(time.Duration(left)), true
}
