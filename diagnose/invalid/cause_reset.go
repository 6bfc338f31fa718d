package invalid

// findStaleReset: RSTs that conntrack does not believe.
func findStaleReset(q *inquiry) *Cause {
	p := q.all()
	if p.packets == 0 {
		return nil
	}
	c := q.cause(p, true, "RSTs carry sequence numbers from before what has been acknowledged: late, forged, or made by a device between the ends")
	c.say("%s, from %s", p.amount(), listing(share(&p, func(f *Flow) string { return f.Packet.Src.String() })))
	if v := sysctl(q.Host, keyIgnoreRST); v != "" {
		c.say("%s is %s", keyIgnoreRST, v)
	}
	c.Likely = true
	c.fixOf(p.groups[0].Reason)
	return c
}
