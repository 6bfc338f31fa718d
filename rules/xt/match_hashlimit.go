package xt

import (
	"strconv"
	"strings"

	"github.com/ntdiag/ntdiag/rules"
)

// XT_HASHLIMIT_*, the mode of a hashlimit.
const (
	hashlimitDstIP     = 1 << 0
	hashlimitDstPort   = 1 << 1
	hashlimitSrcIP     = 1 << 2
	hashlimitSrcPort   = 1 << 3
	hashlimitInvert    = 1 << 4
	hashlimitBytes     = 1 << 5
	hashlimitRateMatch = 1 << 6
)

// What iptables does not print: the interval between two clean-ups in
// milliseconds, and after how long an entry expires that counts bytes.
const (
	hashlimitGC              = 1000
	hashlimitByteExpire      = 15 * 1000
	hashlimitByteExpireBurst = 60 * 1000
)

// hashlimit is struct xt_hashlimit_mtinfo1 to 3.
type hashlimit struct {
	name             string
	avg, burst       uint64
	mode             uint32
	size, max        uint32
	gc, expire       uint32 // milliseconds
	interval         uint32 // seconds
	srcmask, dstmask uint8
	scale            uint64
}

// decodeHashlimit reads the struct of a revision. The name is of 16 bytes in
// the first and of 255, NAME_MAX, in those behind it.
func decodeHashlimit(revision int) func(*Context, *reader) Extension {
	return func(c *Context, r *reader) Extension {
		x := &hashlimit{interval: 1, scale: hashlimitScale}
		if revision == 1 {
			x.name, x.scale = r.str(16), limitScale
			x.mode, x.avg, x.burst = r.u32(), uint64(r.u32()), uint64(r.u32())
		} else {
			x.name = r.str(255)
			r.align(8)
			x.avg, x.burst, x.mode = r.u64(), r.u64(), r.u32()
		}
		x.size, x.max, x.gc, x.expire = r.u32(), r.u32(), r.u32(), r.u32()
		known := uint32(hashlimitRateMatch - 1)
		if revision == 3 {
			x.interval = r.u32()
			known |= hashlimitRateMatch
		}
		x.srcmask, x.dstmask = r.u8(), r.u8()
		if x.mode&^known != 0 {
			r.fail("unknown mode 0x%x", x.mode&^known)
		}
		if most := uint8(addressBits(c.Family)); x.srcmask > most || x.dstmask > most {
			r.fail("prefix lengths %d and %d, at most %d", x.srcmask, x.dstmask, most)
		}
		return x
	}
}

func addressBits(f rules.Family) int {
	if f == rules.FamilyIPv6 {
		return 128
	}
	return 32
}

// Statements follows hashlimit_mt_common. Nothing can be decided: the table
// is shared by its name, and its first rule sets the rate of all.
func (x *hashlimit) Statements(c *Context) []rules.Statement {
	return []rules.Statement{&rules.Open{Span: c.Span, Name: "hashlimit", From: rules.FromLimit}}
}

// Save follows hashlimit_mt_save.
func (x *hashlimit) Save(c *Context, o *Options) {
	if x.mode&hashlimitInvert != 0 {
		o.Word("--hashlimit-above")
	} else {
		o.Word("--hashlimit-upto")
	}
	expire := x.saveRate(o)
	if s := x.modeText(); s != "" {
		o.Word("--hashlimit-mode", s)
	}
	o.Word("--hashlimit-name", x.name)
	bits := uint32(addressBits(c.Family))
	for _, n := range [...]struct {
		name          string
		value, silent uint32
	}{
		{"--hashlimit-htable-size", x.size, 0},
		{"--hashlimit-htable-max", x.max, 0},
		{"--hashlimit-htable-gcinterval", x.gc, hashlimitGC},
		{"--hashlimit-htable-expire", x.expire, expire},
		{"--hashlimit-srcmask", uint32(x.srcmask), bits},
		{"--hashlimit-dstmask", uint32(x.dstmask), bits},
	} {
		if n.value != n.silent {
			o.Word(n.name, utoa(n.value))
		}
	}
	if x.mode&hashlimitRateMatch != 0 {
		o.Word("--hashlimit-rate-match")
		if x.interval != 1 {
			o.Word("--hashlimit-rate-interval", utoa(x.interval))
		}
	}
}

// saveRate returns the expiry, in milliseconds, that goes without saying.
func (x *hashlimit) saveRate(o *Options) (expire uint32) {
	if x.mode&hashlimitBytes != 0 {
		return x.saveBytes(o)
	}
	if x.avg != 0 {
		expire = uint32(limitUnit(x.avg, x.scale).seconds * 1000)
	}
	o.Word(rateText(x.avg, x.scale), "--hashlimit-burst", strconv.FormatUint(x.burst, 10))
	return expire
}

// byteUnits, the largest first.
var byteUnits = []struct {
	name string
	size uint32
}{{"m", 1 << 20}, {"k", 1 << 10}, {"", 1}}

// saveBytes follows print_bytes: a rate is kept as the cost of 16 bytes, in
// parts of 2^32-1, and the unit is the largest that gives the same cost.
func (x *hashlimit) saveBytes(o *Options) (expire uint32) {
	rate := costToBytes(x.avg)
	u := byteUnits[len(byteUnits)-1]
	for _, next := range byteUnits {
		if rate >= uint64(next.size) && bytesToCost(rate&uint64(^(next.size-1))) == x.avg {
			u = next
			break
		}
	}
	o.Word(strconv.FormatUint(rate/uint64(u.size), 10) + u.name + "b/s")
	if x.burst == 0 {
		return hashlimitByteExpire
	}
	burst := rate * x.burst
	for _, u = range byteUnits {
		if burst >= uint64(u.size) {
			break
		}
	}
	o.Word("--hashlimit-burst", strconv.FormatUint(burst/uint64(u.size), 10)+u.name+"b")
	return hashlimitByteExpireBurst
}

func costToBytes(cost uint64) uint64 {
	r := uint64(0xffffffff)
	if cost != 0 {
		r /= cost
	}
	return (r - 1) << 4
}

func bytesToCost(n uint64) uint64 {
	chunks := uint32(n >> 4)
	if chunks == 0xffffffff {
		return 0
	}
	return uint64(0xffffffff / (chunks + 1))
}

func (x *hashlimit) modeText() string {
	var out []string
	for _, m := range [...]struct {
		bit  uint32
		name string
	}{
		{hashlimitSrcIP, "srcip"}, {hashlimitSrcPort, "srcport"}, {hashlimitDstIP, "dstip"}, {hashlimitDstPort, "dstport"},
	} {
		if x.mode&m.bit != 0 {
			out = append(out, m.name)
		}
	}
	return strings.Join(out, ",")
}
