package xt

import (
	"net"

	"github.com/ntdiag/ntdiag/rules"
)

// arphrdEther is ARPHRD_ETHER.
const arphrdEther = 1

// mac is struct xt_mac_info: six bytes, two of padding, and an int.
type mac struct {
	addr   []byte
	invert bool
}

func decodeMAC(_ *Context, r *reader) Extension {
	x := &mac{addr: r.bytes(6)}
	r.align(4)
	x.invert = r.u32() != 0
	return x
}

// Statements follows mac_mt, which matches, inverted or not, only what came by
// an Ethernet device: the kernel takes it in no chain where packets leave.
func (x *mac) Statements(c *Context) []rules.Statement {
	return []rules.Statement{
		fromEthernet(c),
		masked(c.Span, &rules.Payload{Base: rules.PayloadLink, Off: 6, Len: 6}, pad("\xff\xff\xff\xff\xff\xff", 6), x.addr, x.invert),
	}
}

func fromEthernet(c *Context) rules.Condition {
	return &rules.Match{Span: c.Span, Left: &rules.Meta{Key: rules.MetaIiftype}, Op: rules.CmpEq, Right: c.u16(arphrdEther)}
}

func (x *mac) Save(_ *Context, o *Options) {
	o.Opt(x.invert, "--mac-source", net.HardwareAddr(x.addr).String())
}
