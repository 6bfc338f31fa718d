package xt

import "github.com/ntdiag/ntdiag/rules"

// length is struct xt_length_info. It counts the IP header.
type length struct {
	span   ports // two numbers as ports are written
	invert bool
}

func decodeLength(_ *Context, r *reader) Extension {
	return &length{span: r.ports(), invert: r.u8() != 0}
}

// Statements follows length_mt and length_mt6: IPv4 has its length in the
// header, that of IPv6 is the packet's.
func (x *length) Statements(c *Context) []rules.Statement {
	if x.span.lo > x.span.hi {
		return fixed(c, x.invert)
	}
	if c.Family == rules.FamilyIPv4 {
		return []rules.Statement{within(c.Span, network(2, 2), be16(x.span.lo), be16(x.span.hi), x.invert)}
	}
	n := &rules.Byteorder{X: &rules.Meta{Key: rules.MetaLen}, ToNetwork: true, Size: 4, Len: 4}
	return []rules.Statement{within(c.Span, n, append([]byte{0, 0}, be16(x.span.lo)...), append([]byte{0, 0}, be16(x.span.hi)...), x.invert)}
}

func (x *length) Save(_ *Context, o *Options) { o.Opt(x.invert, "--length", x.span.String()) }
