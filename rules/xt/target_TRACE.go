package xt

import "github.com/ntdiag/ntdiag/rules"

// trace is the target TRACE, which has no struct.
type trace struct{}

func decodeTRACE(*Context, *reader) Extension { return trace{} }

// Statements follows trace_tg: skb->nf_trace is what `meta nftrace` is.
func (trace) Statements(c *Context) []rules.Statement {
	return []rules.Statement{&rules.Assign{
		Span: c.Span, Target: rules.AssignMeta, Dest: &rules.Meta{Key: rules.MetaNftrace}, Value: &rules.Const{Data: []byte{1}},
	}}
}

func (trace) Save(*Context, *Options) {}
