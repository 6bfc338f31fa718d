package xt

import (
	"fmt"

	"github.com/ntdiag/ntdiag/rules"
)

// dscp is struct xt_dscp_info. A class is kept, and printed, as its number.
type dscp struct {
	value  uint8 // 6 bits
	invert bool
}

func decodeDSCP(_ *Context, r *reader) Extension {
	x := &dscp{value: r.u8(), invert: r.u8() != 0}
	if x.value > 0x3f {
		r.fail("code point %d, at most 63", x.value)
	}
	return x
}

// Statements follows dscp_mt.
func (x *dscp) Statements(c *Context) []rules.Statement {
	return []rules.Statement{dsfield(c, 0xfc, x.value<<2, x.invert)}
}

func (x *dscp) Save(_ *Context, o *Options) {
	o.Opt(x.invert, "--dscp", fmt.Sprintf("0x%02x", x.value))
}
