package invalid

// findBackscatter: answers to this host that it never asked for.
func findBackscatter(q *inquiry) *Cause {
	p := q.pick(func(_ *Group, f *Flow) bool {
		return q.local(f) && f.Flags&(tcpSYN|tcpACK) == tcpSYN|tcpACK
	})
	if p.packets == 0 {
		return nil
	}
	c := q.cause(p, false, "SYN+ACKs come to an address of this host that has sent no SYN: its SYN left by another host or without conntrack, or somebody forges its address")
	c.Likely = true
	c.say("%s, from %s to %s", p.amount(), listing(share(&p, func(f *Flow) string { return f.Packet.Src.String() })),
		listing(share(&p, func(f *Flow) string { return f.Packet.Dst.String() })))
	c.fix("leave it, where the sources are many and strange; else see who sends from that address:", "")
	c.fix("tcpdump -ni any 'tcp[tcpflags] & tcp-syn != 0'", "")
	return c
}
