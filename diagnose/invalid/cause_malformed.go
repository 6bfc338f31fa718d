package invalid

import "slices"

// findMalformed: headers that are cut or wrong.
func findMalformed(q *inquiry) *Cause {
	p := q.all()
	if p.packets == 0 {
		return nil
	}
	c := q.cause(p, true, "headers are cut, or hold what they must not")
	var told []string
	for _, g := range p.groups {
		if !slices.Contains(told, g.Reason.Cause) {
			told = append(told, g.Reason.Cause)
			c.say("%s: %s", count(g.Count, "packet", "packets"), g.Reason.Cause)
		}
	}
	c.say("from %s", orNone(share(&p, func(f *Flow) string { return f.Packet.Src.String() })))
	c.fixOf(p.groups[0].Reason)
	return c
}
