package xt

import (
	"net/netip"

	"github.com/ntdiag/ntdiag/rules"
)

// tee is struct xt_tee_tginfo.
type tee struct {
	gateway netip.Addr
	oif     string // "" where the route decides
}

func decodeTEE(c *Context, r *reader) Extension {
	return &tee{gateway: r.addr(c.Family), oif: r.str(16)}
}

// Statements follows tee_tg4 and tee_tg6: a copy goes to the gateway, the
// packet itself goes on. nf_tables' dup knows a device by its index, TEE by its
// name.
func (x *tee) Statements(c *Context) []rules.Statement {
	if x.oif != "" {
		return nil
	}
	return []rules.Statement{&rules.Dup{Span: c.Span, Addr: &rules.Const{Data: x.gateway.AsSlice()}}}
}

func (x *tee) Save(_ *Context, o *Options) {
	o.Word("--gateway", addrText(x.gateway))
	if x.oif != "" {
		o.Word("--oif", x.oif)
	}
}
