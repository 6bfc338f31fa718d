package nft

import (
	"bytes"
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
	left, right := unpadded(v.x, data)
	d.emit(d.made.matches.One(rules.Match{Span: d.span(v), Left: wholeName(left), Op: rules.CmpOp(op), Right: right}))
	return nil
}

// unpadded undoes the comparison of a value together with the zeros that fill
// its register, as `fib saddr oif missing` does.
func unpadded(x rules.Expr, right []byte) (rules.Expr, []byte) {
	c, ok := x.(*rules.Concat)
	if !ok || len(c.Parts) != 1 {
		return x, right
	}
	n := min(c.Parts[0].Width(), len(right))
	if len(bytes.TrimLeft(right[n:], "\x00")) > 0 {
		return x, right
	}
	return c.Parts[0], right[:n]
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
