package xt

import (
	"strconv"
	"strings"

	"github.com/ntdiag/ntdiag/rules"
)

// tcpoptstrip is struct xt_tcpoptstrip_target_info: a bit for each kind of TCP
// option.
type tcpoptstrip struct{ bits [8]uint32 }

func decodeTCPOPTSTRIP(_ *Context, r *reader) Extension {
	x := &tcpoptstrip{}
	for i := range x.bits {
		x.bits[i] = r.u32()
	}
	return x
}

func (*tcpoptstrip) Statements(*Context) []rules.Statement { return nil }

func (x *tcpoptstrip) Save(_ *Context, o *Options) {
	var kinds []string
	for i := range 256 {
		if x.bits[i>>5]>>(i&31)&1 != 0 {
			kinds = append(kinds, strconv.Itoa(i))
		}
	}
	if len(kinds) > 0 {
		o.Word("--strip-options", strings.Join(kinds, ","))
	}
}
