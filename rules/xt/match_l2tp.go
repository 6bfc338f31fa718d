package xt

import "github.com/ntdiag/ntdiag/rules"

// XT_L2TP_*.
const (
	l2tpTID     = 1 << 0
	l2tpSID     = 1 << 1
	l2tpVersion = 1 << 2
	l2tpType    = 1 << 3
)

// protoL2TP is IPPROTO_L2TP.
const protoL2TP = 115

// l2tp is struct xt_l2tp_info.
type l2tp struct {
	tid, sid             uint32
	version, kind, flags uint8
}

func decodeL2TP(_ *Context, r *reader) Extension {
	x := &l2tp{tid: r.u32(), sid: r.u32(), version: r.u8(), kind: r.u8(), flags: r.u8()}
	if x.flags&^(l2tpTID|l2tpSID|l2tpVersion|l2tpType) != 0 {
		r.fail("unknown flags 0x%x", x.flags)
	}
	return x
}

// Statements follows l2tp_mt4: the header lies behind that of UDP, or is the
// transport header.
func (x *l2tp) Statements(c *Context) []rules.Statement {
	return []rules.Statement{&rules.AllOf{Span: c.Span, Parts: []rules.Condition{
		oneProto(c, protoUDP, protoL2TP), &rules.Open{Span: c.Span, Name: "l2tp", From: rules.FromPayload},
	}}}
}

func (x *l2tp) Save(_ *Context, o *Options) {
	kind := "control"
	if x.kind != 0 {
		kind = "data"
	}
	for _, w := range [...]struct {
		bit         uint8
		name, value string
	}{
		{l2tpTID, "--tid", utoa(x.tid)}, {l2tpSID, "--sid", utoa(x.sid)},
		{l2tpVersion, "--pversion", utoa(uint32(x.version))}, {l2tpType, "--type", kind},
	} {
		if x.flags&w.bit != 0 {
			o.Word(w.name, w.value)
		}
	}
}
