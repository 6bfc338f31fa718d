package xt

import "github.com/ntdiag/ntdiag/rules"

// limit is struct xt_rateinfo; what follows in it is the kernel's own.
type limit struct{ avg, burst uint32 }

func decodeLimit(_ *Context, r *reader) Extension { return &limit{r.u32(), r.u32()} }

// Statements follows limit_mt: a period of 0 costs nothing.
func (x *limit) Statements(c *Context) []rules.Statement {
	if x.avg == 0 {
		return []rules.Statement{&rules.Fixed{Span: c.Span, Holds: true}}
	}
	u := limitUnit(uint64(x.avg), limitScale)
	return []rules.Statement{&rules.Limit{
		Span: c.Span, Rate: max(u.seconds*limitScale/uint64(x.avg), 1), Unit: u.seconds, Burst: x.burst,
	}}
}

func (x *limit) Save(_ *Context, o *Options) { saveLimit(o, x.avg, x.burst) }
