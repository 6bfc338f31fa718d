package xt

import (
	"strconv"
	"strings"

	"github.com/ntdiag/ntdiag/rules"
)

// XT_TCP_INV_*.
const (
	tcpInvSrc    = 1
	tcpInvDst    = 2
	tcpInvFlags  = 4
	tcpInvOption = 8
	tcpInvAll    = 15
)

// tcp is struct xt_tcp. Ports are in the machine's order.
type tcp struct {
	sport, dport ports
	option       uint8
	mask, want   uint8
	inv          uint8
}

// ports are two ports, both included.
type ports struct{ lo, hi uint16 }

func (r *reader) ports() ports { return ports{r.u16(), r.u16()} }

// every tells whether no port is asked for.
func (p ports) every() bool { return p.lo == 0 && p.hi == 0xffff }

func (p ports) condition(c *Context, off int, invert bool) rules.Condition {
	return within(c.Span, transport(off, 2), be16(p.lo), be16(p.hi), invert)
}

// String is 80 or 80:90.
func (p ports) String() string {
	s := strconv.Itoa(int(p.lo))
	if p.lo != p.hi {
		s += ":" + strconv.Itoa(int(p.hi))
	}
	return s
}

func decodeTCP(_ *Context, r *reader) Extension {
	x := &tcp{sport: r.ports(), dport: r.ports(), option: r.u8(), mask: r.u8(), want: r.u8(), inv: r.u8()}
	if x.inv&^tcpInvAll != 0 {
		r.fail("tcp: inversion %#x", x.inv)
	}
	return x
}

// Statements follows tcp_mt. Flags that are to be set outside of the mask are
// never.
func (x *tcp) Statements(c *Context) []rules.Statement {
	var out []rules.Statement
	if !x.sport.every() || x.inv&tcpInvSrc != 0 {
		out = append(out, x.sport.condition(c, 0, x.inv&tcpInvSrc != 0))
	}
	if !x.dport.every() || x.inv&tcpInvDst != 0 {
		out = append(out, x.dport.condition(c, 2, x.inv&tcpInvDst != 0))
	}
	if x.mask|x.want != 0 || x.inv&tcpInvFlags != 0 {
		out = append(out, masked(c.Span, transport(13, 1), []byte{x.mask}, []byte{x.want}, x.inv&tcpInvFlags != 0))
	}
	if x.option != 0 {
		out = append(out, tcpOption(c, x.option, x.inv&tcpInvOption != 0))
	}
	return out
}

// tcpOption asks whether the option is there (tcp_find_option).
func tcpOption(c *Context, kind uint8, invert bool) rules.Condition {
	present := []byte{1}
	if invert {
		present[0] = 0
	}
	return &rules.Match{Span: c.Span, Left: &rules.Exthdr{Op: 1, Type: kind, Len: 1, Present: true}, Op: rules.CmpEq, Right: present}
}

func (x *tcp) Save(_ *Context, o *Options) {
	savePorts(o, x.sport, "--sport", x.inv&tcpInvSrc != 0)
	savePorts(o, x.dport, "--dport", x.inv&tcpInvDst != 0)
	if x.option != 0 || x.inv&tcpInvOption != 0 {
		o.Opt(x.inv&tcpInvOption != 0, "--tcp-option", strconv.Itoa(int(x.option)))
	}
	if x.mask != 0 || x.inv&tcpInvFlags != 0 {
		o.Opt(x.inv&tcpInvFlags != 0, "--tcp-flags", tcpFlagNames(x.mask), tcpFlagNames(x.want))
	}
}

// savePorts: the range of all is not printed, inverted or not.
func savePorts(o *Options, p ports, name string, invert bool) {
	if !p.every() {
		o.Opt(invert, name, p.String())
	}
}

// tcpFlags in the order in which iptables lists them.
var tcpFlags = []struct {
	bit  uint8
	name string
}{{1, "FIN"}, {2, "SYN"}, {4, "RST"}, {8, "PSH"}, {16, "ACK"}, {32, "URG"}}

func tcpFlagNames(f uint8) string {
	var out []string
	for _, t := range tcpFlags {
		if f&t.bit != 0 {
			out = append(out, t.name)
		}
	}
	if len(out) == 0 {
		return "NONE"
	}
	return strings.Join(out, ",")
}
