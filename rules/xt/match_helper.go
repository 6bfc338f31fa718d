package xt

import (
	"strings"

	"github.com/ntdiag/ntdiag/rules"
)

// helper is struct xt_helper_info. The name may be longer than the helper's:
// "ftp-2121".
type helper struct {
	invert bool
	name   string
}

func decodeHelper(_ *Context, r *reader) Extension {
	return &helper{invert: r.u32() != 0, name: r.str(30)}
}

func (x *helper) Statements(c *Context) []rules.Statement {
	var cond rules.Condition = &OfHelper{c.Span, x.name}
	if x.invert {
		cond = &rules.NotOf{Span: c.Span, Part: cond}
	}
	return []rules.Statement{cond}
}

func (x *helper) Save(_ *Context, o *Options) { o.Opt(x.invert, "--helper", quote(x.name)) }

// OfHelper holds when the master connection has a helper whose name Name
// begins with, or any for an empty Name.
type OfHelper struct {
	rules.Span
	Name string
}

func (x *OfHelper) String() string { return "helper " + quote(x.Name) }

// Test follows helper_mt.
func (x *OfHelper) Test(p *rules.Packet) rules.Answer {
	is := rules.Decided(p.Ct.Helper != "" && (x.Name == "" || strings.HasPrefix(x.Name, p.Ct.Helper)))
	if p.Ct.HelperKnown == rules.Unknown {
		is = rules.Answer{Unknown: rules.Of(rules.FromCtHelper)}
	}
	tracked := rules.Answer{Truth: p.Tracked}
	if p.Tracked == rules.Unknown {
		tracked.Unknown = rules.Of(rules.FromCtState)
	}
	return tracked.And(is)
}
