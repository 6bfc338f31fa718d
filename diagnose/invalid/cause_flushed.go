package invalid

import (
	"time"
)

const (
	flushFlows  = 5                // that lost their entry at least
	flushWithin = 10 * time.Minute // from the oldest entry to their first packet
)

// findFlushed: every entry is younger than the first of the packets, or hardly
// older: the table was emptied before.
func findFlushed(q *inquiry) *Cause {
	t := &q.Table
	if !t.Read || t.Stamped == 0 || t.Stamped < t.Entries*9/10 {
		return nil
	}
	p := q.pick(func(_ *Group, f *Flow) bool {
		return !f.First.IsZero() && f.First.After(t.Oldest.Add(-stampSlack)) && f.First.Before(t.Oldest.Add(flushWithin)) && f.Flags&tcpSYN == 0
	})
	if len(p.flows) < flushFlows {
		return nil
	}
	c := q.cause(p, false, "the conntrack table was emptied at about "+t.Oldest.Format(time.DateTime)+": connections that were open then have lost their entries")
	c.Likely = true
	c.say("all %d entries are younger than that", t.Entries)
	c.say("%s came within %s of it", p.amount(), flushWithin)
	c.fix("see who flushes (conntrack -F, a script of failover or dial-up, ntdiag history) and have it remove what is stale only: ntdiag stale --delete", "")
	if sysctl(q.Host, keyLoose) == "0" {
		c.fix(fixLoose, costLoose)
	}
	return c
}
