package xt

import "github.com/ntdiag/ntdiag/rules"

const nfacctNameLen = 32 // NFACCT_NAME_MAX

// nfacct is struct xt_nfacct_match_info and its revision 1: the name of an
// accounting object, and a pointer of the kernel's.
type nfacct struct{ name string }

func decodeNfacct(_ *Context, r *reader) Extension { return &nfacct{r.str(nfacctNameLen)} }

// Statements follows nfacct_mt: it counts, and holds, unless the object has a
// quota that is not used up yet, which the rule does not tell.
func (x *nfacct) Statements(c *Context) []rules.Statement {
	return []rules.Statement{&rules.Open{Span: c.Span, Name: "nfacct", From: rules.FromQuota}}
}

func (x *nfacct) Save(_ *Context, o *Options) { o.Word("--nfacct-name", quote(x.name)) }
