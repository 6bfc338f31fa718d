package invalid

// findTableFull: packets are dropped before they are anything to conntrack.
func findTableFull(q *inquiry) *Cause {
	p := q.all()
	if p.packets == 0 {
		return nil
	}
	c := q.cause(p, true, "the conntrack table is full: packets of new flows are dropped")
	c.say("%s; the kernel limits their rate, so that more packets were dropped than there are lines", count(p.packets, "line", "lines"))
	if n, max := sysctl(q.Host, keyCount), sysctl(q.Host, keyMax); n != "" && max != "" {
		c.say("now there are %s entries of %s", n, max)
	}
	c.fixOf(p.groups[0].Reason)
	c.fix("ntdiag counters", "")
	return c
}
