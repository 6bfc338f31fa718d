package invalid

// findPortReuse is no harm by itself: SYNs on ports that still have an entry.
func findPortReuse(q *inquiry) *Cause {
	p := q.all()
	if p.packets == 0 {
		return nil
	}
	c := q.cause(p, true, "ports are used again while their entry is still there; the packets are accepted")
	for _, g := range p.groups {
		for i := range g.Variants[:min(len(g.Variants), maxListed)] {
			c.say("%s: %d", g.Variants[i].String(), g.Variants[i].N)
		}
	}
	c.say("from %s", orNone(share(&p, func(f *Flow) string { return f.Packet.Src.String() })))
	c.fixOf(p.groups[0].Reason)
	return c
}
