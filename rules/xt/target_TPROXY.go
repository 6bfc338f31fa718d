package xt

import (
	"fmt"
	"net/netip"

	"github.com/ntdiag/ntdiag/rules"
)

// tproxy is struct xt_tproxy_target_info_v1; the elder one is of IPv4 alone.
type tproxy struct {
	mask, value uint32
	addr        netip.Addr // unspecified: one of the input device
	port        uint16     // 0: the packet's own
}

func decodeTPROXY0(_ *Context, r *reader) Extension {
	return &tproxy{mask: r.u32(), value: r.u32(), addr: r.addr4(), port: r.be16()}
}

func decodeTPROXY1(c *Context, r *reader) Extension {
	return &tproxy{mask: r.u32(), value: r.u32(), addr: r.addr(c.Family), port: r.be16()}
}

// Statements follows tproxy_tg4 and tproxy_tg6_v1: with a transparent socket
// the packet is marked and accepted, without one it is dropped.
func (x *tproxy) Statements(c *Context) []rules.Statement {
	to := &rules.TProxy{Span: c.Span, Family: c.Family, Drops: true}
	if !x.addr.IsUnspecified() {
		to.Addr = &rules.Const{Data: x.addr.AsSlice()}
	}
	if x.port != 0 {
		to.Port = &rules.Const{Data: be16(x.port)}
	}
	out := []rules.Statement{to}
	out = append(out, (&markSet{x.value, x.mask}).Statements(c)...)
	return append(out, &rules.Verdict{Span: c.Span, Code: rules.VerdictAccept})
}

func (x *tproxy) Save(_ *Context, o *Options) {
	o.Word("--on-port", fmt.Sprint(x.port), "--on-ip", addrText(x.addr), "--tproxy-mark", fmt.Sprintf("0x%x/0x%x", x.value, x.mask))
}
