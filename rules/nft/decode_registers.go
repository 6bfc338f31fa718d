package nft

import (
	"fmt"
	"slices"

	"github.com/ntdiag/ntdiag/rules"
)

// regSlots is how many 32-bit registers a rule has. NFT_REG_1 to NFT_REG_4
// name the first of each four of them, NFT_REG32_00 to NFT_REG32_15 each one
// (nft_parse_register).
const (
	regSlots = 16
	regV     = 0 // NFT_REG_VERDICT
	reg1     = 1
	reg4     = 4
	reg32_00 = 8
	reg32_15 = 23
)

// maxWeight bounds how many expressions one value is computed from: a register
// that is combined with itself doubles it each time, and evaluating such a
// tree would never end.
const maxWeight = 256

// slot is what one 32-bit register holds: four bytes of x, from off.
type slot struct {
	x      rules.Expr // nil when nothing wrote it
	off    int
	write  int   // number of the write: slots of one write hold one value
	made   []int // raw expressions that made it
	weight int
}

// operand is the value of a register as an expression reads it.
type operand struct {
	x      rules.Expr
	made   []int
	weight int
}

func slotOf(reg uint32) (int, error) {
	switch {
	case reg >= reg1 && reg <= reg4:
		return int(reg-reg1) * 4, nil
	case reg >= reg32_00 && reg <= reg32_15:
		return int(reg - reg32_00), nil
	case reg == regV:
		return 0, fmt.Errorf("verdict register holds no data")
	}
	return 0, fmt.Errorf("register %d does not exist", reg)
}

// read is the n bytes at a register: the expression that was loaded, a part of
// it, or several that lie side by side.
func (d *decoder) read(reg uint32, n int) (operand, error) {
	at, err := slotOf(reg)
	if err != nil {
		return operand{}, err
	}
	if n <= 0 || at*4+n > regSlots*4 {
		return operand{}, fmt.Errorf("register %d has no %d bytes", reg, n)
	}
	var op operand
	var parts []rules.Expr // of more than one
	for left := n; left > 0; {
		part, words := d.piece(at, left)
		for _, s := range d.regs[at : at+words] {
			op.made = union(op.made, s.made)
		}
		op.weight += d.regs[at].weight
		if left == n {
			op.x = part
		}
		if left -= words * 4; parts != nil || left > 0 {
			parts = append(parts, part)
		}
		at += words
	}
	if parts == nil && op.x.Width() < n {
		parts = []rules.Expr{op.x}
	}
	if parts != nil {
		op.x = &rules.Concat{Parts: parts}
	}
	return op, nil
}

// piece is the longest run of slots from at, of at most n bytes, that hold one
// value: what of it they hold, and how many slots they are.
func (d *decoder) piece(at, n int) (rules.Expr, int) {
	first := d.regs[at]
	words := 1
	for words*4 < n {
		next := d.regs[at+words]
		if next.write != first.write || next.off != first.off+words*4 {
			break
		}
		words++
	}
	n = min(n, words*4)
	switch x := first.x.(type) {
	case nil:
		return &rules.Tainted{Len: n, Why: "nothing wrote this register"}, words
	case *rules.Tainted:
		return &rules.Tainted{Len: n, Why: x.Why}, words
	}
	n = min(n, first.x.Width()-first.off)
	if first.off == 0 && n == first.x.Width() {
		return first.x, words
	}
	return &rules.Slice{X: first.x, Off: first.off, Len: n}, words
}

// load writes x, made from the operands, to a register.
func (d *decoder) load(reg uint32, x rules.Expr, from ...operand) error {
	at, err := slotOf(reg)
	if err != nil {
		return err
	}
	n := x.Width()
	if n <= 0 || at*4+n > regSlots*4 {
		return fmt.Errorf("register %d has no %d bytes", reg, n)
	}
	made, weight := d.span(from...), 1
	for _, op := range from {
		weight += op.weight
	}
	if weight > maxWeight {
		return fmt.Errorf("value is computed from more than %d expressions", maxWeight)
	}
	d.writes++
	for i := 0; i*4 < n; i++ {
		d.regs[at+i] = slot{x: x, off: i * 4, write: d.writes, made: made, weight: weight}
	}
	d.loads = append(d.loads, loaded{at: d.at, x: x, made: made})
	return nil
}

// taint makes every register unknown because of an expression that may have
// written any of them.
func (d *decoder) taint(why string) {
	d.writes++
	x := &rules.Tainted{Len: regSlots * 4, Why: why}
	for i := range d.regs {
		d.regs[i] = slot{x: x, off: i * 4, write: d.writes, weight: 1}
	}
}

// span is the raw expressions that made the operands, and the present one.
func (d *decoder) span(from ...operand) rules.Span {
	var out []int
	for _, op := range from {
		out = union(out, op.made)
	}
	return union(out, run(d.at, d.at+1))
}

// small are the numbers from 0: most spans are a part of them.
var small = func() (list [64]int) {
	for i := range list {
		list[i] = i
	}
	return list
}()

// run is the numbers [from, to).
func run(from, to int) []int {
	if to <= len(small) {
		return small[from:to:to]
	}
	out := make([]int, 0, to-from)
	for i := from; i < to; i++ {
		out = append(out, i)
	}
	return out
}

// isRun tells whether an ascending list leaves no number out.
func isRun(a []int) bool { return a[len(a)-1]-a[0] == len(a)-1 }

// union merges two ascending lists without changing either.
func union(a, b []int) []int {
	switch {
	case len(b) == 0:
		return a
	case len(a) == 0:
		return b
	}
	if from, to := min(a[0], b[0]), max(a[len(a)-1], b[len(b)-1])+1; isRun(a) && isRun(b) && len(a)+len(b) >= to-from {
		return run(from, to) // they touch or overlap
	}
	out := make([]int, 0, len(a)+len(b))
	out = append(append(out, a...), b...)
	slices.Sort(out)
	return slices.Compact(out)
}
