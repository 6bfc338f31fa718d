package capture

import (
	"net/netip"

	"github.com/ntdiag/ntdiag/diagnose/host"
)

const ndmsgLen = 12

// parseNeighbour follows neigh_fill_info: ndmsg, then NDA_*. A link-layer
// address that is no Ethernet one (a tunnel's) is left out.
func parseNeighbour(b []byte) (n host.Neighbour, ok bool) {
	if len(b) < ndmsgLen {
		return n, false
	}
	n.Index, n.State, n.Flags = ne.Uint32(b[4:]), ne.Uint16(b[8:]), b[10]
	a := attrs{b: b[ndmsgLen:]}
	for a.next() {
		switch a.typ {
		case 1: // NDA_DST
			n.Addr, _ = netip.AddrFromSlice(a.val)
		case 2: // NDA_LLADDR
			n.HasMAC = len(a.val) == len(n.MAC)
			if n.HasMAC {
				copy(n.MAC[:], a.val)
			}
		}
	}
	return n, !a.bad && n.Addr.IsValid()
}
