package xt

import (
	"strconv"

	"github.com/ntdiag/ntdiag/rules"
)

// ttlChanges are IPT_TTL_* and IP6T_HL_*, by number.
var ttlChanges = [...]string{"set", "inc", "dec"}

// ttlTarget is struct ipt_TTL_info, struct ip6t_HL_info.
type ttlTarget struct {
	opt         string
	off         int // of the byte in the header
	mode, value uint8
}

func decodeTTLTarget(_ *Context, r *reader) Extension { return readTTL(r, "--ttl-", 8) }
func decodeHLTarget(_ *Context, r *reader) Extension  { return readTTL(r, "--hl-", 7) }

func readTTL(r *reader, opt string, off int) Extension {
	x := &ttlTarget{opt: opt, off: off, mode: r.u8(), value: r.u8()}
	if int(x.mode) >= len(ttlChanges) {
		r.fail("mode %d", x.mode)
		x.mode = 0
	}
	return x
}

// Statements follows ttl_tg and hl_tg6.
func (x *ttlTarget) Statements(c *Context) []rules.Statement {
	at := network(x.off, 1)
	a := &rules.Assign{Span: c.Span, Target: rules.AssignPayload, Dest: at, Value: &rules.Const{Data: []byte{x.value}}}
	switch ttlChanges[x.mode] {
	case "inc":
		a.Value = &rules.Step{X: at, By: int(x.value)}
	case "dec":
		a.Value = &rules.Step{X: at, By: -int(x.value)}
	}
	return []rules.Statement{a}
}

func (x *ttlTarget) Save(_ *Context, o *Options) {
	o.Word(x.opt+ttlChanges[x.mode], strconv.Itoa(int(x.value)))
}
