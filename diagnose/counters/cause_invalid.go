package counters

import (
	"fmt"

	"github.com/ntdiag/ntdiag/diagnose/host"
)

var notLoose = cause{
	name: "not-loose", told: true, text: "TCP connections that were there before their entry, or outlived it: packets in the middle begin none",
	ask: "sysctl net.netfilter.nf_conntrack_tcp_loose",
	look: func(c *Case, f *Finding, x *Cause) string {
		if c.sysctl("net.netfilter.nf_conntrack_tcp_loose") != "0" {
			return none
		}
		x.Grade = Indicated
		x.Evidence = append(x.Evidence, "net.netfilter.nf_conntrack_tcp_loose is 0")
		x.Fix = "sysctl -w net.netfilter.nf_conntrack_tcp_loose=1"
		x.Cost = "a connection that is picked up in the middle gets NAT anew, by the packet that does it: with another source port it ends, and from the far side it is not translated"
		return ""
	},
}

// enough flows to call something usual, and the part of them that is.
const (
	someFlows = 20
	manyOf    = 0.3
)

var oneWay = cause{
	name: "one-way", told: true, text: "only one direction of TCP passes here: answers take another way, and what follows fits no entry",
	ask: "ip route get ADDRESS",
	look: func(c *Case, f *Finding, x *Cause) string {
		s := c.flows()
		if s == nil {
			return none
		}
		all, alone := 0, 0
		for _, g := range s.Groups() {
			if g.Proto == host.ProtoTCP {
				all += g.Flows
				if g.State == "SYN_SENT" {
					alone += g.Unreplied
				}
			}
		}
		if alone < someFlows || float64(alone) < manyOf*float64(all) {
			return none
		}
		x.Grade = Indicated
		x.Evidence = append(x.Evidence, fmt.Sprintf("%d of %d TCP flows are SYN_SENT without an answer", alone, all))
		return ""
	},
}

var notLogged = cause{
	name: "not-logged", text: "what the packets were is not known",
	ask: "ntdiag invalid --enable --for 60s",
	look: func(c *Case, f *Finding, x *Cause) string {
		x.Keep = true
		switch v := c.sysctl("net.netfilter.nf_conntrack_log_invalid"); v {
		case "":
		case "0":
			x.Evidence = append(x.Evidence, "net.netfilter.nf_conntrack_log_invalid is 0: nothing is logged of them")
			x.Cost = "one line of log for each invalid packet, with no limit, for that time"
		default:
			x.Text = "what the packets were is in the log"
			x.Evidence = append(x.Evidence, "net.netfilter.nf_conntrack_log_invalid is "+v)
			x.Fix = "ntdiag invalid"
		}
		return ""
	},
}
