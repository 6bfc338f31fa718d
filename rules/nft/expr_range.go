package nft

import (
	"fmt"

	"github.com/ntdiag/ntdiag/rules"
)

// NFTA_RANGE_*.
const (
	attrRangeSreg = 1
	attrRangeOp   = 2
	attrRangeFrom = 3
	attrRangeTo   = 4
)

// rangeNeq is NFT_RANGE_NEQ; 0 is NFT_RANGE_EQ.
const rangeNeq = 1

// decodeRange follows nft_range_init.
func decodeRange(d *decoder, a *attrs) error {
	sreg, op := a.u32(attrRangeSreg), a.u32(attrRangeOp)
	lo, hi := a.value(attrRangeFrom), a.value(attrRangeTo)
	switch {
	case a.err != nil:
		return a.err
	case op > rangeNeq:
		return fmt.Errorf("range operation %d is not known", op)
	case len(lo) != len(hi):
		return fmt.Errorf("range goes from %d to %d bytes", len(lo), len(hi))
	}
	v, err := d.read(sreg, len(lo))
	if err != nil {
		return err
	}
	d.emit(&rules.MatchRange{Span: d.span(v), Left: v.x, Invert: op == rangeNeq, Lo: lo, Hi: hi})
	return nil
}
