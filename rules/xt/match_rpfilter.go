package xt

import (
	"net/netip"
	"strings"

	"github.com/ntdiag/ntdiag/rules"
)

// XT_RPFILTER_*, in the order in which they are printed.
const (
	rpfilterLoose       = 1 << 0
	rpfilterValidMark   = 1 << 1
	rpfilterAcceptLocal = 1 << 2
	rpfilterInvert      = 1 << 3
)

var rpfilterWords = []string{"--loose", "--validmark", "--accept-local", "--invert"}

// rpfilter is struct xt_rpfilter_info.
type rpfilter struct{ flags uint8 }

func decodeRpfilter(_ *Context, r *reader) Extension {
	x := &rpfilter{r.u8()}
	if unknown := x.flags >> len(rpfilterWords); unknown != 0 {
		r.fail("unknown flags 0x%x", x.flags)
	}
	return x
}

func (x *rpfilter) Statements(c *Context) []rules.Statement {
	var cond rules.Condition = &ReversePath{c.Span, x.flags}
	if x.flags&rpfilterInvert != 0 {
		cond = &rules.NotOf{Span: c.Span, Part: cond}
	}
	return []rules.Statement{cond}
}

func (x *rpfilter) Save(_ *Context, o *Options) {
	for i, w := range rpfilterWords {
		if x.flags&(1<<i) != 0 {
			o.Word(w)
		}
	}
}

// ReversePath holds when an answer would leave by the device by which the
// packet came.
type ReversePath struct {
	rules.Span
	Flags uint8 // XT_RPFILTER_*
}

func (x *ReversePath) String() string {
	o := &Options{}
	o.Word("rpfilter")
	(&rpfilter{x.Flags &^ rpfilterInvert}).Save(nil, o)
	return strings.ReplaceAll(o.String(), "--", "")
}

// Test follows rpfilter_mt of ipt_rpfilter.c and ip6t_rpfilter.c.
func (x *ReversePath) Test(p *rules.Packet) rules.Answer {
	src, ok1 := p.Addr(false)
	dst, ok2 := p.Addr(true)
	open := rules.Answer{Unknown: rules.Of(rules.FromRoute)}
	switch p.Iif.State {
	case rules.IfaceUnknown:
		open.Unknown |= rules.Of(rules.FromIif)
		return open
	case rules.IfaceNone:
		return open
	case rules.IfaceAssumed:
		open.Assumed = rules.Of(rules.FromIif)
	}
	always := rules.Answer{Truth: rules.Yes, Assumed: open.Assumed}
	switch {
	case p.Iif.Link.Type == arphrdLoopback:
		return always
	case !ok1 || !ok2:
		return open
	case unroutable(src, dst):
		return always
	case p.RoutesOpen || p.Host == nil || x.inVRF(p) || dst.IsMulticast() || isBroadcast(dst):
		// a copy that comes back to its sender (PACKET_LOOPBACK) always
		// passes, and goes to many
		return open
	}
	a := x.lookup(p, src, dst)
	a.Assumed |= open.Assumed
	return a
}

// arphrdLoopback is ARPHRD_LOOPBACK, which goes with IFF_LOOPBACK.
const arphrdLoopback = 772

// unroutable sources pass: what asks for an address, and :: on its way to be
// dropped.
func unroutable(src, dst netip.Addr) bool {
	if src.Is6() {
		return src.IsUnspecified()
	}
	return src.IsUnspecified() && (isBroadcast(dst) || dst.IsLinkLocalMulticast())
}

func isBroadcast(a netip.Addr) bool { return a == netip.AddrFrom4([4]byte{255, 255, 255, 255}) }

// inVRF: such a packet asks the VRF's own table.
func (x *ReversePath) inVRF(p *rules.Packet) bool {
	if p.Iif.Link.Kind == "vrf" {
		return true
	}
	if p.Iif.Link.Master == 0 {
		return false
	}
	master, ok := p.Host.LinkByIndex(p.Iif.Link.Master)
	return !ok || master.Kind == "vrf"
}

// router is a host that also tells whether there surely is no route.
type router interface {
	Lookup(rules.RouteQuery) (rules.Route, rules.Truth)
}

func route(h rules.Host, q rules.RouteQuery) (rules.Route, rules.Truth) {
	if r, ok := h.(router); ok {
		return r.Lookup(q)
	}
	if r, ok := h.Route(q); ok {
		return r, rules.Yes
	}
	return rules.Route{}, rules.Unknown
}

// lookup follows rpfilter_lookup_reverse and rpfilter_lookup_reverse6.
func (x *ReversePath) lookup(p *rules.Packet, src, dst netip.Addr) rules.Answer {
	open := rules.Answer{Unknown: rules.Of(rules.FromRoute)}
	q := rules.RouteQuery{Dst: src, Src: dst, MarkKnown: true}
	if x.Flags&rpfilterValidMark != 0 {
		assumed, unknown := p.Mark.Sources()
		if !p.Mark.IsKnown() {
			open.Unknown |= unknown
			return open
		}
		open.Assumed = assumed
		q.Mark = uint32(p.Mark.Uint(orderOf(p)))
	}
	dev := p.Iif.Link.Index
	if src.Is6() && src.IsLinkLocalUnicast() {
		q.Oif = dev // RT6_LOOKUP_F_IFACE
	}
	r, found := route(p.Host, q)
	is := found
	if found == rules.Yes {
		is = x.passes(&r, dev, src.Is6())
	}
	if is == rules.Unknown && found == rules.Yes && src.Is6() && !r.Multipath {
		is = beside(p.Host, q, &r, dev)
	}
	if is == rules.Unknown {
		return open
	}
	return rules.Answer{Truth: is, Assumed: open.Assumed | rules.Of(rules.FromRoute)}
}

// passes tells whether the route found is one by which an answer may go;
// Unknown where another of the same destination may be.
func (x *ReversePath) passes(r *rules.Route, dev uint32, v6 bool) rules.Truth {
	local := x.Flags&rpfilterAcceptLocal != 0
	switch {
	case r.Type == rules.AddrLocal && (v6 || !local):
		return rules.TruthOf(local)
	case r.Type != rules.AddrUnicast && r.Type != rules.AddrLocal:
		return rules.No
	case x.Flags&rpfilterLoose != 0:
		return rules.Yes
	case r.Multipath:
		return rules.Unknown // one next hop of several is enough
	case r.Oif == dev:
		return rules.Yes
	case v6:
		return rules.Unknown
	}
	return rules.No
}

// beside looks for a route by the device to the same prefix: IPv6 prefers it
// (rt6_device_match), and looks no further for a shorter one.
func beside(h rules.Host, q rules.RouteQuery, r *rules.Route, dev uint32) rules.Truth {
	q.Oif = dev
	other, found := route(h, q)
	if found != rules.Yes {
		return found
	}
	return rules.TruthOf(other.Oif == dev && other.Prefix == r.Prefix && other.Table == r.Table)
}
