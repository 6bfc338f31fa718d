package invalid

import "github.com/ntdiag/ntdiag/diagnose/host"

// findWindow: conntrack and the ends disagree on the window of a connection that
// is there.
func findWindow(q *inquiry) *Cause {
	p := q.pick(func(*Group, *Flow) bool { return true })
	if p.packets == 0 {
		return nil
	}
	c := q.cause(p, true, "packets lie outside of the window that conntrack has seen, on connections that it knows")
	var none, offloaded, adjusted, dnat, snat int
	states := map[string]int{}
	for _, f := range p.flows {
		e := q.Found[f].One()
		if e == nil {
			none++
			continue
		}
		states[e.Flow.State()]++
		if e.Flow.Status&(host.StatusOffload|host.StatusHWOffload) != 0 {
			offloaded++
		}
		if e.Flow.Status.Has(host.StatusSeqAdjust) {
			adjusted++
		}
		if e.Flow.Status.Has(host.StatusDstNAT) {
			dnat++
		}
		if e.Flow.Status.Has(host.StatusSrcNAT) {
			snat++
		}
	}
	c.say("%s", p.amount())
	if joined := len(p.flows) - none; joined > 0 {
		var list []Seen
		for s, n := range states {
			list = append(list, Seen{s, uint64(n)})
		}
		sortSeen(list)
		c.say("their entries: %s; with DNAT %d, with SNAT %d", listing(list), dnat, snat)
	} else if q.Found != nil {
		c.say("none of their entries is there now")
	}
	if offloaded > 0 {
		c.say("%s offloaded: a flowtable forwards packets that conntrack does not see", count(uint64(offloaded), "entry is", "entries are"))
		c.fix("take the rule away that adds to the flowtable (flow add @…), and see whether it ends", "packets are no longer forwarded past the rules")
	}
	if adjusted > 0 {
		c.say("%s shifted by a helper or a SYN proxy", count(uint64(adjusted), "entry has sequence numbers", "entries have sequence numbers"))
	}
	switch sysctl(q.Host, keyLiberal) {
	case "0":
		c.say("%s is 0", keyLiberal)
	case "1":
		c.say("%s is 1 now: no more of these from now on", keyLiberal)
		return c
	}
	c.Likely = offloaded == 0
	c.fix(fixWindow, costWindow)
	c.fix("look for what conntrack does not see: a second gateway, ECMP, failover, offload, a device that rewrites sequence numbers", "")
	return c
}
