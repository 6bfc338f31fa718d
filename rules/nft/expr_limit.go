package nft

import (
	"fmt"

	"github.com/ntdiag/ntdiag/rules"
)

// NFTA_LIMIT_*.
const (
	attrLimitRate  = 1
	attrLimitUnit  = 2
	attrLimitBurst = 3
	attrLimitType  = 4
	attrLimitFlags = 5
)

const (
	limitBytes = 1 // NFT_LIMIT_PKT_BYTES
	limitInv   = 1 // NFT_LIMIT_F_INV
)

// decodeLimit follows nft_limit_init.
func decodeLimit(d *decoder, a *attrs) error {
	typ, flags := a.opt32(attrLimitType), a.opt32(attrLimitFlags)
	st := &rules.Limit{
		Span: d.span(), Rate: a.u64(attrLimitRate), Unit: a.u64(attrLimitUnit),
		Burst: a.opt32(attrLimitBurst), Bytes: typ == limitBytes, Over: flags&limitInv != 0,
	}
	switch {
	case a.err != nil:
		return a.err
	case typ > limitBytes:
		return fmt.Errorf("limit type %d is not known", typ)
	case flags&^limitInv != 0:
		return fmt.Errorf("limit flags %#x are not known", flags)
	}
	d.emit(st)
	return nil
}
