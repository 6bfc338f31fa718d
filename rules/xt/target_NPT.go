package xt

import (
	"fmt"
	"net/netip"

	"github.com/ntdiag/ntdiag/rules"
)

// npt is struct ip6t_npt_tginfo, of SNPT and DNPT.
type npt struct {
	off              int // of the address in the header
	from, to         netip.Addr
	fromBits, toBits uint8
}

func decodeSNPT(c *Context, r *reader) Extension { return readNPT(c, r, 8) }
func decodeDNPT(c *Context, r *reader) Extension { return readNPT(c, r, 24) }

func readNPT(c *Context, r *reader, off int) Extension {
	x := &npt{off: off, from: r.addr(c.Family), to: r.addr(c.Family), fromBits: r.u8(), toBits: r.u8()}
	if x.fromBits > 64 || x.toBits > 64 {
		r.fail("prefixes of %d and %d bits", x.fromBits, x.toBits)
	}
	return x
}

// Statements follows ip6t_snpt_tg and ip6t_dnpt_tg. Conntrack knows nothing of
// the new address.
func (x *npt) Statements(c *Context) []rules.Statement {
	at := network(x.off, 16)
	return []rules.Statement{&rules.Assign{
		Span: c.Span, Target: rules.AssignPayload, Dest: at,
		Value: &rules.NPT{X: at, From: x.from, To: x.to, Bits: int(max(x.fromBits, x.toBits))},
	}}
}

func (x *npt) Save(_ *Context, o *Options) {
	if !x.from.IsUnspecified() || x.fromBits != 0 {
		o.Word("--src-pfx", fmt.Sprintf("%s/%d", addrText(x.from), x.fromBits))
	}
	if !x.to.IsUnspecified() || x.toBits != 0 {
		o.Word("--dst-pfx", fmt.Sprintf("%s/%d", addrText(x.to), x.toBits))
	}
}
