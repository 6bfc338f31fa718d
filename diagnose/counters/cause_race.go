package counters

import (
	"fmt"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

// portRace: two flows of different clients with the same source port get that
// port kept by SNAT at the same time, as neither entry is in the table yet.
var portRace = cause{
	name: "port-race",
	text: "two clients that send from the same port at the same time are given the same source port by SNAT, and the second loses its packet",
	ask:  "nft list ruleset | grep -E 'masquerade|snat'; iptables-save -t nat | grep -E 'MASQUERADE|SNAT'",
	look: func(c *Case, f *Finding, x *Cause) string {
		s := c.flows()
		if s == nil || c.host() == nil {
			return ""
		}
		if s.SNAT == 0 {
			return "no flow with ports is behind SNAT"
		}
		kept := c.keepers(x, s.DNS.Examples)
		dns := len(kept) > 0
		if !dns {
			var others []host.Flow
			for _, u := range s.PortsInUse(topPorts, false) {
				others = append(others, u.Flow)
			}
			kept = c.keepers(x, others)
		}
		switch {
		case len(kept) == 0 && len(x.Evidence) > 0:
			return ""
		case len(kept) == 0:
			return "every rule that rewrites sources here chooses ports at random, or within a range"
		case dns:
			x.Text = "DNS over SNAT that keeps source ports: two questions at the same time from the same port are given the same one, the second is lost, and the resolver asks again after 5 s"
			line := fmt.Sprintf("%s to port 53 behind SNAT", counted(uint64(s.DNS.SNAT), "UDP flow", "UDP flows"))
			if s.DNS.Unreplied > 0 {
				line += fmt.Sprintf(", %d of all %d to port 53 without an answer", s.DNS.Unreplied, s.DNS.Flows)
			}
			x.Evidence = append(x.Evidence, line)
		}
		if dns && !c.portsGone { // want of ports explains it better
			x.Grade = Indicated
		}
		for _, r := range kept {
			x.Evidence = append(x.Evidence, "rewritten by "+named(r)+", which has no fully-random")
		}
		x.Evidence = append(x.Evidence, fmt.Sprintf("%d of %d flows behind SNAT kept their source port", s.Kept, s.SNAT))
		if n := c.moved(Found); n > 0 {
			x.Evidence = append(x.Evidence, fmt.Sprintf("found +%d: ports that NAT wanted were taken", n))
		}
		x.Fix = fullyRandom(kept[0])
		x.Cost = "source ports are no longer kept: what relies on them (STUN, some VPNs and games) sees others; new flows only"
		return ""
	},
}

// keepers are the rules behind flows that keep ports where they can.
func (c *Case) keepers(x *Cause, flows []host.Flow) []*rules.Rule {
	var out []*rules.Rule
	for i := range flows {
		r := c.ruleOf(&flows[i])
		if r == nil || r.NAT() == nil || r.NAT().Flags&(rules.NATProtoRandom|rules.NATFullyRandom) != 0 {
			continue
		}
		known := false
		for _, o := range out {
			known = known || o == r
		}
		if !known {
			out = append(out, r)
		}
	}
	return out
}

// sameFlow: two packets of one flow, neither with an entry in the table, on two
// CPUs or by two ways.
var sameFlow = cause{
	name: "same-flow",
	text: "two first packets of one flow came at once (sent twice, or kept waiting in a queue): of TCP and ICMP the second is lost",
	ask:  "tcpdump -ni any 'tcp[tcpflags] & tcp-syn != 0'",
	look: func(c *Case, f *Finding, x *Cause) string {
		if n := c.moved(ClashResolve); n > 0 && c.within() {
			x.Grade = Indicated
			x.Evidence = append(x.Evidence, fmt.Sprintf("clash_resolve +%d: flows of UDP to which the same happened, and nothing was lost", n))
		}
		if s := c.host(); s != nil {
			if r := queueRule(s.Rules); r != nil {
				x.Grade = Indicated
				x.Evidence = append(x.Evidence, "packets wait for a program, by "+named(r))
			}
		}
		if s := c.flows(); s != nil && s.DNS.DNAT > 0 && c.Kernel.Release.In(host.Release{}, v5_10) {
			x.Grade = Indicated
			x.Text = "a resolver asks for A and AAAA from one socket at once, and DNAT sends the two to different servers: before 5.10 the second is lost, and asked again after 5 s"
			x.Evidence = append(x.Evidence, counted(uint64(s.DNS.DNAT), "UDP flow", "UDP flows")+" to port 53 behind DNAT")
			x.Fix = "echo 'options single-request-reopen' >> /etc/resolv.conf"
			x.Cost = "on the clients: two sockets for each name, and musl does not know it"
		}
		return ""
	},
}

// queueRule is a rule that hands packets to a program.
func queueRule(rs *rules.Ruleset) *rules.Rule {
	for _, t := range rs.Tables {
		for _, c := range t.Chains {
			for _, r := range c.Rules {
				for _, s := range r.Statements {
					if _, ok := s.(*rules.Queue); ok {
						return r
					}
				}
			}
		}
	}
	return nil
}

// zoneOfOne: a zone of the original direction leaves the reply tuples to clash.
var zoneOfOne = cause{
	name: "zone-of-one", told: true,
	text: "flows of different zones have the same reply tuple: a zone of one direction needs NAT that makes the answers differ",
	ask:  "ntdiag flows -o wide",
	look: func(c *Case, f *Finding, x *Cause) string {
		s := c.flows()
		if s == nil || s.ZoneOfOne == 0 {
			return none
		}
		x.Grade = Indicated
		x.Evidence = append(x.Evidence, counted(uint64(s.ZoneOfOne), "flow has", "flows have")+" a zone in one direction only")
		return ""
	},
}
