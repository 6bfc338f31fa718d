package nft

import (
	"fmt"

	"github.com/ntdiag/ntdiag/rules"
)

// NFTA_CMP_*.
const (
	attrCmpSreg = 1
	attrCmpOp   = 2
	attrCmpData = 3
)

// decodeCmp follows nft_cmp_init.
func decodeCmp(d *decoder, a *attrs) error {
	sreg, op, data := a.u32(attrCmpSreg), a.u32(attrCmpOp), a.value(attrCmpData)
	if a.err != nil {
		return a.err
	}
	if op > uint32(rules.CmpGte) {
		return fmt.Errorf("cmp operation %d is not known", op)
	}
	v, err := d.read(sreg, len(data))
	if err != nil {
		return err
	}
	d.emit(&rules.Match{Span: d.span(v), Left: wholeName(v.x), Op: rules.CmpOp(op), Right: data})
	return nil
}

// wholeName undoes the slice of a name that is compared by its first bytes
// only, as `iifname "eth*"` does: there the shorter constant says it.
func wholeName(x rules.Expr) rules.Expr {
	s, ok := x.(*rules.Slice)
	if !ok || s.Off != 0 {
		return x
	}
	switch y := s.X.(type) {
	case *rules.Meta:
		ok = y.Width() == 16
	case *rules.Ct:
		ok = y.Key == rules.CtHelper
	case *rules.Fib:
		ok = y.Result == rules.FibOifname
	default:
		ok = false
	}
	if ok {
		return s.X
	}
	return x
}
