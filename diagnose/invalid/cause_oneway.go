package invalid

import (
	"fmt"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

// stateSynSent is TCP_CONNTRACK_SYN_SENT.
const stateSynSent = 1

// findOneWay: one direction of the connections takes another way.
func findOneWay(q *inquiry) *Cause {
	var synacks, waiting, wrong, odd, unreplied uint64
	returns := map[string]uint64{}
	p := q.pick(func(g *Group, f *Flow) bool {
		e := q.Found[f].One()
		speaks := false
		note := func(n *uint64, is bool) {
			if is {
				*n += f.Count
				speaks = true
			}
		}
		note(&synacks, g.Reason.Name == "invalid-new" && f.Flags&(tcpSYN|tcpACK) == tcpSYN|tcpACK && !q.local(f))
		note(&waiting, g.Reason.Name == "invalid-state" && f.Variant.State == "SYN_SENT" && f.Variant.Has&ArgDir != 0 && f.Variant.Dir == 0)
		note(&unreplied, e != nil && !e.Quoted && e.Flow.Original.Proto == host.ProtoTCP && e.Flow.TCPState == stateSynSent && !e.Flow.Status.Has(host.StatusSeenReply))
		note(&odd, e != nil && e.Fit.Odd())
		if other := q.returnsBy(f); other != "" {
			note(&wrong, true)
			returns[other] += f.Count
		}
		return speaks
	})
	if p.packets == 0 {
		return nil
	}
	c := q.cause(p, false, "only one direction of these connections passes this host: the other takes another way")
	c.Likely = wrong == 0 && odd == 0 && waiting == 0
	sayIf := func(n uint64, text string) {
		if n > 0 {
			c.say("%s %s", count(n, "packet", "packets"), text)
		}
	}
	sayIf(synacks, "with SYN+ACK and no entry: the SYN that they answer did not pass here")
	sayIf(waiting, "of originators whose entry still waits for a SYN+ACK: that did not pass here")
	sayIf(unreplied, "of connections whose entry is SYN_SENT and has seen no answer")
	for text, n := range returns {
		sayIf(n, text)
	}
	if odd > 0 {
		for _, f := range p.flows {
			if e := q.Found[f].One(); e != nil && e.Fit.Odd() {
				c.say("%s came in %s: NAT was done or undone elsewhere, or left out", f.Packet.String(), e.Fit.String())
				break
			}
		}
	}
	for _, f := range p.flows[:1] {
		c.fix(fmt.Sprintf("see that both ways pass this host, here and on the hosts between (ip route get %s, ip route get %s)", f.Packet.Src, f.Packet.Dst), "")
	}
	c.fix("where one way is meant (a load balancer that is answered past it), leave such flows untracked, as this one:", "")
	c.fix(untrack(p.flows[0]), "no NAT and no ct state for them; nft delete table inet untracked takes it back")
	if sysctl(q.Host, keyLoose) == "0" {
		c.fix(fixLoose, "an ACK begins an entry in the middle of a connection; RST, FIN and SYN+ACK still do not")
	}
	return c
}

// untrack is the rule that takes packets with the ends of f's from conntrack, in a
// table of its own.
func untrack(f *Flow) string {
	ip := "ip"
	if f.Packet.Family == rules.FamilyIPv6 {
		ip = "ip6"
	}
	return notrackIn + fmt.Sprintf("%s saddr %s %s daddr %s notrack'", ip, f.Packet.Src, ip, f.Packet.Dst)
}

// local tells whether the packet is for this host itself.
func (q *inquiry) local(f *Flow) bool {
	return q.Host != nil && q.Host.IsLocal(f.Packet.Dst) == rules.Yes
}

// returnsBy says by which device an answer would leave, when that is another
// than the packet came in by, and surely so; "" else.
func (q *inquiry) returnsBy(f *Flow) string {
	if q.Host == nil || f.In == "" || f.Devices || f.Sent || !f.Packet.Src.IsValid() {
		return ""
	}
	in, ok := q.Host.LinkByName(f.In)
	if !ok || in.Name == "lo" || q.Host.RoutesByMark(f.Packet.Family) {
		return ""
	}
	query := rules.RouteQuery{Dst: f.Packet.Src, Src: f.Packet.Dst, MarkKnown: true}
	if _, known := q.Host.Lookup(query); known != rules.Yes {
		return ""
	}
	hops := q.Host.Hops(query)
	for _, r := range hops {
		if r.Type != rules.AddrUnicast || r.Oif == in.Index || in.Master != 0 && r.Oif == in.Master {
			return ""
		}
	}
	if len(hops) == 0 {
		return ""
	}
	out, ok := q.Host.LinkByIndex(hops[0].Oif)
	if !ok || out.Master != 0 && out.Master == in.Index {
		return ""
	}
	return fmt.Sprintf("that came in by %s, while the route back to %s is by %s", f.In, network(&hops[0], f), out.Name)
}

func network(r *rules.Route, f *Flow) string {
	if r.Prefix.IsValid() && r.Prefix.Bits() > 0 {
		return r.Prefix.String()
	}
	return f.Packet.Src.String()
}
