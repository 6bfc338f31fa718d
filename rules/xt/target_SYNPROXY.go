package xt

import (
	"strconv"

	"github.com/ntdiag/ntdiag/rules"
)

// synproxyECN is NF_SYNPROXY_OPT_ECN, which nf_tables does not have.
const synproxyECN rules.SynproxyFlags = 0x10

const synproxyFlags = rules.SynproxyMSS | rules.SynproxyWscale | rules.SynproxySackPerm | rules.SynproxyTimestamp | synproxyECN

// synproxy is struct nf_synproxy_info.
type synproxy struct {
	flags  rules.SynproxyFlags
	wscale uint8
	mss    uint16
}

func decodeSYNPROXY(_ *Context, r *reader) Extension {
	x := &synproxy{flags: rules.SynproxyFlags(r.u8()), wscale: r.u8(), mss: r.u16()}
	if x.flags&^synproxyFlags != 0 {
		r.fail("options %#x", uint32(x.flags))
	}
	return x
}

// Statements follows synproxy_tg4 and synproxy_tg6.
func (x *synproxy) Statements(c *Context) []rules.Statement {
	return []rules.Statement{&rules.Synproxy{Span: c.Span, MSS: x.mss, Wscale: x.wscale, Flags: x.flags, Plain: true}}
}

func (x *synproxy) Save(_ *Context, o *Options) {
	if x.flags&rules.SynproxySackPerm != 0 {
		o.Word("--sack-perm")
	}
	if x.flags&rules.SynproxyTimestamp != 0 {
		o.Word("--timestamp")
	}
	if x.flags&rules.SynproxyWscale != 0 {
		o.Word("--wscale", strconv.Itoa(int(x.wscale)))
	}
	if x.flags&rules.SynproxyMSS != 0 {
		o.Word("--mss", strconv.Itoa(int(x.mss)))
	}
	if x.flags&synproxyECN != 0 {
		o.Word("--ecn")
	}
}
