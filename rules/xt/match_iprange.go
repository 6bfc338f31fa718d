package xt

import (
	"net/netip"

	"github.com/ntdiag/ntdiag/rules"
)

// IPRANGE_*; the flag of inversion is four bits further up.
const (
	iprangeSrc = 1 << 0
	iprangeDst = 1 << 1
)

// iprange is struct xt_iprange_mtinfo.
type iprange struct {
	src, dst [2]netip.Addr // lowest and highest
	flags    uint8
}

func decodeIprange(c *Context, r *reader) Extension {
	x := &iprange{}
	for _, a := range []*[2]netip.Addr{&x.src, &x.dst} {
		a[0], a[1] = r.addr(c.Family), r.addr(c.Family)
	}
	const all = iprangeSrc | iprangeDst
	if x.flags = r.u8(); x.flags&^(all|all<<4) != 0 {
		r.fail("iprange: flags %#x", x.flags)
	}
	return x
}

// sides are what is asked of source and destination.
func (x *iprange) sides(do func(option string, dst bool, a [2]netip.Addr, invert bool)) {
	if x.flags&iprangeSrc != 0 {
		do("--src-range", false, x.src, x.flags&(iprangeSrc<<4) != 0)
	}
	if x.flags&iprangeDst != 0 {
		do("--dst-range", true, x.dst, x.flags&(iprangeDst<<4) != 0)
	}
}

// Statements follows iprange_mt4 and iprange_mt6.
func (x *iprange) Statements(c *Context) []rules.Statement {
	var out []rules.Statement
	x.sides(func(_ string, dst bool, a [2]netip.Addr, invert bool) {
		out = append(out, within(c.Span, c.address(dst), a[0].AsSlice(), a[1].AsSlice(), invert))
	})
	return out
}

func (x *iprange) Save(_ *Context, o *Options) {
	x.sides(func(option string, _ bool, a [2]netip.Addr, invert bool) {
		o.Opt(invert, option, addrText(a[0])+"-"+addrText(a[1]))
	})
}

// address is the destination or the source in the packet's header.
func (c *Context) address(dst bool) *rules.Payload {
	l := layouts[c.Family]
	if dst {
		return network(l.daddr, l.addr)
	}
	return network(l.saddr, l.addr)
}
