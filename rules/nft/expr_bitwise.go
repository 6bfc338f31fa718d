package nft

import (
	"errors"
	"fmt"

	"github.com/ntdiag/ntdiag/rules"
)

// NFTA_BITWISE_*.
const (
	attrBitwiseSreg  = 1
	attrBitwiseDreg  = 2
	attrBitwiseLen   = 3
	attrBitwiseMask  = 4
	attrBitwiseXor   = 5
	attrBitwiseOp    = 6
	attrBitwiseData  = 7
	attrBitwiseSreg2 = 8
)

// bitwiseOps are NFT_BITWISE_*: mask and xor, lshift, rshift, and, or, xor.
var bitwiseOps = [...]func(d *decoder, a *attrs, op uint32, x operand, n int) (rules.Expr, []operand, error){
	bitwiseMaskXor, bitwiseShift, bitwiseShift, bitwiseBool, bitwiseBool, bitwiseBool,
}

// decodeBitwise follows nft_bitwise_init.
func decodeBitwise(d *decoder, a *attrs) error {
	sreg, dreg := a.u32(attrBitwiseSreg), a.u32(attrBitwiseDreg)
	n, op := a.u32(attrBitwiseLen), a.opt32(attrBitwiseOp)
	switch {
	case a.err != nil:
		return a.err
	case n == 0 || n > maxData:
		return fmt.Errorf("bitwise length is %d", n)
	case op >= uint32(len(bitwiseOps)):
		return fmt.Errorf("bitwise operation %d is not known", op)
	}
	v, err := d.read(sreg, int(n))
	if err != nil {
		return err
	}
	x, from, err := bitwiseOps[op](d, a, op, v, int(n))
	if err != nil {
		return err
	}
	return d.load(dreg, x, from...)
}

// bitwiseMaskXor follows nft_bitwise_init_mask_xor.
func bitwiseMaskXor(_ *decoder, a *attrs, _ uint32, x operand, n int) (rules.Expr, []operand, error) {
	mask, xor := a.value(attrBitwiseMask), a.value(attrBitwiseXor)
	if a.err != nil {
		return nil, nil, a.err
	}
	if len(mask) != n || len(xor) != n {
		return nil, nil, fmt.Errorf("bitwise mask and xor have %d and %d bytes, not %d", len(mask), len(xor), n)
	}
	if a.has(attrBitwiseData) || a.has(attrBitwiseSreg2) {
		return nil, nil, errors.New("bitwise mask with a second operand")
	}
	return &rules.Bitwise{X: x.x, Mask: mask, Xor: xor}, []operand{x}, nil
}

// bitwiseShift follows nft_bitwise_init_shift; the number of bits is a
// register value, in the host's order.
func bitwiseShift(d *decoder, a *attrs, op uint32, x operand, n int) (rules.Expr, []operand, error) {
	by := a.value(attrBitwiseData)
	if a.err != nil {
		return nil, nil, a.err
	}
	if len(by) != 4 || d.order.Uint32(by) >= 32 {
		return nil, nil, errors.New("bitwise shift is not by 0 to 31 bits")
	}
	if a.has(attrBitwiseMask) || a.has(attrBitwiseXor) || a.has(attrBitwiseSreg2) {
		return nil, nil, errors.New("bitwise shift with a second operand")
	}
	return &rules.Shift{X: x.x, Left: op == 1, By: d.order.Uint32(by), Len: n}, []operand{x}, nil
}

// bitwiseBool follows nft_bitwise_init_bool (since 6.13): the second operand is
// a register or a constant.
func bitwiseBool(d *decoder, a *attrs, op uint32, x operand, n int) (rules.Expr, []operand, error) {
	if a.has(attrBitwiseMask) || a.has(attrBitwiseXor) || a.has(attrBitwiseData) == a.has(attrBitwiseSreg2) {
		return nil, nil, errors.New("bitwise and, or, xor take one second operand")
	}
	out := &rules.Bool2{Op: rules.BitOp(op - 3), X: x.x}
	if a.has(attrBitwiseData) {
		v := a.value(attrBitwiseData)
		if a.err == nil && len(v) != n {
			a.fail(fmt.Errorf("bitwise data has %d bytes, not %d", len(v), n))
		}
		out.Y = &rules.Const{Data: v}
		return out, []operand{x}, a.err
	}
	reg := a.u32(attrBitwiseSreg2)
	if a.err != nil {
		return nil, nil, a.err
	}
	y, err := d.read(reg, n)
	if err != nil {
		return nil, nil, err
	}
	out.Y = y.x
	return out, []operand{x, y}, nil
}
