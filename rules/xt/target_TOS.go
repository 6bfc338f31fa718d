package xt

import (
	"fmt"

	"github.com/ntdiag/ntdiag/rules"
)

// tosSet is struct xt_tos_target_info.
type tosSet struct{ value, mask uint8 }

func decodeTOSTarget(_ *Context, r *reader) Extension { return &tosSet{r.u8(), r.u8()} }

// Statements follows tos_tg and tos_tg6.
func (x *tosSet) Statements(c *Context) []rules.Statement {
	return []rules.Statement{setTOS(c, ^x.mask, x.value)}
}

func (x *tosSet) Save(_ *Context, o *Options) {
	o.Word("--set-tos", fmt.Sprintf("0x%02x/0x%02x", x.value, x.mask))
}
