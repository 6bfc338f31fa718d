package xt

import (
	"fmt"

	"github.com/ntdiag/ntdiag/rules"
)

// classify is struct xt_classify_target_info: the class, major above minor.
type classify struct{ priority uint32 }

func decodeCLASSIFY(_ *Context, r *reader) Extension { return &classify{r.u32()} }

// Statements follows classify_tg.
func (x *classify) Statements(c *Context) []rules.Statement {
	return []rules.Statement{&rules.Assign{
		Span: c.Span, Target: rules.AssignMeta, Dest: &rules.Meta{Key: rules.MetaPriority}, Value: &rules.Const{Data: c.u32(x.priority)},
	}}
}

func (x *classify) Save(_ *Context, o *Options) {
	o.Word("--set-class", fmt.Sprintf("%04x:%04x", x.priority>>16, x.priority&0xffff))
}
