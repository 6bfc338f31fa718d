package xt

import (
	"strconv"

	"github.com/ntdiag/ntdiag/rules"
)

// idletimer is struct idletimer_tg_info_v1; the elder one has no type.
type idletimer struct {
	timeout uint32
	label   string
	alarm   bool // XT_IDLETIMER_ALARM
}

func decodeIDLETIMER0(_ *Context, r *reader) Extension {
	return &idletimer{timeout: r.u32(), label: r.str(28)}
}

func decodeIDLETIMER1(_ *Context, r *reader) Extension {
	x := &idletimer{timeout: r.u32(), label: r.str(28)}
	r.skip(1) // send_nl_msg, of no effect
	typ := r.u8()
	if typ > 1 {
		r.fail("timer of type %d", typ)
	}
	x.alarm = typ == 1
	return x
}

func (*idletimer) Statements(*Context) []rules.Statement { return nil }

func (x *idletimer) Save(_ *Context, o *Options) {
	o.Word("--timeout", strconv.FormatUint(uint64(x.timeout), 10), "--label", x.label)
	if x.alarm {
		o.Word("--alarm")
	}
}
