package nft

import (
	"fmt"

	"github.com/ntdiag/ntdiag/rules"
)

// tproxy follows tproxy_stmt_print; nft 1.0.6 leaves a port that comes from a
// map out, and would not load what it prints then.
func (p *printer) tproxy(x *rules.TProxy) {
	out := "tproxy"
	if p.family == rules.FamilyInet && x.Family != rules.FamilyUnspec {
		out += " " + x.Family.String()
	}
	out += " to"
	if x.Addr != nil {
		addr := p.place(x.Addr, addressOf(x.Family))
		if x.Family == rules.FamilyIPv6 && constant(x.Addr) != nil {
			addr = "[" + addr + "]"
		}
		out += " " + addr
	}
	if x.Port != nil {
		if x.Addr == nil {
			out += " "
		}
		out += ":" + p.place(x.Port, typed{typ: typeService, n: 2})
	}
	p.add(out)
}

// dup follows dup_stmt_print.
func (p *printer) dup(x *rules.Dup) {
	out := "dup to "
	if x.Addr == nil {
		p.add(out + p.place(x.Device, deviceType))
		return
	}
	out += p.place(x.Addr, addressOf(p.family))
	if x.Device != nil {
		out += " device " + p.place(x.Device, deviceType)
	}
	p.add(out)
}

// fwd follows fwd_stmt_print.
func (p *printer) fwd(x *rules.Fwd) {
	if x.Addr == nil {
		p.add("fwd to " + p.place(x.Device, deviceType))
		return
	}
	p.add(fmt.Sprintf("fwd %s to %s device %s", x.Family, p.place(x.Addr, addressOf(x.Family)), p.place(x.Device, deviceType)))
}

var deviceType = typed{typ: typeIfindex, host: true, n: ifindexLen}

func addressOf(f rules.Family) typed {
	if f == rules.FamilyIPv6 {
		return typed{typ: typeIP6Addr, n: 16}
	}
	return typed{typ: typeIPAddr, n: 4}
}

// place is where a packet is sent: a constant of type t, or an expression that
// yields one.
func (p *printer) place(e rules.Expr, t typed) string {
	if c := constant(e); c != nil {
		return p.value(t, c)
	}
	return p.natMap(e, nil, t)
}

// queue follows queue_stmt_print.
func (p *printer) queue(x *rules.Queue) {
	out, sep := "queue", " flags "
	if x.Bypass {
		out += sep + "bypass"
		sep = ","
	}
	if x.Fanout {
		out += sep + "fanout"
	}
	switch {
	case x.From != nil:
		out += " to " + p.place(x.From, typed{typ: typeInteger, host: true, n: 4})
	case x.Total > 1:
		out += fmt.Sprintf(" to %d-%d", x.Num, uint32(x.Num)+uint32(x.Total)-1)
	default:
		out += fmt.Sprintf(" to %d", x.Num)
	}
	p.add(out)
}

// synproxyText follows synproxy_stmt_print: one of the two numbers brings the
// other.
func synproxyText(x *rules.Synproxy) string {
	out := "synproxy"
	if x.Flags&(rules.SynproxyMSS|rules.SynproxyWscale) != 0 {
		out += fmt.Sprintf(" mss %d wscale %d", x.MSS, x.Wscale)
	}
	if x.Flags&rules.SynproxyTimestamp != 0 {
		out += " timestamp"
	}
	if x.Flags&rules.SynproxySackPerm != 0 {
		out += " sack-perm"
	}
	return out
}

// lastText follows last_stmt_print.
func lastText(x *rules.Last, full bool) string {
	switch {
	case !full:
		return "last"
	case !x.Set:
		return "last used never"
	}
	return "last used " + timeText(x.Ago)
}
