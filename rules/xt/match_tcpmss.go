package xt

import "github.com/ntdiag/ntdiag/rules"

// tcpmss is struct xt_tcpmss_match_info.
type tcpmss struct {
	span   ports // two numbers as ports are written
	invert bool
}

func decodeTCPMSS(_ *Context, r *reader) Extension {
	return &tcpmss{span: r.ports(), invert: r.u8() != 0}
}

// tcpOptionMSS is TCPOPT_MSS.
const tcpOptionMSS = 2

// Statements follows tcpmss_mt: inverted it holds too where there is no such
// option.
func (x *tcpmss) Statements(c *Context) []rules.Statement {
	if x.span.lo > x.span.hi {
		return fixed(c, x.invert)
	}
	mss := &rules.Exthdr{Op: 1, Type: tcpOptionMSS, Off: 2, Len: 2}
	cond := within(c.Span, mss, be16(x.span.lo), be16(x.span.hi), false)
	if x.invert {
		cond = &rules.NotOf{Span: c.Span, Part: cond}
	}
	return []rules.Statement{cond}
}

func (x *tcpmss) Save(_ *Context, o *Options) { o.Opt(x.invert, "--mss", x.span.String()) }
