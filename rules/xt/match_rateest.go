package xt

import (
	"math/bits"
	"strconv"

	"github.com/ntdiag/ntdiag/rules"
)

// XT_RATEEST_MATCH_*.
const (
	rateestInvert = 1 << 0
	rateestAbs    = 1 << 1
	rateestRel    = 1 << 2
	rateestDelta  = 1 << 3
	rateestBPS    = 1 << 4
	rateestPPS    = 1 << 5
)

// rateestModes are XT_RATEEST_MATCH_EQ, _LT and _GT.
var rateestModes = [...]string{1: "--rateest-eq", "--rateest-lt", "--rateest-gt"}

// rateest is struct xt_rateest_match_info. Rates are of bytes and of packets,
// for the first estimator and the second.
type rateest struct {
	name1, name2 string
	flags, mode  uint16
	bps1, pps1   uint32
	bps2, pps2   uint32
}

func decodeRateest(_ *Context, r *reader) Extension {
	x := &rateest{
		name1: r.str(16), name2: r.str(16), flags: r.u16(), mode: r.u16(),
		bps1: r.u32(), pps1: r.u32(), bps2: r.u32(), pps2: r.u32(),
	}
	if bits.OnesCount16(x.flags&(rateestAbs|rateestRel)) != 1 || x.flags&(rateestBPS|rateestPPS) == 0 {
		r.fail("flags 0x%x", x.flags)
	}
	if x.mode == 0 || int(x.mode) >= len(rateestModes) {
		r.fail("unknown mode %d", x.mode)
	}
	return x
}

// Statements follows xt_rateest_mt.
func (x *rateest) Statements(c *Context) []rules.Statement {
	return openOn(c, "rateest", rules.FromLimit)
}

func (x *rateest) Save(_ *Context, o *Options) {
	if x.flags&rateestDelta != 0 {
		o.Word("--rateest-delta")
	}
	if x.flags&rateestRel != 0 {
		o.Word("--rateest1", x.name1)
	} else {
		o.Word("--rateest", x.name1)
	}
	if x.flags&rateestBPS != 0 {
		x.rates(o, "--rateest-bps", bitRate(x.bps1), bitRate(x.bps2))
	}
	if x.flags&rateestPPS != 0 {
		x.rates(o, "--rateest-pps", utoa(x.pps1), utoa(x.pps2))
	}
	if x.flags&rateestRel != 0 {
		o.Word("--rateest2", x.name2)
	}
}

func (x *rateest) rates(o *Options, name, first, second string) {
	suffix := ""
	if x.flags&rateestDelta != 0 {
		o.Word(name+"1", first)
		suffix = "2"
	}
	o.Opt(x.flags&rateestInvert != 0, rateestModes[x.mode], name+suffix)
	if x.flags&(rateestAbs|rateestDelta) != 0 {
		o.Word(second)
	}
}

// bitRate is a rate of bytes as rateest_print_rate has it, in bits; a rate of
// a thousand million and more is one of Mbit.
func bitRate(n uint32) string {
	rate := float64(n) * 8
	text := func(r float64, unit string) string { return strconv.FormatFloat(r, 'f', 0, 64) + unit }
	switch {
	case rate >= 1e9:
		return text(rate/1e6, "Mbit")
	case rate >= 1e6:
		return text(rate/1e3, "Kbit")
	}
	return text(rate, "bit")
}
