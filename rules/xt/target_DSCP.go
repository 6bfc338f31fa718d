package xt

import (
	"fmt"

	"github.com/ntdiag/ntdiag/rules"
)

// dscpMax is XT_DSCP_MAX.
const dscpMax = 0x3f

// dscpSet is struct xt_DSCP_info.
type dscpSet struct{ dscp uint8 }

func decodeDSCPTarget(_ *Context, r *reader) Extension {
	x := &dscpSet{r.u8()}
	if x.dscp > dscpMax {
		r.fail("dscp %#x", x.dscp)
	}
	return x
}

// Statements follows dscp_tg and dscp_tg6: the two bits of ECN stay.
func (x *dscpSet) Statements(c *Context) []rules.Statement {
	return []rules.Statement{setTOS(c, 0x03, x.dscp<<2)}
}

func (x *dscpSet) Save(_ *Context, o *Options) { o.Word("--set-dscp", fmt.Sprintf("0x%02x", x.dscp)) }

// setTOS writes tos & keep ^ xor to the byte of IPv4, or to the traffic class
// of IPv6, which stands half in the first byte and half in the second.
func setTOS(c *Context, keep, xor uint8) rules.Statement {
	at, mask, value := network(1, 1), []byte{keep}, []byte{xor}
	if c.Family == rules.FamilyIPv6 {
		at, mask, value = network(0, 2), be16(uint16(keep)<<4|0xf00f), be16(uint16(xor)<<4)
	}
	return &rules.Assign{
		Span: c.Span, Target: rules.AssignPayload, Dest: at, Value: &rules.Bitwise{X: at, Mask: mask, Xor: value},
	}
}
