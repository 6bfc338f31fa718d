package nft

import (
	"fmt"

	"github.com/ntdiag/ntdiag/rules"
)

// NFTA_HASH_*.
const (
	attrHashSreg    = 1
	attrHashDreg    = 2
	attrHashLen     = 3
	attrHashModulus = 4
	attrHashSeed    = 5
	attrHashOffset  = 6
	attrHashType    = 7
)

// hashSym is NFT_HASH_SYM; 0 is NFT_HASH_JENKINS.
const hashSym = 1

// decodeHash follows nft_jhash_init and nft_symhash_init.
func decodeHash(d *decoder, a *attrs) error {
	dreg, typ := a.u32(attrHashDreg), a.opt32(attrHashType)
	x := &rules.Hash{
		Symmetric: typ == hashSym,
		Modulus:   a.u32(attrHashModulus),
		Seed:      a.opt32(attrHashSeed),
		HasSeed:   a.has(attrHashSeed),
		Offset:    a.opt32(attrHashOffset),
	}
	switch {
	case a.err != nil:
		return a.err
	case typ > hashSym:
		return fmt.Errorf("hash type %d is not known", typ)
	case x.Modulus == 0:
		return fmt.Errorf("hash modulus is 0")
	case x.Symmetric:
		return d.load(dreg, x)
	}
	sreg, n := a.u32(attrHashSreg), a.u32(attrHashLen)
	if a.err != nil {
		return a.err
	}
	v, err := d.read(sreg, int(min(n, maxData+1)))
	if err != nil {
		return err
	}
	x.X = v.x
	return d.load(dreg, x, v)
}
