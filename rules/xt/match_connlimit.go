package xt

import (
	"encoding/binary"
	"math/bits"

	"github.com/ntdiag/ntdiag/rules"
)

// XT_CONNLIMIT_*.
const (
	connlimitInvert = 1 << 0
	connlimitDaddr  = 1 << 1
)

// connlimit is struct xt_connlimit_info.
type connlimit struct {
	mask  []byte
	limit uint32
	flags uint32
}

func decodeConnlimit(c *Context, r *reader) Extension {
	x := &connlimit{mask: r.bytes(16)[:addressBits(c.Family)/8], limit: r.u32(), flags: r.u32()}
	if x.flags&^(connlimitInvert|connlimitDaddr) != 0 {
		r.fail("unknown flags 0x%x", x.flags)
	}
	return x
}

// Statements follows connlimit_mt: the packet's own connection is counted, and
// where none can be the packet is dropped, so that there is always one.
func (x *connlimit) Statements(c *Context) []rules.Statement {
	upto := x.flags&connlimitInvert != 0
	if x.limit == 0 {
		return []rules.Statement{&rules.Fixed{Span: c.Span, Holds: !upto}}
	}
	return []rules.Statement{&rules.Open{Span: c.Span, Name: "connlimit", From: rules.FromLimit}}
}

func (x *connlimit) Save(_ *Context, o *Options) {
	name := "--connlimit-above"
	if x.flags&connlimitInvert != 0 {
		name = "--connlimit-upto"
	}
	o.Word(name, utoa(x.limit), "--connlimit-mask", utoa(uint32(x.prefix())))
	if x.flags&connlimitDaddr != 0 {
		o.Word("--connlimit-daddr")
	} else {
		o.Word("--connlimit-saddr")
	}
}

// prefix is the mask's length as count_bits6 has it: what is left when the
// zeros behind the first of each word are taken off.
func (x *connlimit) prefix() int {
	n := 8 * len(x.mask)
	for at := 0; at < len(x.mask); at += 4 {
		n -= bits.Len32(^binary.BigEndian.Uint32(x.mask[at:]))
	}
	return n
}
