package xt

import (
	"fmt"

	"github.com/ntdiag/ntdiag/rules"
)

// tos is struct xt_tos_match_info, and ipt_tos_info of revision 0.
type tos struct {
	mask, value uint8
	invert      bool
	whole       bool // revision 0 has no mask
}

func decodeTOS0(_ *Context, r *reader) Extension {
	return &tos{mask: 0xff, value: r.u8(), invert: r.u8() != 0, whole: true}
}

func decodeTOS1(_ *Context, r *reader) Extension {
	return &tos{mask: r.u8(), value: r.u8(), invert: r.u8() != 0}
}

// Statements follows tos_mt.
func (x *tos) Statements(c *Context) []rules.Statement {
	return []rules.Statement{dsfield(c, x.mask, x.value, x.invert)}
}

func (x *tos) Save(_ *Context, o *Options) {
	if x.whole {
		o.Opt(x.invert, "--tos", fmt.Sprintf("0x%02x", x.value))
		return
	}
	o.Opt(x.invert, "--tos", fmt.Sprintf("0x%02x/0x%02x", x.value, x.mask))
}

// dsfield compares the differentiated services field: the second byte of an
// IPv4 header (ipv4_get_dsfield), bits 4 to 11 of an IPv6 one
// (ipv6_get_dsfield).
func dsfield(c *Context, mask, value uint8, invert bool) rules.Condition {
	if c.Family == rules.FamilyIPv4 {
		return masked(c.Span, network(1, 1), []byte{mask}, []byte{value}, invert)
	}
	return masked(c.Span, network(0, 2), be16(uint16(mask)<<4), be16(uint16(value)<<4), invert)
}
