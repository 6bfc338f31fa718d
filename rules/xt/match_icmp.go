package xt

import (
	"strconv"

	"github.com/ntdiag/ntdiag/rules"
)

// icmpInvert is IPT_ICMP_INV and IP6T_ICMP_INV.
const icmpInvert = 1

// icmpAny is the type that IPv4 takes for every one; in IPv6 it is a type like
// any other.
const icmpAny = 0xff

// icmp is struct ipt_icmp and struct ip6t_icmp: a type and a range of codes.
type icmp struct {
	typ, lo, hi uint8
	invert      bool
	v6          bool
}

func decodeICMP(c *Context, r *reader) Extension {
	x := &icmp{typ: r.u8(), lo: r.u8(), hi: r.u8(), v6: c.Family == rules.FamilyIPv6}
	flags := r.u8()
	if flags&^icmpInvert != 0 {
		r.fail("icmp: inversion %#x", flags)
	}
	x.invert = flags != 0
	return x
}

// Statements follows icmp_type_code_match and icmp6_type_code_match.
func (x *icmp) Statements(c *Context) []rules.Statement {
	typ, code := transport(0, 1), transport(1, 1)
	switch {
	case x.typ == icmpAny && !x.v6:
		if x.invert {
			return []rules.Statement{&rules.Fixed{Span: c.Span}}
		}
		return nil
	case x.lo == 0 && x.hi == 0xff:
		return []rules.Statement{masked(c.Span, typ, []byte{0xff}, []byte{x.typ}, x.invert)}
	case x.lo == x.hi:
		return []rules.Statement{masked(c.Span, transport(0, 2), []byte{0xff, 0xff}, []byte{x.typ, x.lo}, x.invert)}
	}
	both := []rules.Condition{
		masked(c.Span, typ, []byte{0xff}, []byte{x.typ}, false),
		within(c.Span, code, []byte{x.lo}, []byte{x.hi}, false),
	}
	if x.invert {
		return []rules.Statement{&rules.NotOf{Span: c.Span, Part: &rules.AllOf{Span: c.Span, Parts: both}}}
	}
	return statements(both)
}

// Save follows icmp_save and icmp6_save, which print of a range of codes the
// first.
func (x *icmp) Save(_ *Context, o *Options) {
	option, text := "--icmp-type", strconv.Itoa(int(x.typ))
	if x.v6 {
		option = "--icmpv6-type"
	}
	switch {
	case x.typ == icmpAny && !x.v6:
		text = "any"
	case x.lo != 0 || x.hi != 0xff:
		text += "/" + strconv.Itoa(int(x.lo))
	}
	o.Opt(x.invert, option, text)
}
