package counters

import (
	"fmt"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/query"
	"github.com/ntdiag/ntdiag/diagnose/simulate"
)

// notDropped is not why, but what comes of it: of a packet of a flow with NAT,
// were it invalid.
var notDropped = cause{
	name: "not-dropped", told: true,
	text: "what comes of it: NAT is skipped, and they go out with the address they came with",
	look: func(c *Case, f *Finding, x *Cause) string {
		flow, ok := c.translated()
		if !ok {
			return none
		}
		p := query.Packet{Text: "invalid", Family: flow.Family, Tuple: flow.Original, Invalid: true}
		if flow.Original.Proto == host.ProtoTCP {
			p.Flags = query.Opt{N: 0x10, Set: true} // ACK: in the middle of a connection
		}
		r, err := simulate.New(c.host()).Simulate(p)
		if err != nil || len(r.Outcomes) != 1 || r.More {
			return none
		}
		o := &r.Outcomes[0]
		as := fmt.Sprintf("one of %s %s → %s", query.ProtoName(flow.Original.Proto), end(flow.Original.Src, flow.Original.SrcPort), end(flow.Original.Dst, flow.Original.DstPort))
		switch {
		case o.By != nil && (o.Verdict == simulate.VerdictDrop || o.Verdict == simulate.VerdictReject):
			return as + " would be dropped, by " + named(o.By)
		case o.Verdict != simulate.VerdictAccept || o.Local || o.Out == "":
			return none
		}
		f.Severity, x.Grade = Warning, Shown
		x.Evidence = append(x.Evidence, as+" would leave by "+o.Out+" with the address it came with")
		x.Fix = "nft " + word("add table inet ntdiag") + "; nft " + word("add chain inet ntdiag forward { type filter hook forward priority -1; }") +
			"; nft " + word("add rule inet ntdiag forward ct state invalid counter drop")
		x.Cost = "what is forwarded by one way only (asymmetric routes) stops; undo: nft delete table inet ntdiag"
		return ""
	},
}

// translated is a flow whose source is rewritten, of TCP where there is one.
func (c *Case) translated() (host.Flow, bool) {
	s := c.flows()
	if s == nil || c.host() == nil {
		return host.Flow{}, false
	}
	var out host.Flow
	ok := false
	for _, ranged := range []bool{false, true} {
		for _, u := range s.PortsInUse(topPorts, ranged) {
			if f := u.Flow; f.Original.Src != f.Reply.Dst && (!ok || f.Original.Proto == host.ProtoTCP && out.Original.Proto != host.ProtoTCP) {
				out, ok = f, true
			}
		}
	}
	return out, ok
}

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
