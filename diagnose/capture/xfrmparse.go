package capture

import (
	"net/netip"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

// Sizes of structs in include/uapi/linux/xfrm.h. Addresses and ports in them are
// in network order, all else is in that of the machine.
const (
	xfrmSelector   = 56  // struct xfrm_selector
	xfrmPolicyInfo = 168 // struct xfrm_userpolicy_info
	xfrmPolicyID   = 64  // struct xfrm_userpolicy_id
	xfrmTmpl       = 64  // struct xfrm_user_tmpl
)

const familyInet6 = 10

// parseXfrmPolicy follows dump_one_policy: xfrm_userpolicy_info, then XFRMA_*.
func parseXfrmPolicy(b []byte) (p host.XfrmPolicy, ok bool) {
	if len(b) < xfrmPolicyInfo || !xfrmSelect(&p, b[:xfrmSelector]) {
		return p, false
	}
	// two lifetimes of 12 numbers stand between
	tail := b[xfrmSelector+12*8:]
	p.Priority, p.Index, p.Dir, p.Action = ne.Uint32(tail), ne.Uint32(tail[4:]), tail[8], tail[9]
	a := attrs{b: b[xfrmPolicyInfo:]}
	for a.next() {
		switch a.typ {
		case 5: // XFRMA_TMPL
			for v := a.val; len(v) >= xfrmTmpl; v = v[xfrmTmpl:] {
				p.Templates = append(p.Templates, xfrmTemplate(v))
			}
			if len(a.val)%xfrmTmpl != 0 {
				return p, false
			}
		case 21: // XFRMA_MARK
			if len(a.val) >= 8 {
				p.Mark, p.Mask = ne.Uint32(a.val), ne.Uint32(a.val[4:])
			}
		case 31: // XFRMA_IF_ID
			p.IfID = hostU32(a.val)
		}
	}
	return p, !a.bad
}

// xfrmSelect reads what the policy is for.
func xfrmSelect(p *host.XfrmPolicy, b []byte) bool {
	p.DstPort, p.SrcPort = be.Uint16(b[32:])&be.Uint16(b[34:]), be.Uint16(b[36:])&be.Uint16(b[38:])
	family := ne.Uint16(b[40:])
	p.Family = rules.Family(family)
	p.Dst = xfrmPrefix(family, b[:16], b[42])
	p.Src = xfrmPrefix(family, b[16:32], b[43])
	p.Proto, p.Ifindex = b[44], ne.Uint32(b[48:])
	// one without an address for its family (a socket's) is for both
	return family == 0 || p.Dst.IsValid() && p.Src.IsValid()
}

func xfrmPrefix(family uint16, b []byte, bits uint8) netip.Prefix {
	return netip.PrefixFrom(xfrmAddr(family, b), int(bits))
}

// xfrmAddr reads an xfrm_address_t.
func xfrmAddr(family uint16, b []byte) (a netip.Addr) {
	switch family {
	case uint16(rules.FamilyIPv4):
		a, _ = netip.AddrFromSlice(b[:4])
	case familyInet6:
		a, _ = netip.AddrFromSlice(b[:16])
	}
	return a
}

func xfrmTemplate(b []byte) host.XfrmTemplate {
	family := ne.Uint16(b[24:])
	return host.XfrmTemplate{
		Dst: xfrmAddr(family, b), SPI: be.Uint32(b[16:]), Proto: b[20],
		Src: xfrmAddr(family, b[28:]), Reqid: ne.Uint32(b[44:]),
		Mode: b[48], Optional: b[50] != 0,
	}
}
