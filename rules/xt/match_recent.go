package xt

import (
	"math/bits"
	"strconv"

	"github.com/ntdiag/ntdiag/rules"
)

// XT_RECENT_*.
const (
	recentCheck  = 1 << 0
	recentSet    = 1 << 1
	recentUpdate = 1 << 2
	recentRemove = 1 << 3
	recentTTL    = 1 << 4
	recentReap   = 1 << 5

	recentVerbs = recentCheck | recentSet | recentUpdate | recentRemove

	recentSource = 0
	recentDest   = 1
)

// recent is struct xt_recent_mtinfo and xt_recent_mtinfo_v1.
type recent struct {
	seconds, hits uint32
	check         uint8
	invert        bool
	name          string
	side          uint8
	mask          []byte // nil in revision 0
}

func decodeRecent(revision int) func(*Context, *reader) Extension {
	return func(c *Context, r *reader) Extension {
		x := &recent{seconds: r.u32(), hits: r.u32(), check: r.u8(), invert: r.u8() != 0, name: r.str(200), side: r.u8()}
		if revision == 1 {
			r.align(4)
			x.mask = r.bytes(16)[:addressBits(c.Family)/8]
		}
		if x.check&^(recentVerbs|recentTTL|recentReap) != 0 || bits.OnesCount8(x.check&recentVerbs) != 1 {
			r.fail("flags 0x%x", x.check)
		}
		return x
	}
}

// Statements follows recent_mt: with --set the address is in the list, whether
// it was or not.
func (x *recent) Statements(c *Context) []rules.Statement {
	if x.check&recentSet != 0 {
		return fixed(c, !x.invert)
	}
	return openOn(c, "recent", rules.FromSet)
}

func (x *recent) Save(_ *Context, o *Options) {
	if x.invert {
		o.Word("!")
	}
	seconds, hits := strconv.Itoa(int(int32(x.seconds))), strconv.Itoa(int(int32(x.hits)))
	for _, w := range [...]struct {
		is    bool
		words []string
	}{
		{x.check&recentSet != 0, []string{"--set"}},
		{x.check&recentCheck != 0, []string{"--rcheck"}},
		{x.check&recentUpdate != 0, []string{"--update"}},
		{x.check&recentRemove != 0, []string{"--remove"}},
		{x.seconds != 0, []string{"--seconds", seconds}},
		{x.check&recentReap != 0, []string{"--reap"}},
		{x.hits != 0, []string{"--hitcount", hits}},
		{x.check&recentTTL != 0, []string{"--rttl"}},
		{true, []string{"--name", x.name}},
		{x.mask != nil, []string{"--mask", addressOf(x.mask)}},
		{x.side == recentSource, []string{"--rsource"}},
		{x.side == recentDest, []string{"--rdest"}},
	} {
		if w.is {
			o.Word(w.words...)
		}
	}
}
