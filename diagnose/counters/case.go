package counters

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/explain"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/survey"
)

// Case is what findings are made from.
type Case struct {
	// Stats are the counters: since boot, or within Interval.
	Stats    *Stats
	Kernel   Kernel
	Interval time.Duration
	// Untimed: between two readings, of which it is not known how long it was.
	Untimed bool
	// Brief: causes are not looked for.
	Brief bool
	// Before are the entries at the beginning of the interval.
	Before uint64
	// Now is when they were read.
	Now time.Time
	// Full is when the table is expected to be full; zero for never.
	Full time.Time
	// Netns names the namespace, as --netns does, "" for the one we are in; Enter
	// is what a command begins with to run there.
	Netns, Enter string
	// Look looks up evidence; nil where there is nothing but the numbers.
	Look Look
	// Missing is what was looked for in vain, filled by Diagnose.
	Missing []host.Missing

	split     split
	snapshot  *host.Snapshot
	survey    *survey.Survey
	log       *Log
	logErr    error
	explainer *explain.Explainer
	asked     map[string]bool
	portsGone bool // it was shown that there are none left
}

// Look gives evidence of a machine. Each is asked for at most once, and only
// when a finding needs it.
type Look interface {
	Snapshot() (*host.Snapshot, error)
	// Survey reads the whole table.
	Survey(ranges []survey.PortRange) (*survey.Survey, error)
	// Log is what the kernel's log says of this namespace.
	Log() (*Log, error)
}

// Notes are what the survey shows beside the findings: flows that need a helper
// behind NAT and have none. Nothing is counted of what they lack.
func (c *Case) Notes() []string {
	if c.survey == nil || c.survey.SNAT == 0 {
		return nil
	}
	var out []string
	for _, h := range c.survey.HelperPorts() {
		if h.With == 0 {
			out = append(out, fmt.Sprintf("%s to port %d without the helper %s: %s get no NAT", counted(uint64(h.Flows), "flow goes", "flows go"), h.Port, h.Helper, h.What))
		}
	}
	return out
}

// Log is what a kernel's log says, as far back as it goes.
type Log struct {
	// Full are the messages "table full" of the namespace; Other are those that
	// another namespace has, or that do not tell of which they are.
	Full, Other int
	Last        time.Time // of Full; zero where the log does not tell
	// Helper are messages of helpers that dropped a packet, and LastHelper is the
	// last one's text.
	Helper     int
	LastHelper string
}

// once tells whether it is the first time that what is asked for.
func (c *Case) once(what string) bool {
	if c.asked == nil {
		c.asked = map[string]bool{}
	}
	first := !c.asked[what]
	c.asked[what] = true
	return first
}

func (c *Case) missing(what string, err error) {
	if err != nil {
		c.Missing = append(c.Missing, host.Missing{What: what, Why: err.Error()})
	}
}

// host is everything but the flows, nil where it could not be read.
func (c *Case) host() *host.Snapshot {
	if c.once("snapshot") {
		var err error
		c.snapshot, err = c.Look.Snapshot()
		c.missing("rules and settings", err)
		if c.snapshot != nil {
			c.Missing = append(c.Missing, c.snapshot.Missing...)
			c.explainer = explain.New(c.snapshot)
		}
	}
	return c.snapshot
}

// flows is the survey of the table, nil where it could not be read.
func (c *Case) flows() *survey.Survey {
	if c.once("survey") {
		var err error
		c.survey, err = c.Look.Survey(natRanges(c.host()))
		c.missing("flows", err)
	}
	return c.survey
}

// kernelLog is nil where it could not be read, which is said where it would have
// told something; it is no gap in the answer, as the log is never complete.
func (c *Case) kernelLog() *Log {
	if c.once("log") {
		c.log, c.logErr = c.Look.Log()
	}
	return c.log
}

// sysctl is a setting, "" where it is not known.
func (c *Case) sysctl(key string) string {
	if s := c.host(); s != nil && s.Sysctls[key].OK {
		return s.Sysctls[key].Value
	}
	return ""
}

// within: the counters moved within an interval that was watched.
func (c *Case) within() bool { return c.Interval > 0 || c.Untimed }

func (c *Case) moved(id ID) uint64 {
	t := c.Stats.Total()
	return t.Values[id]
}

// fill is the part of the table that is in use, at the fuller end of the
// interval; 0 where it is not known.
func (c *Case) fill() float64 {
	if c.Stats.Max == 0 {
		return 0
	}
	return float64(max(c.Stats.Entries, c.Before)) / float64(c.Stats.Max)
}

func (c *Case) fillText() string {
	n := fmt.Sprintf("%d of %d entries (%s)", c.Stats.Entries, c.Stats.Max, Percent(float64(c.Stats.Entries), float64(c.Stats.Max)))
	if c.within() {
		n += fmt.Sprintf(", %d at the beginning", c.Before)
	}
	return n
}

// when is the time that was counted in, "" for since boot.
func (c *Case) when() string {
	if !c.within() {
		return ""
	}
	if c.Untimed {
		return " between the readings"
	}
	return " in " + Seconds(c.Interval)
}

// lost is that n packets were.
func (c *Case) lost(n uint64) string {
	at := c.when()
	if at == "" {
		at = " at some time"
	}
	return counted(n, "packet was", "packets were") + " lost" + at
}

// Seconds is a time in seconds, as short as it tells something.
func Seconds(d time.Duration) string {
	switch {
	case d >= 10*time.Second:
		d = d.Round(time.Second)
	case d >= time.Second:
		d = d.Round(100 * time.Millisecond)
	}
	return strconv.FormatFloat(d.Round(time.Millisecond).Seconds(), 'f', -1, 64) + " s"
}

// Percent is n of whole, with as many digits as tell something.
func Percent(n, whole float64) string {
	switch p := 100 * n / whole; {
	case whole == 0:
		return "0 %"
	case n > 0 && p < 0.1:
		return "under 0.1 %"
	case p < 100 && p > 99:
		return fmt.Sprintf("%.1f %%", math.Floor(10*p)/10) // full is only what is
	case p < 10 && n > 0:
		return fmt.Sprintf("%.1f %%", p)
	default:
		return fmt.Sprintf("%.0f %%", p)
	}
}
