package invalid

// findHelper: a helper dropped packets of a connection that it watches.
func findHelper(q *inquiry) *Cause {
	p := q.all()
	if p.packets == 0 {
		return nil
	}
	c := q.cause(p, true, "a connection tracking helper dropped packets")
	for _, g := range p.groups {
		for i := range g.Variants {
			v := &g.Variants[i]
			c.say("%s: %s, %s", v.String(), count(v.N, "packet", "packets"), g.Reason.Cause)
		}
		if len(g.Variants) == 0 {
			c.say("%s: %s", count(g.Count, "line", "lines"), g.Reason.Cause)
		}
	}
	c.fixOf(p.groups[0].Reason)
	return c
}
