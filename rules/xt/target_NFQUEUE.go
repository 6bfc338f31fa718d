package xt

import (
	"fmt"
	"strconv"

	"github.com/ntdiag/ntdiag/rules"
)

// NFQ_FLAG_*.
const (
	nfqBypass = 1
	nfqFanout = 2
)

// nfqueue is struct xt_NFQ_info_v3; the elder ones end sooner.
type nfqueue struct{ num, total, flags uint16 }

// decodeNFQUEUE reads revision n.
func decodeNFQUEUE(n uint8) func(*Context, *reader) Extension {
	return func(_ *Context, r *reader) Extension {
		x := &nfqueue{num: r.u16(), total: 1}
		known := uint16(0)
		if n >= 1 {
			x.total = r.u16()
		}
		if n >= 2 {
			x.flags, known = r.u16(), nfqBypass
		}
		if n >= 3 {
			known |= nfqFanout
		}
		if x.flags&^known != 0 || x.total == 0 || int(x.num)+int(x.total) > 1<<16 {
			r.fail("%d queues from %d, flags %#x", x.total, x.num, x.flags)
		}
		return x
	}
}

// Statements follows nfqueue_tg_v3.
func (x *nfqueue) Statements(c *Context) []rules.Statement {
	return []rules.Statement{&rules.Queue{
		Span: c.Span, Num: x.num, Total: x.total, Bypass: x.flags&nfqBypass != 0, Fanout: x.flags&nfqFanout != 0,
	}}
}

func (x *nfqueue) Save(_ *Context, o *Options) {
	if x.total > 1 {
		o.Word("--queue-balance", fmt.Sprintf("%d:%d", x.num, int(x.num)+int(x.total)-1))
	} else {
		o.Word("--queue-num", strconv.Itoa(int(x.num)))
	}
	if x.flags&nfqBypass != 0 {
		o.Word("--queue-bypass")
	}
	if x.flags&nfqFanout != 0 {
		o.Word("--queue-cpu-fanout")
	}
}
