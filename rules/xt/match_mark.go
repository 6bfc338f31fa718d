package xt

import (
	"fmt"

	"github.com/ntdiag/ntdiag/rules"
)

// markMatch is struct xt_mark_mtinfo1, which connmark has as well.
type markMatch struct {
	mark, mask uint32
	invert     bool
	of         rules.Expr
}

func decodeMark(_ *Context, r *reader) Extension {
	return &markMatch{r.u32(), r.u32(), r.u8() != 0, &rules.Meta{Key: rules.MetaMark}}
}

// decodeConnmark: without an entry connmark_mt does not hold, inverted or not.
func decodeConnmark(_ *Context, r *reader) Extension {
	return &markMatch{r.u32(), r.u32(), r.u8() != 0, &rules.Ct{Key: rules.CtMark, Dir: rules.CtDirNone}}
}

// Statements follows mark_mt and connmark_mt. A mark with bits outside the
// mask is none that a packet can have.
func (x *markMatch) Statements(c *Context) []rules.Statement {
	return []rules.Statement{masked(c.Span, x.of, c.u32(x.mask), c.u32(x.mark), x.invert)}
}

func (x *markMatch) Save(_ *Context, o *Options) {
	o.Opt(x.invert, "--mark", maskedHex(x.mark, x.mask))
}

// maskedHex is xtables_print_mark_mask: 0x1 or 0x1/0xff.
func maskedHex(value, mask uint32) string {
	if mask == 0xffffffff {
		return fmt.Sprintf("0x%x", value)
	}
	return fmt.Sprintf("0x%x/0x%x", value, mask)
}
