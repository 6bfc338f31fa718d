package xt

import (
	"strconv"

	"github.com/ntdiag/ntdiag/rules"
)

// pkttypeNames are PACKET_* of linux/if_packet.h, from 0 on.
var pkttypeNames = [...]string{"unicast", "broadcast", "multicast", "otherhost"}

// pkttype is struct xt_pkttype_info.
type pkttype struct {
	typ    uint32
	invert bool
}

func decodePkttype(_ *Context, r *reader) Extension {
	x := &pkttype{r.u32(), r.u32() != 0}
	if x.typ > 0xff {
		r.fail("pkttype: type %d", x.typ)
	}
	return x
}

// Statements follows pkttype_mt.
func (x *pkttype) Statements(c *Context) []rules.Statement {
	return []rules.Statement{masked(c.Span, &rules.Meta{Key: rules.MetaPkttype}, []byte{0xff}, []byte{byte(x.typ)}, x.invert)}
}

func (x *pkttype) Save(_ *Context, o *Options) {
	name := strconv.Itoa(int(x.typ))
	if int(x.typ) < len(pkttypeNames) {
		name = pkttypeNames[x.typ]
	}
	o.Opt(x.invert, "--pkt-type", name)
}
