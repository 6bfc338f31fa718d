package invalid

import "github.com/ntdiag/ntdiag/rules"

// findNoAddress: masquerade drops what leaves by a device without an address.
func findNoAddress(q *inquiry) *Cause {
	p := q.all()
	if p.packets == 0 {
		return nil
	}
	c := q.cause(p, true, "masquerade found no address on the device, and dropped the packets")
	for _, g := range p.groups {
		for _, dev := range g.Out {
			c.say("%s: %s; %s", dev.Name, count(dev.N, "line", "lines"), q.addresses(dev.Name))
		}
	}
	c.fixOf(p.groups[0].Reason)
	return c
}

// addresses says whether the device has an IPv4 address now.
func (q *inquiry) addresses(dev string) string {
	if q.Host == nil {
		return "whether it has one now is not known"
	}
	l, ok := q.Host.LinkByName(dev)
	if !ok {
		return "the device is gone"
	}
	for _, a := range q.Host.Addrs {
		if a.Index == l.Index && a.Prefix.Addr().Is4() {
			return "it has " + a.Prefix.Addr().String() + " now"
		}
	}
	if (rules.Link{}) != l && !l.Up {
		return "it is down, and has none now either"
	}
	return "it has none now either"
}
