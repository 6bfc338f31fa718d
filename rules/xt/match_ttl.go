package xt

import (
	"github.com/ntdiag/ntdiag/rules"
)

// ttl is struct ipt_ttl_info, and ip6t_hl_info of the match hl.
type ttl struct {
	mode, value uint8
	option      string
	off         int // in the IP header
}

// ttlModes are IPT_TTL_* and IP6T_HL_*.
var ttlModes = []struct {
	op     rules.CmpOp
	invert bool
	suffix string
}{{rules.CmpEq, false, "-eq"}, {rules.CmpNeq, true, "-eq"}, {rules.CmpLt, false, "-lt"}, {rules.CmpGt, false, "-gt"}}

func decodeTTL(_ *Context, r *reader) Extension { return hopLimit(r, "--ttl", 8) }

func decodeHL(_ *Context, r *reader) Extension { return hopLimit(r, "--hl", 7) }

func hopLimit(r *reader, option string, off int) Extension {
	x := &ttl{mode: r.u8(), value: r.u8(), option: option, off: off}
	if int(x.mode) >= len(ttlModes) {
		r.fail("unknown mode %d", x.mode)
	}
	return x
}

// Statements follows ttl_mt and hl_mt6.
func (x *ttl) Statements(c *Context) []rules.Statement {
	return []rules.Statement{&rules.Match{Span: c.Span, Left: network(x.off, 1), Op: ttlModes[x.mode].op, Right: []byte{x.value}}}
}

func (x *ttl) Save(_ *Context, o *Options) {
	m := ttlModes[x.mode]
	o.Opt(m.invert, x.option+m.suffix, utoa(uint32(x.value)))
}
