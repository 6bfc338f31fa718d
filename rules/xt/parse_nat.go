package xt

import (
	"net/netip"
	"strings"

	"github.com/ntdiag/ntdiag/rules"
)

// natTexts set up NAT.
var natTexts = []textRow{
	{name: "SNAT", options: "to-source=1 random random-fully persistent", build: textNAT(snat)},
	{name: "DNAT", options: "to-destination=1 random random-fully persistent", build: textNAT(dnat)},
	{name: "MASQUERADE", options: "to-ports,to-port=1 random random-fully", build: textNAT(masquerade)},
	{name: "REDIRECT", options: "to-ports,to-port=1 random random-fully", build: textNAT(redirect)},
	{name: "NETMAP", options: "to=1", build: textNETMAP},
}

// textNAT follows parse_to and parse_ports of libxt_NAT.c.
func textNAT(k natKind) func(*Context, *given) Extension {
	return func(c *Context, g *given) Extension {
		x := &natRange{kind: k, min: zeroAddr(c.Family), max: zeroAddr(c.Family)}
		to, _, ok := g.get(k.opt[2:])
		n := 0
		for i := range g.opts {
			if g.opts[i].name == k.opt[2:] {
				n++
			}
		}
		switch {
		case n > 1:
			g.fail("more than one range, of which kernels since 2.6.11 take none")
		case !ok && !k.ports:
			g.fail("no %s", k.opt)
		case ok && k.ports:
			x.textPorts(g, to)
		case ok:
			x.textTo(c, g, to)
		}
		for _, f := range natFlagWords {
			if g.has(f.word[2:]) {
				x.flags |= f.flag
			}
		}
		return x.checkText(g)
	}
}

func (x *natRange) checkText(g *given) Extension {
	r := &reader{}
	if x.check(r); r.err != nil {
		g.fail("%w", r.err)
	}
	return x
}

// textTo is A, A-B, A:P, [A-B]:P-Q and their kin.
func (x *natRange) textTo(c *Context, g *given, s string) {
	addrs, ports := s, ""
	switch {
	case strings.HasPrefix(s, "["):
		end := strings.IndexByte(s, ']')
		if end < 0 || end+1 < len(s) && s[end+1] != ':' {
			g.fail("%q: brackets", s)
			return
		}
		addrs = s[1:end]
		if ports = s[end+1:]; ports != "" {
			ports = ports[1:]
		}
	case c.Family == rules.FamilyIPv4:
		addrs, ports, _ = strings.Cut(s, ":")
	case strings.HasPrefix(s, ":") && !strings.HasPrefix(s, "::"):
		addrs, ports = "", s[1:]
	}
	if addrs != "" {
		lo, hi, two := strings.Cut(addrs, "-")
		if !two {
			hi = lo
		}
		x.min, x.max = g.addr(c, lo), g.addr(c, hi)
		x.flags |= rules.NATMapIPs
	}
	if ports != "" || addrs == "" {
		x.textPorts(g, ports)
	}
}

// textPorts is P, P-Q or P-Q/BASE.
func (x *natRange) textPorts(g *given, s string) {
	span, base, shifted := strings.Cut(s, "/")
	lo, hi, two := strings.Cut(span, "-")
	x.plow = g.u16(lo)
	if x.phi = x.plow; two {
		x.phi = g.u16(hi)
	}
	if x.phi < x.plow {
		g.fail("ports %q", s)
	}
	x.flags |= rules.NATProtoSpecified
	if shifted {
		x.base = g.u16(base)
		x.flags |= rules.NATProtoOffset
	}
}

func textNETMAP(c *Context, g *given) Extension {
	to, _, _ := g.get("to")
	a, mask := g.prefix(c, to)
	x := &natRange{kind: netmap, flags: rules.NATMapIPs}
	lo := maskedBytes(a.AsSlice(), mask.AsSlice())
	hi := append([]byte(nil), lo...)
	for i, m := range mask.AsSlice() {
		hi[i] |= ^m
	}
	x.min, _ = netip.AddrFromSlice(lo)
	x.max, _ = netip.AddrFromSlice(hi)
	return x.checkText(g)
}
