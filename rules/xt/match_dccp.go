package xt

import (
	"strconv"
	"strings"

	"github.com/ntdiag/ntdiag/rules"
)

// XT_DCCP_*, besides those that sctp has too.
const (
	dccpTypes  = 4
	dccpOption = 8
)

// dccpTypeNames in the order of enum dccp_pkt_type; the last stands for every
// number from it on.
var dccpTypeNames = [...]string{
	"REQUEST", "RESPONSE", "DATA", "ACK", "DATAACK", "CLOSEREQ", "CLOSE", "RESET", "SYNC", "SYNCACK", "INVALID",
}

// xtDCCP is struct xt_dccp_info.
type xtDCCP struct {
	portPair
	ask, invert uint32
	types       uint16 // bit n is packet type n
	option      uint8
}

func decodeDCCP(_ *Context, r *reader) Extension {
	x := &xtDCCP{portPair: r.portPair(), ask: uint32(r.u16()), invert: uint32(r.u16()), types: r.u16(), option: r.u8()}
	if (x.ask|x.invert)&^(sctpSrc|sctpDst|dccpTypes|dccpOption) != 0 || x.invert&^x.ask != 0 {
		r.fail("dccp: flags %#x, inverted %#x", x.ask, x.invert)
	}
	return x
}

// Statements follows dccp_mt. The type is in bits 1 to 4 of byte 8.
func (x *xtDCCP) Statements(c *Context) []rules.Statement {
	out := statements(x.conditions(c, x.ask, x.invert))
	if x.ask&dccpTypes != 0 {
		is := &rules.AnyOf{Span: c.Span, Invert: x.invert&dccpTypes != 0}
		for typ := range 16 {
			if x.types>>typ&1 != 0 {
				is.Parts = append(is.Parts, masked(c.Span, transport(8, 1), []byte{0x1e}, []byte{byte(typ << 1)}, false))
			}
		}
		out = append(out, is)
	}
	if x.ask&dccpOption != 0 {
		present := []byte{1}
		if x.invert&dccpOption != 0 {
			present[0] = 0
		}
		out = append(out, &rules.Match{Span: c.Span, Left: &rules.Exthdr{Op: 4, Type: x.option, Len: 1, Present: true}, Op: rules.CmpEq, Right: present})
	}
	return out
}

func (x *xtDCCP) Save(_ *Context, o *Options) {
	x.save(o, x.ask, x.invert)
	if x.ask&dccpTypes != 0 {
		var list []string
		for i, name := range dccpTypeNames {
			if x.types>>i&1 != 0 {
				list = append(list, name)
			}
		}
		o.Opt(x.invert&dccpTypes != 0, "--dccp-types", strings.Join(list, ","))
	}
	if x.ask&dccpOption != 0 {
		o.Opt(x.invert&dccpOption != 0, "--dccp-option", strconv.Itoa(int(x.option)))
	}
}
