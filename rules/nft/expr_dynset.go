package nft

import (
	"fmt"

	"github.com/ntdiag/ntdiag/rules"
)

// NFTA_DYNSET_*.
const (
	attrDynsetSetName  = 1
	attrDynsetSetID    = 2
	attrDynsetOp       = 3
	attrDynsetSregKey  = 4
	attrDynsetSregData = 5
	attrDynsetTimeout  = 6
	attrDynsetExpr     = 7
	attrDynsetFlags    = 9
	attrDynsetExprs    = 10
)

const (
	dynsetInv  = 1 // NFT_DYNSET_F_INV
	dynsetExpr = 2 // NFT_DYNSET_F_EXPR
)

// decodeDynset follows nft_dynset_init.
func decodeDynset(d *decoder, a *attrs) error {
	name, sreg := a.name(attrDynsetSetName), a.u32(attrDynsetSregKey)
	op, flags := a.u32(attrDynsetOp), a.opt32(attrDynsetFlags)
	st := &rules.Dynset{
		Op: rules.DynsetOp(op), Timeout: a.opt64(attrDynsetTimeout), Invert: flags&dynsetInv != 0,
	}
	switch {
	case a.err != nil:
		return a.err
	case op > uint32(rules.DynsetDelete):
		return fmt.Errorf("dynset operation %d is not known", op)
	case flags&^(dynsetInv|dynsetExpr) != 0:
		return fmt.Errorf("dynset flags %#x are not known", flags)
	}
	set, key, err := d.key(name, sreg)
	if err != nil {
		return err
	}
	st.Set, st.Key = set, key.x
	var data operand
	if a.has(attrDynsetSregData) {
		reg := a.u32(attrDynsetSregData)
		if a.err != nil {
			return a.err
		}
		if data, err = d.read(reg, set.DataLen); err != nil {
			return err
		}
		st.Data = data.x
	}
	in := &decoder{scope: d.scope}
	if st.Exprs, err = in.inner(a, attrDynsetExpr, attrDynsetExprs); err != nil {
		return err
	}
	st.Span = d.span(key, data)
	d.emit(st)
	return nil
}
