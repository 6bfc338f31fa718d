package nft

import (
	"fmt"

	"github.com/ntdiag/ntdiag/rules"
)

// NFTA_NG_*.
const (
	attrNgDreg    = 1
	attrNgModulus = 2
	attrNgType    = 3
	attrNgOffset  = 4
)

// ngRandom is NFT_NG_RANDOM; 0 is NFT_NG_INCREMENTAL.
const ngRandom = 1

// decodeNumgen follows nft_ng_inc_init and nft_ng_random_init.
func decodeNumgen(d *decoder, a *attrs) error {
	dreg, typ := a.u32(attrNgDreg), a.u32(attrNgType)
	x := &rules.Numgen{Random: typ == ngRandom, Modulus: a.u32(attrNgModulus), Offset: a.opt32(attrNgOffset)}
	switch {
	case a.err != nil:
		return a.err
	case typ > ngRandom:
		return fmt.Errorf("numgen type %d is not known", typ)
	case x.Modulus == 0:
		return fmt.Errorf("numgen modulus is 0")
	}
	return d.load(dreg, x)
}
