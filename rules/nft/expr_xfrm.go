package nft

import (
	"fmt"

	"github.com/ntdiag/ntdiag/rules"
)

// NFTA_XFRM_*.
const (
	attrXfrmDreg  = 1
	attrXfrmKey   = 2
	attrXfrmDir   = 3
	attrXfrmSpnum = 4
)

// xfrmOut is XFRM_POLICY_OUT; 0 is XFRM_POLICY_IN.
const xfrmOut = 1

// decodeXfrm follows nft_xfrm_get_init.
func decodeXfrm(d *decoder, a *attrs) error {
	dreg, dir := a.u32(attrXfrmDreg), a.u8(attrXfrmDir)
	x := &rules.Xfrm{Key: rules.XfrmKey(a.u32(attrXfrmKey)), Out: dir == xfrmOut, Index: a.opt32(attrXfrmSpnum)}
	switch {
	case a.err != nil:
		return a.err
	case !x.Key.Known():
		return fmt.Errorf("xfrm key %d is not known", x.Key)
	case dir > xfrmOut:
		return fmt.Errorf("xfrm direction %d is not known", dir)
	}
	return d.load(dreg, x)
}
