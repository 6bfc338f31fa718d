package nft

import (
	"fmt"

	"github.com/ntdiag/ntdiag/rules"
)

// objectRows is what a named object is called, in a rule and by itself.
var objectRows = map[rules.ObjectType]struct{ ref, name string }{
	rules.ObjectCounter:   {"counter name", "counter"},
	rules.ObjectQuota:     {"quota name", "quota"},
	rules.ObjectCtHelper:  {"ct helper set", "ct helper"},
	rules.ObjectLimit:     {"limit name", "limit"},
	rules.ObjectCtTimeout: {"ct timeout set", "ct timeout"},
	rules.ObjectSecmark:   {"meta secmark set", "secmark"},
	rules.ObjectCtExpect:  {"ct expectation set", "ct expectation"},
	rules.ObjectSynproxy:  {"synproxy name", "synproxy"},
	rules.ObjectTunnel:    {"tunnel name", "tunnel"},
}

func (p *printer) objRef(x *rules.ObjRef) {
	row, ok := objectRows[x.Type]
	if !ok {
		row.ref = fmt.Sprintf("[ object %d ? ]", x.Type)
	}
	if x.Set == nil {
		p.add(row.ref + " " + quote(x.Name))
		return
	}
	key := p.expr(x.Key)
	p.add(row.ref + " " + key.text + " map " + p.setRef(x.Set, key, typed{}))
}

var dynsetNames = [...]string{"add", "update", "delete"}

func (p *printer) dynset(x *rules.Dynset) {
	name, op := "?", "?"
	if x.Set != nil {
		name = x.Set.Name
	}
	if int(x.Op) < len(dynsetNames) {
		op = dynsetNames[x.Op]
	}
	key := p.expr(x.Key)
	out := op + " @" + Escape(name) + " { " + key.text
	if x.Timeout != 0 {
		out += " timeout " + timeText(x.Timeout)
	}
	for _, s := range x.Exprs {
		out += " " + p.inner(s)
	}
	if x.Data != nil {
		if c := constant(x.Data); c != nil {
			out += " : " + p.value(p.dataType(x.Set), c)
		} else {
			out += " : " + p.expr(x.Data).text
		}
	}
	p.add(out + " }")
}

// NFT_REJECT_*.
const (
	rejectICMP  = 0
	rejectReset = 1
	rejectICMPX = 2
)

// reject follows stmt_reject_postprocess: what the default answer is, and
// which condition the kind of answer implies.
func (p *printer) reject(x *rules.Reject) {
	single := p.family == rules.FamilyIPv4 || p.family == rules.FamilyIPv6
	code := []byte{x.Code}
	switch {
	case x.Type == rejectReset:
		if single {
			p.drop(rules.PayloadTransport)
		}
		p.add("reject with tcp reset")
	case x.Type == rejectICMPX && x.Code == 1:
		p.add("reject")
	case x.Type == rejectICMPX:
		p.add("reject with icmpx " + typeICMPXCode.format(code))
	case p.headers[rules.PayloadNetwork] == headerIP6:
		if single && x.Code == 4 {
			p.add("reject")
			return
		}
		p.drop(rules.PayloadNetwork)
		p.add("reject with icmpv6 " + typeICMP6Code.format(code))
	default:
		if single && x.Code == 3 {
			p.add("reject")
			return
		}
		p.drop(rules.PayloadNetwork)
		p.add("reject with icmp " + typeICMPCode.format(code))
	}
}

// object prints a named object. Those of which nothing is known are left as a
// remark.
func (w tableWriter) object(o *rules.Object) {
	row, ok := objectRows[o.Type]
	if !ok {
		row.name = fmt.Sprintf("[ object %d ? ]", o.Type)
	}
	a := parseAttrs(w.rs.Order, o.Raw)
	body, ok := objectBodies[o.Type]
	if !ok || a.err != nil {
		w.line("\t# [ %s %s ? ]", row.name, Escape(o.Name))
		return
	}
	w.line("\t%s %s {", row.name, Escape(o.Name))
	if o.Comment != "" {
		w.line("\t\tcomment %s", quote(o.Comment))
	}
	for _, l := range body(a) {
		w.line("\t\t%s", l)
	}
	w.line("\t}")
}
