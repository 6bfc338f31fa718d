package invalid

// findICMPQuote: an ICMP error that does not go to the sender of the packet that
// it quotes.
func findICMPQuote(q *inquiry) *Cause {
	p := q.all()
	if p.packets == 0 {
		return nil
	}
	c := q.cause(p, true, "ICMP errors go to another address than sent the packet that they quote: a NAT on the way translated one and not the other, or they are forged")
	c.say("%s, from %s", p.amount(), listing(share(&p, func(f *Flow) string { return f.Packet.Src.String() })))
	for _, f := range p.flows[:min(len(p.flows), 2)] {
		if f.Inner != nil {
			c.say("%s quotes %s", f.Packet.String(), f.Inner.String())
		}
	}
	c.fixOf(p.groups[0].Reason)
	return c
}
