package nft

import (
	"fmt"

	"github.com/ntdiag/ntdiag/rules"
)

// NFTA_FIB_*.
const (
	attrFibDreg   = 1
	attrFibResult = 2
	attrFibFlags  = 3
)

// fibFlags are the flags that are understood.
const fibFlags = rules.FibSaddr | rules.FibDaddr | rules.FibMark | rules.FibIif | rules.FibOifFlag | rules.FibPresent

// decodeFib follows nft_fib_init.
func decodeFib(d *decoder, a *attrs) error {
	dreg, flags := a.u32(attrFibDreg), a.u32(attrFibFlags)
	result := rules.FibResult(a.u32(attrFibResult))
	switch {
	case a.err != nil:
		return a.err
	case result < rules.FibOif || result > rules.FibAddrType:
		return fmt.Errorf("fib result %d is not known", result)
	case flags&^uint32(fibFlags) != 0:
		return fmt.Errorf("fib flags %#x are not known", flags)
	}
	return d.load(dreg, &rules.Fib{Result: result, Flags: flags})
}
