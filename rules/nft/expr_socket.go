package nft

import (
	"fmt"

	"github.com/ntdiag/ntdiag/rules"
)

// NFTA_SOCKET_*.
const (
	attrSocketKey   = 1
	attrSocketDreg  = 2
	attrSocketLevel = 3
)

// socketWidths is how much each NFT_SOCKET_* key loads, in bytes: transparent,
// mark, wildcard, cgroupv2 (nft_socket_init).
var socketWidths = [...]int{1, 4, 1, 8}

func decodeSocket(d *decoder, a *attrs) error {
	key, dreg, level := a.u32(attrSocketKey), a.u32(attrSocketDreg), a.opt32(attrSocketLevel)
	if a.err != nil {
		return a.err
	}
	if key >= uint32(len(socketWidths)) {
		return fmt.Errorf("socket key %d is not known", key)
	}
	return d.load(dreg, &rules.Socket{Key: key, Level: level, Len: socketWidths[key]})
}
