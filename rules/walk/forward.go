package walk

import "github.com/ntdiag/ntdiag/rules"

// forwarded makes the packet what it is when it comes to the forward hook: one
// hop older (ip_forward, ip6_forward), and in IPv4 of the priority that its TOS
// stands for (rt_tos2priority).
func forwarded(p *rules.Packet) {
	hops := 8
	if p.Family == rules.FamilyIPv6 {
		hops = 7
	} else {
		p.Priority = rules.UnknownBytes(4, rules.FromPriority)
	}
	switch {
	case hops >= p.Net.N || p.Net.Known[hops] == 0:
	case p.Net.Known[hops] == 0xff && p.Net.Bits[hops] > 1:
		p.Net.Bits[hops]--
	default:
		p.Net.Open(hops, 1, rules.FromIPHeader)
	}
}
