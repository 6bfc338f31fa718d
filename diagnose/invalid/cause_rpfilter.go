package invalid

import "strings"

// findReversePath: what reverse path filtering drops came in where it should
// not have.
func findReversePath(q *inquiry) *Cause {
	p := q.pick(func(_ *Group, f *Flow) bool {
		c := q.of[f]
		return c != nil && c.Fate == FateDropped && (strings.HasPrefix(c.Why, "reverse path") || strings.HasPrefix(c.Why, "martian"))
	})
	if p.packets == 0 {
		return nil
	}
	c := q.cause(p, false, "the packets come in by a device that their source is not behind")
	c.say("%s: %s", p.amount(), q.of[p.flows[0]].Why)
	c.fix("ip route get "+p.flows[0].Packet.Src.String(), "")
	return c
}
