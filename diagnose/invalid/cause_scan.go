package invalid

import "net/netip"

// manyPorts is how many ports of one source make a scan.
const manyPorts = 10

// findScan: flags that no TCP sends, and one source that knocks at many ports.
func findScan(q *inquiry) *Cause {
	ports := map[netip.Addr]map[uint16]bool{}
	q.pick(func(_ *Group, f *Flow) bool {
		if ports[f.Packet.Src] == nil {
			ports[f.Packet.Src] = map[uint16]bool{}
		}
		ports[f.Packet.Src][f.Packet.DPort] = true
		return false
	})
	p := q.pick(func(g *Group, f *Flow) bool {
		if g.Reason.Name == "bad-flags" {
			return true
		}
		// a FIN without ACK asks for a RST of what is closed
		return f.Flags&(tcpFIN|tcpACK|tcpSYN) == tcpFIN && len(ports[f.Packet.Src]) >= manyPorts
	})
	if p.packets == 0 {
		return nil
	}
	c := q.cause(p, false, "somebody scans ports")
	for _, g := range p.groups {
		if g.Reason.Name == "bad-flags" { // also of flows that are not told apart
			q.whole[g] = true
			c.Packets += g.Untold()
		}
	}
	sources := share(&p, func(f *Flow) string { return f.Packet.Src.String() })
	flags := share(&p, func(f *Flow) string { return tcpFlagText(f.Flags) })
	targets := map[netip.AddrPort]bool{}
	for _, f := range p.flows {
		targets[netip.AddrPortFrom(f.Packet.Dst, f.Packet.DPort)] = true
	}
	c.say("%s, with flags that no TCP sends so: %s", p.amount(), listing(flags))
	c.say("from %s, to %s", listing(sources), count(uint64(len(targets)), "address and port", "addresses and ports"))
	c.Likely = len(targets) < manyPorts
	c.fix("leave it: nothing breaks by these; a rule that drops ct state invalid ends them", "")
	return c
}

// TCP flags.
const (
	tcpFIN = 1
	tcpSYN = 2
	tcpACK = 16
)
