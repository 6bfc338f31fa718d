package xt

import (
	"fmt"
	"strconv"

	"github.com/ntdiag/ntdiag/rules"
)

// numbers are two numbers of 32 bits, both included: an SPI, a fragment's id.
type numbers struct{ lo, hi uint32 }

func (r *reader) numbers() numbers { return numbers{r.u32(), r.u32()} }

// every tells whether no number is asked for.
func (n numbers) every() bool { return n.lo == 0 && n.hi == 0xffffffff }

// String is 80 or 80:90.
func (n numbers) String() string {
	if n.lo == n.hi {
		return strconv.FormatUint(uint64(n.lo), 10)
	}
	return fmt.Sprintf("%d:%d", n.lo, n.hi)
}

// save: the range of all is not printed, inverted or not.
func (n numbers) save(o *Options, option string, invert bool) {
	if !n.every() {
		o.Opt(invert, option, n.String())
	}
}

// spiInvert is XT_ESP_INV_SPI and IPT_AH_INV_SPI.
const spiInvert = 1

// spi is struct xt_esp and struct ipt_ah.
type spi struct {
	option string
	off    int // of the SPI in the header
	spis   numbers
	invert bool
}

func decodeSPI(option string, off int) func(*Context, *reader) Extension {
	return func(_ *Context, r *reader) Extension {
		x := &spi{option: option, off: off, spis: r.numbers()}
		flags := r.u8()
		if flags&^spiInvert != 0 {
			r.fail("%s: inversion %#x", option, flags)
		}
		x.invert = flags != 0
		return x
	}
}

// Statements follows esp_mt and ah_mt: no entry records an SPI.
func (x *spi) Statements(c *Context) []rules.Statement {
	if x.spis.every() && !x.invert {
		return nil
	}
	return []rules.Statement{within(c.Span, transport(x.off, 4), be32(x.spis.lo), be32(x.spis.hi), x.invert)}
}

func (x *spi) Save(_ *Context, o *Options) { x.spis.save(o, x.option, x.invert) }
