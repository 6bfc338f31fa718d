package host

import (
	"net/netip"

	"github.com/ntdiag/ntdiag/rules"
)

// Neighbour is one row of `ip neigh`.
type Neighbour struct {
	Index uint32
	Addr  netip.Addr
	MAC   [6]byte // when HasMAC
	State uint16  // NUD_*
	Flags uint8   // NTF_*

	HasMAC bool
}

// XfrmPolicy is one row of `ip xfrm policy`: what is encrypted, and by that
// does not leave as it looks after NAT.
type XfrmPolicy struct {
	Family           rules.Family
	Src, Dst         netip.Prefix
	SrcPort, DstPort uint16 // 0 for any
	Proto            uint8  // 0 for any
	Dir              uint8  // XFRM_POLICY_*: 0 in, 1 out, 2 forward; 3 and 4 in and out of one socket
	Action           uint8  // XFRM_POLICY_*: 0 allow, 1 block
	Priority, Index  uint32
	Ifindex          uint32
	Mark, Mask       uint32
	IfID             uint32
	Templates        []XfrmTemplate
}

// XfrmTemplate is how one transformation of a policy is made.
type XfrmTemplate struct {
	Src, Dst netip.Addr
	Proto    uint8 // 50 esp, 51 ah, 108 comp
	Mode     uint8 // XFRM_MODE_*: 0 transport, 1 tunnel, 4 beet
	Reqid    uint32
	Optional bool
	SPI      uint32
}
