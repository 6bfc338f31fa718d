package xt

import "github.com/ntdiag/ntdiag/rules"

// comment is struct xt_comment_info: XT_MAX_COMMENT_LEN bytes.
type comment struct{ text string }

func decodeComment(_ *Context, r *reader) Extension { return &comment{r.str(256)} }

func (x *comment) Statements(c *Context) []rules.Statement {
	return []rules.Statement{&rules.Remark{Span: c.Span, Name: "comment", Text: x.text}}
}

func (x *comment) Save(_ *Context, o *Options) { o.Word("--comment", quote(x.text)) }
