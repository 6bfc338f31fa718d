package xt

import (
	"fmt"

	"github.com/ntdiag/ntdiag/rules"
)

// XT_CONNMARK_*, of the target.
const (
	connmarkSet = iota
	connmarkSave
	connmarkRestore
)

// connmarkTarget is struct xt_connmark_tginfo2; that of revision 1 has no
// shift.
type connmarkTarget struct {
	ctmark, ctmask, nfmask uint32
	right                  bool // D_SHIFT_RIGHT
	shift                  uint8
	mode                   uint8
}

func decodeCONNMARK1(_ *Context, r *reader) Extension {
	x := &connmarkTarget{ctmark: r.u32(), ctmask: r.u32(), nfmask: r.u32(), mode: r.u8()}
	return x.check(r)
}

func decodeCONNMARK2(_ *Context, r *reader) Extension {
	x := &connmarkTarget{ctmark: r.u32(), ctmask: r.u32(), nfmask: r.u32()}
	dir := r.u8()
	x.right, x.shift, x.mode = dir == 1, r.u8(), r.u8()
	if dir > 1 || x.shift >= 32 {
		r.fail("shift by %d in direction %d", x.shift, dir)
	}
	return x.check(r)
}

func (x *connmarkTarget) check(r *reader) Extension {
	if x.mode > connmarkRestore {
		r.fail("mode %d", x.mode)
	}
	return x
}

// Statements follows connmark_tg_shift. Without an entry it does nothing.
func (x *connmarkTarget) Statements(c *Context) []rules.Statement {
	mark, ct := &rules.Meta{Key: rules.MetaMark}, &rules.Ct{Key: rules.CtMark, Dir: rules.CtDirNone}
	a := &rules.Assign{Span: c.Span, Target: rules.AssignCt, Dest: ct}
	switch x.mode {
	case connmarkSet:
		a.Value = x.shifted(&rules.Bitwise{X: ct, Mask: c.u32(^x.ctmask), Xor: c.u32(x.ctmark)})
	case connmarkSave:
		a.Value = c.xorInto(ct, ^x.ctmask, x.shifted(c.and(mark, x.nfmask)))
	case connmarkRestore:
		a.Target, a.Dest = rules.AssignMeta, mark
		a.Value = c.xorInto(mark, ^x.nfmask, x.shifted(c.and(ct, x.ctmask)))
	}
	return []rules.Statement{a}
}

func (x *connmarkTarget) shifted(e rules.Expr) rules.Expr {
	if x.shift == 0 {
		return e
	}
	return &rules.Shift{X: e, Left: !x.right, By: uint32(x.shift), Len: 4}
}

// and is e & mask.
func (c *Context) and(e rules.Expr, mask uint32) rules.Expr {
	if mask == 0xffffffff {
		return e
	}
	return &rules.Bitwise{X: e, Mask: c.u32(mask), Xor: c.u32(0)}
}

// xorInto is (e & keep) ^ with.
func (c *Context) xorInto(e rules.Expr, keep uint32, with rules.Expr) rules.Expr {
	if keep == 0 {
		return with
	}
	return &rules.Bool2{Op: rules.BitXor, X: c.and(e, keep), Y: with}
}

func (x *connmarkTarget) Save(_ *Context, o *Options) {
	switch x.mode {
	case connmarkSet:
		o.Word("--set-xmark", fmt.Sprintf("0x%x/0x%x", x.ctmark, x.ctmask))
	case connmarkSave:
		o.Word("--save-mark", "--nfmask", fmt.Sprintf("0x%x", x.nfmask), "--ctmask", fmt.Sprintf("0x%x", x.ctmask))
	case connmarkRestore:
		o.Word("--restore-mark", "--nfmask", fmt.Sprintf("0x%x", x.nfmask), "--ctmask", fmt.Sprintf("0x%x", x.ctmask))
	}
	if x.shift != 0 {
		op := "--left-shift-mark"
		if x.right {
			op = "--right-shift-mark"
		}
		o.Word(op, fmt.Sprint(x.shift))
	}
}
