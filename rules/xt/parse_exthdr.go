package xt

import (
	"strconv"
	"strings"
)

func (g *given) numbersOption(name string) (n numbers, invert bool) {
	if s, inv, ok := g.get(name); ok {
		return g.numbers(s, ":"), inv
	}
	return numbers{0, 0xffffffff}, false
}

// invertBit is the bit where an option is inverted.
func (g *given) invertBit(name string, bit uint8) uint8 {
	if _, inv, ok := g.get(name); ok && inv {
		return bit
	}
	return 0
}

func textAH6(_ *Context, g *given) Extension {
	x := &ah6{res: g.has("ahres"), hdrlen: uint32(g.number("ahlen", 0xffffffff, 0))}
	x.spis, _ = g.numbersOption("ahspi")
	x.invert = g.invertBit("ahspi", 1) | g.invertBit("ahlen", 2)
	return x
}

func textFrag6(_ *Context, g *given) Extension {
	x := &frag6{hdrlen: uint32(g.number("fraglen", 0xffffffff, 0))}
	x.ids, _ = g.numbersOption("fragid")
	x.invert = g.invertBit("fragid", 1) | g.invertBit("fraglen", 2)
	for i, name := range []string{"fragid", "fraglen", "fragres", "fragfirst", "fragmore", "fraglast"} {
		if g.has(name) {
			x.flags |= 1 << i
		}
	}
	return x
}

func textRT6(c *Context, g *given) Extension {
	x := &rt6{typ: uint32(g.number("rt-type", 0xffffffff, 0)), hdrlen: uint32(g.number("rt-len", 0xffffffff, 0))}
	x.segments, _ = g.numbersOption("rt-segsleft")
	x.invert = g.invertBit("rt-type", 1) | g.invertBit("rt-segsleft", 2) | g.invertBit("rt-len", 4)
	for i, name := range []string{"rt-type", "rt-segsleft", "rt-len", "rt-0-res", "rt-0-addrs", "rt-0-not-strict"} {
		if g.has(name) {
			x.flags |= 1 << i
		}
	}
	if s, _, ok := g.get("rt-0-addrs"); ok {
		for a := range strings.SplitSeq(s, ",") {
			x.addrs = append(x.addrs, g.addr(c, a))
		}
	}
	return x
}

func textOpts6(name string) func(*Context, *given) Extension {
	return func(_ *Context, g *given) Extension {
		x := &opts6{name: name, hdrlen: uint32(g.number(name+"-len", 0xffffffff, 0))}
		if g.has(name + "-len") {
			x.flags |= 1
		}
		x.invert = g.invertBit(name+"-len", 1)
		s, _, ok := g.get(name + "-opts")
		if !ok {
			return x
		}
		x.flags |= 2
		for one := range strings.SplitSeq(s, ",") {
			typ, n, hasLen := strings.Cut(one, ":")
			opt := uint16(g.u8(typ))<<8 | 0xff
			if hasLen {
				opt = opt&0xff00 | uint16(g.u8(n))
			}
			x.opts = append(x.opts, opt)
		}
		return x
	}
}

// headerAliases are the short names of the headers (libip6t_ipv6header.c).
var headerAliases = map[string]string{
	"hop": "hop-by-hop", "dst": "ipv6-opts", "route": "ipv6-route", "frag": "ipv6-frag", "auth": "ah", "esp": "esp",
	"none": "ipv6-nonxt", "prot": "protocol", "proto": "protocol",
}

func textHeaders6(_ *Context, g *given) Extension {
	x := &headers6{soft: g.has("soft")}
	s, inv, _ := g.get("header")
	for w := range strings.SplitSeq(s, ",") {
		w = strings.ToLower(w)
		if full, ok := headerAliases[w]; ok {
			w = full
		}
		found := false
		for i, name := range header6Names {
			if name == w || w == strconv.Itoa(int(header6Protos[i])) {
				x.want |= 0x80 >> i
				found = true
			}
		}
		if !found && w != "none" {
			g.fail("header %q is not known", w)
		}
	}
	if inv {
		x.invert = 0xff
	}
	return x
}

// header6Protos are the numbers of header6Names; a protocol is any other one.
var header6Protos = [8]uint8{0, 60, 43, 44, 51, 50, 59, 0xff}

var mhNames = []string{
	"binding-refresh-request", "home-test-init", "careof-test-init", "home-test", "careof-test", "binding-update",
	"binding-acknowledgement", "binding-error",
}

func textMH(_ *Context, g *given) Extension {
	x := &mh{hi: 0xff}
	s, inv, ok := g.get("mh-type")
	if !ok {
		return x
	}
	x.invert = inv
	lo, hi, two := strings.Cut(s, ":")
	one := func(s string, otherwise uint8) uint8 {
		if s == "" {
			return otherwise
		}
		for i, name := range mhNames {
			if name == s {
				return uint8(i)
			}
		}
		return g.u8(s)
	}
	if x.lo = one(lo, 0); two {
		x.hi = one(hi, 0xff)
	} else {
		x.hi = x.lo
	}
	return x
}
