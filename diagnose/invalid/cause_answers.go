package invalid

import (
	"github.com/ntdiag/ntdiag/diagnose/packet"
	"github.com/ntdiag/ntdiag/rules"
)

// findAnswers: who gets a packet without its NAT answers to the address that it
// came from, and so does this host with a RST: no entry has that.
func findAnswers(q *inquiry) *Cause {
	asked := map[rules.Tuple]*Flow{}
	for f, c := range q.of {
		if t, whole := f.Packet.Tuple(); whole && c.Fate != FateDropped {
			asked[packet.Inverse(t)] = f
		}
	}
	answers := func(f *Flow) *Flow {
		t, whole := f.Packet.Tuple()
		if e := q.Found[f].One(); !whole || e != nil && !e.Fit.Odd() {
			return nil // it is as the flow's own packets are
		}
		return asked[t]
	}
	p := q.pick(func(_ *Group, f *Flow) bool { return answers(f) != nil })
	if p.packets == 0 {
		return nil
	}
	c := q.cause(p, false, "they answer packets that went on without their NAT")
	f := p.flows[0]
	c.say("%s answers %s", f.Packet.String(), answers(f).Packet.String())
	c.fix("leave these: they end when those that they answer are dropped, or no longer invalid", "")
	return c
}
