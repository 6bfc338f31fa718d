package nft

import (
	"fmt"

	"github.com/ntdiag/ntdiag/rules"
)

// NFTA_RT_*.
const (
	attrRtDreg = 1
	attrRtKey  = 2
)

// rtWidths is how much each NFT_RT_* key loads, in bytes: classid, nexthop4,
// nexthop6, tcpmss, xfrm (nft_rt_get_init).
var rtWidths = [...]int{4, 4, 16, 2, 1}

func decodeRt(d *decoder, a *attrs) error {
	dreg, key := a.u32(attrRtDreg), a.u32(attrRtKey)
	if a.err != nil {
		return a.err
	}
	if key >= uint32(len(rtWidths)) {
		return fmt.Errorf("rt key %d is not known", key)
	}
	return d.load(dreg, &rules.Rt{Key: key, Len: rtWidths[key]})
}
