package xt

import (
	"strconv"

	"github.com/ntdiag/ntdiag/rules"
)

// tcpmssTarget is struct xt_tcpmss_info. It changes an option of which no rule can
// tell what an entry's first packet had.
type tcpmssTarget struct{ mss uint16 }

// tcpmssClamp is XT_TCPMSS_CLAMP_PMTU.
const tcpmssClamp = 0xffff

func decodeTCPMSSTarget(_ *Context, r *reader) Extension { return &tcpmssTarget{r.u16()} }

func (*tcpmssTarget) Statements(*Context) []rules.Statement { return nil }

func (x *tcpmssTarget) Save(_ *Context, o *Options) {
	if x.mss == tcpmssClamp {
		o.Word("--clamp-mss-to-pmtu")
		return
	}
	o.Word("--set-mss", strconv.Itoa(int(x.mss)))
}
