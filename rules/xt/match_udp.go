package xt

import "github.com/ntdiag/ntdiag/rules"

// XT_UDP_INV_*.
const (
	udpInvSrc = 1
	udpInvDst = 2
	udpInvAll = 3
)

// udp is struct xt_udp; udplite has the same.
type udp struct {
	sport, dport ports
	inv          uint8
}

func decodeUDP(_ *Context, r *reader) Extension {
	x := &udp{sport: r.ports(), dport: r.ports(), inv: r.u8()}
	if x.inv&^udpInvAll != 0 {
		r.fail("udp: inversion %#x", x.inv)
	}
	return x
}

// Statements follows udp_mt.
func (x *udp) Statements(c *Context) []rules.Statement {
	var out []rules.Statement
	if !x.sport.every() || x.inv&udpInvSrc != 0 {
		out = append(out, x.sport.condition(c, 0, x.inv&udpInvSrc != 0))
	}
	if !x.dport.every() || x.inv&udpInvDst != 0 {
		out = append(out, x.dport.condition(c, 2, x.inv&udpInvDst != 0))
	}
	return out
}

func (x *udp) Save(_ *Context, o *Options) {
	savePorts(o, x.sport, "--sport", x.inv&udpInvSrc != 0)
	savePorts(o, x.dport, "--dport", x.inv&udpInvDst != 0)
}
