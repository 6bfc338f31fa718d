package xt

import (
	"fmt"

	"github.com/ntdiag/ntdiag/rules"
)

// markSet is struct xt_mark_tginfo2: mark = mark & ^mask ^ value.
type markSet struct{ value, mask uint32 }

func decodeMARK2(_ *Context, r *reader) Extension { return &markSet{r.u32(), r.u32()} }

// Statements follows mark_tg.
func (x *markSet) Statements(c *Context) []rules.Statement {
	mark := &rules.Meta{Key: rules.MetaMark}
	return []rules.Statement{&rules.Assign{
		Span: c.Span, Target: rules.AssignMeta, Dest: mark,
		Value: &rules.Bitwise{X: mark, Mask: c.u32(^x.mask), Xor: c.u32(x.value)},
	}}
}

func (x *markSet) Save(_ *Context, o *Options) {
	o.Word("--set-xmark", fmt.Sprintf("0x%x/0x%x", x.value, x.mask))
}
