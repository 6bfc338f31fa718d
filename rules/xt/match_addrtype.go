package xt

import (
	"strings"

	"github.com/ntdiag/ntdiag/rules"
)

// XT_ADDRTYPE_*: flags of revision 1.
const (
	addrtypeInvertSrc = 1 << 0
	addrtypeInvertDst = 1 << 1
	addrtypeIifOnly   = 1 << 2
	addrtypeOifOnly   = 1 << 3
	addrtypeFlags     = 1<<4 - 1
)

// addrtypeNames in the order of enum rt_type (RTN_*): bit n of a mask.
var addrtypeNames = [...]string{
	"UNSPEC", "UNICAST", "LOCAL", "BROADCAST", "ANYCAST", "MULTICAST",
	"BLACKHOLE", "UNREACHABLE", "PROHIBIT", "THROW", "NAT", "XRESOLVE",
}

// addrtype is struct xt_addrtype_info_v1. Revision 0 says the same in another
// way, and knows no devices.
type addrtype struct {
	src, dst uint16 // masks of types, 0 for not asked
	flags    uint32
}

func decodeAddrtype0(_ *Context, r *reader) Extension {
	x := &addrtype{src: r.u16(), dst: r.u16()}
	if r.u32() != 0 {
		x.flags |= addrtypeInvertSrc
	}
	if r.u32() != 0 {
		x.flags |= addrtypeInvertDst
	}
	return x.checked(r)
}

func decodeAddrtype1(_ *Context, r *reader) Extension {
	x := &addrtype{src: r.u16(), dst: r.u16(), flags: r.u32()}
	return x.checked(r)
}

func (x *addrtype) checked(r *reader) Extension {
	const both = addrtypeIifOnly | addrtypeOifOnly
	if (x.src|x.dst)>>len(addrtypeNames) != 0 || x.flags&^addrtypeFlags != 0 || x.flags&both == both {
		r.fail("addrtype: types %#x and %#x, flags %#x", x.src, x.dst, x.flags)
	}
	return x
}

// Statements follows addrtype_mt_v1.
func (x *addrtype) Statements(c *Context) []rules.Statement {
	var out []rules.Statement
	if x.src != 0 {
		out = append(out, x.address(c, false, x.src, x.flags&addrtypeInvertSrc != 0))
	}
	if x.dst != 0 {
		out = append(out, x.address(c, true, x.dst, x.flags&addrtypeInvertDst != 0))
	}
	return out
}

func (x *addrtype) address(c *Context, dst bool, types uint16, invert bool) rules.Condition {
	fib := &rules.Fib{Result: rules.FibAddrType, Flags: rules.FibSaddr}
	if dst {
		fib.Flags = rules.FibDaddr
	}
	switch {
	case x.flags&addrtypeIifOnly != 0:
		fib.Flags |= rules.FibIif
	case x.flags&addrtypeOifOnly != 0:
		fib.Flags |= rules.FibOifFlag
	}
	if c.Family == rules.FamilyIPv6 {
		return class6(c, c.address(dst), fib, types, invert)
	}
	return oneOfTypes(c, fib, types, invert)
}

// oneOfTypes is match_type: the address is of one of the types.
func oneOfTypes(c *Context, fib *rules.Fib, types uint16, invert bool) rules.Condition {
	is := &rules.AnyOf{Span: c.Span, Invert: invert}
	op := rules.CmpEq
	if invert && types&(types-1) == 0 {
		op = rules.CmpNeq
	}
	for n := range addrtypeNames {
		if types>>n&1 != 0 {
			is.Parts = append(is.Parts, &rules.Match{Span: c.Span, Left: fib, Op: op, Right: c.u32(uint32(n))})
		}
	}
	if len(is.Parts) == 1 {
		return is.Parts[0]
	}
	return is
}

// class6 is match_type6: other than in IPv4 all of multicast, unicast and
// unspec that are asked for have to fit, and what the address itself is makes
// them; of the types that a route tells one has to.
func class6(c *Context, addr, fib rules.Expr, types uint16, invert bool) rules.Condition {
	all := &rules.AllOf{Span: c.Span}
	is := func(n int, want string, op rules.CmpOp) {
		mask := make([]byte, 16)
		for i := range n {
			mask[i] = 0xff
		}
		cond := masked(c.Span, addr, mask, pad(want, 16), op == rules.CmpNeq)
		all.Parts = append(all.Parts, cond)
	}
	if types&(1<<rules.AddrMulticast) != 0 {
		is(1, "\xff", rules.CmpEq)
	}
	if types&(1<<rules.AddrUnicast) != 0 {
		// __ipv6_addr_type: neither multicast nor :: nor an IPv4 address
		is(1, "\xff", rules.CmpNeq)
		is(16, "", rules.CmpNeq)
		is(12, "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff", rules.CmpNeq)
	}
	if types&(1<<rules.AddrUnspec) != 0 {
		is(16, "", rules.CmpEq)
	}
	const routed = 1<<rules.AddrLocal | 1<<rules.AddrAnycast | 1<<rules.AddrUnreachable
	if types&routed != 0 {
		all.Parts = append(all.Parts, oneOfRouted(c, fib, types))
	}
	switch {
	case invert:
		return &rules.NotOf{Span: c.Span, Part: all}
	case len(all.Parts) == 1:
		return all.Parts[0]
	}
	return all
}

// oneOfRouted is match_lookup_rt6: every route that rejects counts as
// unreachable (RTF_REJECT).
func oneOfRouted(c *Context, fib rules.Expr, types uint16) rules.Condition {
	is := &rules.AnyOf{Span: c.Span}
	one := func(t rules.AddrType) {
		is.Parts = append(is.Parts, &rules.Match{Span: c.Span, Left: fib, Op: rules.CmpEq, Right: c.u32(uint32(t))})
	}
	for _, t := range []rules.AddrType{rules.AddrLocal, rules.AddrAnycast} {
		if types&(1<<t) != 0 {
			one(t)
		}
	}
	if types&(1<<rules.AddrUnreachable) != 0 {
		const throw = 9 // RTN_THROW
		for _, t := range []rules.AddrType{rules.AddrUnreachable, rules.AddrBlackhole, rules.AddrProhibit, throw} {
			one(t)
		}
	}
	if len(is.Parts) == 1 {
		return is.Parts[0]
	}
	return is
}

// pad is s in n bytes.
func pad(s string, n int) []byte {
	b := make([]byte, n)
	copy(b, s)
	return b
}

func (x *addrtype) Save(_ *Context, o *Options) {
	if x.src != 0 {
		o.Opt(x.flags&addrtypeInvertSrc != 0, "--src-type", typeNames(x.src))
	}
	if x.dst != 0 {
		o.Opt(x.flags&addrtypeInvertDst != 0, "--dst-type", typeNames(x.dst))
	}
	if x.flags&addrtypeIifOnly != 0 {
		o.Word("--limit-iface-in")
	}
	if x.flags&addrtypeOifOnly != 0 {
		o.Word("--limit-iface-out")
	}
}

func typeNames(mask uint16) string {
	var out []string
	for n, name := range addrtypeNames {
		if mask>>n&1 != 0 {
			out = append(out, name)
		}
	}
	return strings.Join(out, ",")
}
