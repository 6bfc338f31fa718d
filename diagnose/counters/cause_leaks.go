package counters

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/order"
	"github.com/ntdiag/ntdiag/diagnose/query"
	"github.com/ntdiag/ntdiag/diagnose/simulate"
	"github.com/ntdiag/ntdiag/rules"
)

// notDropped is not why, but what comes of it: of a packet of a flow with NAT,
// were it invalid. Where no flow has NAT, the rules tell which ones would.
var notDropped = cause{
	name: "not-dropped", told: true,
	text: "what comes of it: NAT is skipped, and they go out with the address they came with",
	look: func(c *Case, f *Finding, x *Cause) string {
		if c.flows() == nil || c.host() == nil {
			return none
		}
		l := &leaks{host: c.host(), sim: simulate.New(c.host())}
		if flow, ok := c.translated(); ok {
			l.ask(flow.Family, flow.Original, "one of ")
		}
		if flow, ok := c.survey.DNAT(); ok && l.host.IsLocal(flow.Reply.Src) == rules.No {
			l.ask(flow.Family, flow.Reply, "an answer of ")
			l.arrives(flow.Family, flow.Original)
		}
		if !l.asked {
			l.fromRules()
		}
		return l.tell(f, x)
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

// leaks takes packets that NAT would rewrite through the hooks, as invalid ones.
type leaks struct {
	host  *host.Snapshot
	sim   *simulate.Simulator
	asked bool
	// out are those that leave as they came, here those that end on this host
	// though NAT would send them on, dropped those that a rule ends, open those
	// of which it cannot be told.
	out, here, dropped, open []string
}

// invalid is what becomes of a packet of t that is invalid, false where that is
// not certain.
func (l *leaks) invalid(family rules.Family, t rules.Tuple) (*simulate.Outcome, bool) {
	p := query.Packet{Text: "invalid", Family: family, Tuple: t, Invalid: true}
	if t.Proto == host.ProtoTCP {
		p.Flags = query.Opt{N: 0x10, Set: true} // ACK: in the middle of a connection
	}
	r, err := l.sim.Simulate(p)
	if err != nil || len(r.Outcomes) != 1 || !r.Outcomes[0].Certain {
		return nil, false
	}
	return &r.Outcomes[0], true
}

// ask is for a packet that leaves, with the source of which NAT makes another.
func (l *leaks) ask(family rules.Family, t rules.Tuple, as string) {
	l.asked = true
	as += flowText(t)
	o, ok := l.invalid(family, t)
	switch {
	case !ok:
		l.open = append(l.open, "whether "+as+" would leave without NAT cannot be told")
	case o.Verdict == simulate.VerdictDrop || o.Verdict == simulate.VerdictReject:
		l.drop(as, o)
	case o.Verdict == simulate.VerdictAccept && !o.Local && o.Out != "":
		l.out = append(l.out, as+" would leave by "+o.Out+" with the address it came with")
	}
}

// arrives is for a packet whose destination NAT would replace: as it is, it is
// for this host, and TCP answers with a RST.
func (l *leaks) arrives(family rules.Family, t rules.Tuple) {
	as := "one of " + flowText(t)
	o, ok := l.invalid(family, t)
	switch {
	case !ok:
		l.open = append(l.open, "whether "+as+" would end on this host cannot be told")
	case o.Verdict == simulate.VerdictAccept && o.Local && t.Proto == host.ProtoTCP:
		l.here = append(l.here, as+" would end on this host, which answers with a RST")
	case o.Verdict == simulate.VerdictAccept && o.Local:
		l.here = append(l.here, as+" would end on this host")
	}
}

// drop is a packet that a rule, or the policy of a chain, ends.
func (l *leaks) drop(as string, o *simulate.Outcome) {
	switch {
	case o.By != nil:
		as += " would be dropped, by " + named(o.By)
	case o.Chain != nil:
		as += " would be dropped, by the policy of " + order.Name(o.Chain)
	default:
		return // routing ends it, with NAT or without
	}
	l.dropped = append(l.dropped, as)
}

// maxSample bounds the ways that are tried where no flow tells one.
const maxSample = 32

// fromRules asks for new flows, from each network at a device to where another
// one leads, of which the rules surely rewrite the source.
func (l *leaks) fromRules() {
	any := false
	for range sourceNAT(l.host.Rules) {
		any = true
		break
	}
	if !any {
		return
	}
	n := 0
	unsure := ""
	for _, from := range l.host.Addrs {
		src, ok := l.neighbour(from)
		if !ok {
			continue
		}
		for _, dst := range l.beyond(from) {
			if n++; n > maxSample {
				break
			}
			p := query.Packet{Text: "new", Tuple: rules.Tuple{Proto: host.ProtoTCP, Src: src, Dst: dst, SrcPort: 40000, DstPort: 443}}
			if p.Family = rules.FamilyIPv4; src.Is6() {
				p.Family = rules.FamilyIPv6
			}
			r, err := l.sim.Outcomes(p)
			if err != nil {
				continue
			}
			may := func(o simulate.Outcome) bool {
				return o.Verdict == simulate.VerdictAccept && !o.Local && o.SNAT.Changes()
			}
			switch {
			case len(r.Outcomes) == 1 && r.Outcomes[0].Certain && may(r.Outcomes[0]):
				l.ask(p.Family, p.Tuple, "by the rules, one of a flow as ")
			case slices.ContainsFunc(r.Outcomes, may):
				unsure = flowText(p.Tuple)
			}
		}
	}
	switch {
	case l.asked:
	case unsure != "":
		l.open = append(l.open, "no flow has NAT now; whether the rules would rewrite one as "+unsure+" cannot be told")
	default:
		l.open = append(l.open, "no flow has NAT now, and on no way that was tried would the rules rewrite one")
	}
}

// quiet tells whether the device of a has no carrier, as a cable without its other end:
// then no packet comes from its network.
func (l *leaks) quiet(a host.Addr) bool {
	const linkdown = 16 // RTNH_F_LINKDOWN
	return slices.ContainsFunc(l.host.Routes, func(r host.RouteEntry) bool {
		return r.Oif == a.Index && r.Dst == a.Prefix.Masked() && r.Flags&linkdown != 0
	})
}

// neighbour is an address that stands for those of the network that a has its
// own in; false where nobody is there.
func (l *leaks) neighbour(a host.Addr) (netip.Addr, bool) {
	link, ok := l.host.LinkByIndex(a.Index)
	p := a.Prefix
	if !ok || !link.Up || link.Name == "lo" || a.Scope != 0 || a.Secondary || l.quiet(a) || p.Addr().BitLen()-p.Bits() < 2 {
		return netip.Addr{}, false
	}
	for n, i := p.Masked().Addr().Next(), 0; i < 3; n, i = n.Next(), i+1 {
		if n != p.Addr() && p.Contains(n) && l.host.IsLocal(n) == rules.No {
			return n, true
		}
	}
	return netip.Addr{}, false
}

// anywhere stands for what only a default route leads to.
var anywhere = []netip.Addr{netip.MustParseAddr("9.9.9.9"), netip.MustParseAddr("2620:fe::fe")}

// beyond are addresses that stand for where packets of the network of a are
// forwarded: the default route, and the networks at other devices.
func (l *leaks) beyond(a host.Addr) []netip.Addr {
	var out []netip.Addr
	six := a.Prefix.Addr().Is6()
	for _, d := range anywhere {
		if d.Is6() == six {
			out = append(out, d)
		}
	}
	for _, b := range l.host.Addrs {
		if n, ok := l.neighbour(b); ok && b.Index != a.Index && n.Is6() == six {
			out = append(out, n)
		}
	}
	return out
}

// maxLeaks bounds the evidence of one kind.
const maxLeaks = 2

// tell writes what was found into x and f, or says why it is none.
func (l *leaks) tell(f *Finding, x *Cause) string {
	if len(l.out) == 0 && len(l.here) == 0 {
		switch {
		case len(l.open) > 0:
			x.Keep = true
			x.Text = "whether they leave without NAT is not known"
			x.Evidence, x.Fix = first(l.open), "ntdiag invalid"
			return ""
		case len(l.dropped) > 0:
			return l.dropped[0]
		}
		return none
	}
	x.Grade = Shown
	x.Evidence = slices.Concat(first(l.out), first(l.here), first(l.dropped), first(l.open))
	hook, priority := "forward", "-1"
	if len(l.here) > 0 { // before routing takes it for its own
		hook, priority = "prerouting", "mangle"
	}
	x.Cost = "what is forwarded by one way only (asymmetric routes) stops; undo: nft delete table inet ntdiag"
	if len(l.out) == 0 {
		x.Text = "what comes of it: NAT is skipped, and they end on this host"
	} else {
		f.Severity = Warning
	}
	x.Fix = "nft " + word("add table inet ntdiag") +
		"; nft " + word(fmt.Sprintf("add chain inet ntdiag %s { type filter hook %s priority %s; }", hook, hook, priority)) +
		"; nft " + word(fmt.Sprintf("add rule inet ntdiag %s ct state invalid counter drop", hook))
	return ""
}

func first(lines []string) []string { return lines[:min(len(lines), maxLeaks)] }

func flowText(t rules.Tuple) string {
	return fmt.Sprintf("%s %s → %s", query.ProtoName(t.Proto), end(t.Src, t.SrcPort), end(t.Dst, t.DstPort))
}
