package xt

import (
	"strconv"

	"github.com/ntdiag/ntdiag/rules"
)

// Modes of struct xt_statistic_info.
const (
	statisticRandom = 0
	statisticNth    = 1
)

// statisticOne is a probability of 1: 31 random bits are compared.
const statisticOne = 1 << 31

// statistic is struct xt_statistic_info.
type statistic struct {
	mode        uint16
	invert      bool
	probability uint32
	every       uint32 // less one: 0 is every packet
	packet      uint32
}

func decodeStatistic(_ *Context, r *reader) Extension {
	x := &statistic{mode: r.u16()}
	flags := r.u16()
	x.invert = flags&1 != 0
	if flags&^1 != 0 {
		r.fail("unknown flags 0x%x", flags)
	}
	switch x.mode {
	case statisticRandom:
		x.probability = r.u32()
	case statisticNth:
		x.every, x.packet = r.u32(), r.u32()
	default:
		r.fail("unknown mode %d", x.mode)
	}
	return x
}

// Statements follows statistic_mt. At which packet of the cycle the rule
// stands, the kernel keeps to itself.
func (x *statistic) Statements(c *Context) []rules.Statement {
	ch := &rules.Chance{Span: c.Span, Hits: 1, Of: uint64(x.every) + 1, InTurn: true, Invert: x.invert}
	if x.mode == statisticNth && x.packet > x.every {
		// the counter begins past the end of its cycle, and runs on to 2^32
		return openOn(c, "statistic", rules.FromRandom)
	}
	if x.mode == statisticRandom {
		if x.probability == 0 {
			return []rules.Statement{&rules.Fixed{Span: c.Span, Holds: x.invert}}
		}
		ch.Hits, ch.Of, ch.InTurn = min(uint64(x.probability), statisticOne), statisticOne, false
	}
	return []rules.Statement{ch}
}

func (x *statistic) Save(_ *Context, o *Options) {
	if x.mode == statisticRandom {
		o.Word("--mode", "random")
		o.Opt(x.invert, "--probability", strconv.FormatFloat(float64(x.probability)/statisticOne, 'f', 11, 64))
		return
	}
	o.Word("--mode", "nth")
	o.Opt(x.invert, "--every", utoa(x.every+1), "--packet", utoa(x.packet))
}
