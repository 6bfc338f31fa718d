package nft

import (
	"fmt"

	"github.com/ntdiag/ntdiag/rules"
)

// NFTA_BYTEORDER_*.
const (
	attrByteorderSreg = 1
	attrByteorderDreg = 2
	attrByteorderOp   = 3
	attrByteorderLen  = 4
	attrByteorderSize = 5
)

// byteorderHton is NFT_BYTEORDER_HTON; 0 is NFT_BYTEORDER_NTOH.
const byteorderHton = 1

// decodeByteorder follows nft_byteorder_init.
func decodeByteorder(d *decoder, a *attrs) error {
	sreg, dreg := a.u32(attrByteorderSreg), a.u32(attrByteorderDreg)
	op, n, size := a.u32(attrByteorderOp), a.u32(attrByteorderLen), a.u32(attrByteorderSize)
	switch {
	case a.err != nil:
		return a.err
	case op > byteorderHton:
		return fmt.Errorf("byteorder operation %d is not known", op)
	case size != 2 && size != 4 && size != 8:
		return fmt.Errorf("byteorder size is %d", size)
	case n == 0 || n > maxData:
		return fmt.Errorf("byteorder length is %d", n)
	}
	v, err := d.read(sreg, int(n))
	if err != nil {
		return err
	}
	x := &rules.Byteorder{X: v.x, ToNetwork: op == byteorderHton, Size: int(size), Len: int(n)}
	return d.load(dreg, x, v)
}
