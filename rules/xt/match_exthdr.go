package xt

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/ntdiag/ntdiag/rules"
)

// What extension headers an IPv6 packet has, and what stands in them, no entry
// tells: the matches here are all open.

func exthdrOpen(c *Context, name string) []rules.Statement {
	return []rules.Statement{&rules.Open{Span: c.Span, Name: name, From: rules.FromExthdr}}
}

// flagOption adds an option that a flag asks for and another one inverts.
func flagOption(o *Options, ask, invert bool, words ...string) {
	if ask {
		o.Opt(invert, words...)
	}
}

func number[T uint8 | uint16 | uint32](n T) string { return strconv.FormatUint(uint64(n), 10) }

// ah6 is struct ip6t_ah.
type ah6 struct {
	spis   numbers
	hdrlen uint32 // 0 for not asked
	res    bool   // the reserved field is to be 0
	invert uint8  // IP6T_AH_INV_SPI 1, IP6T_AH_INV_LEN 2
}

func decodeAH6(_ *Context, r *reader) Extension {
	x := &ah6{r.numbers(), r.u32(), r.u8() != 0, r.u8()}
	if x.invert&^3 != 0 {
		r.fail("ah: inversion %#x", x.invert)
	}
	return x
}

func (x *ah6) Statements(c *Context) []rules.Statement { return exthdrOpen(c, "ah") }

func (x *ah6) Save(_ *Context, o *Options) {
	x.spis.save(o, "--ahspi", x.invert&1 != 0)
	flagOption(o, x.hdrlen != 0 || x.invert&2 != 0, x.invert&2 != 0, "--ahlen", number(x.hdrlen))
	flagOption(o, x.res, false, "--ahres")
}

// frag6 is struct ip6t_frag.
type frag6 struct {
	ids    numbers
	hdrlen uint32
	flags  uint8 // IP6T_FRAG_*
	invert uint8 // IP6T_FRAG_INV_IDS 1, IP6T_FRAG_INV_LEN 2
}

func decodeFrag6(_ *Context, r *reader) Extension {
	x := &frag6{r.numbers(), r.u32(), r.u8(), r.u8()}
	if x.invert&^3 != 0 {
		r.fail("frag: inversion %#x", x.invert)
	}
	return x
}

func (x *frag6) Statements(c *Context) []rules.Statement { return exthdrOpen(c, "frag") }

func (x *frag6) Save(_ *Context, o *Options) {
	x.ids.save(o, "--fragid", x.invert&1 != 0)
	flagOption(o, x.flags&0x02 != 0, x.invert&2 != 0, "--fraglen", number(x.hdrlen))
	flagOption(o, x.flags&0x04 != 0, false, "--fragres")
	flagOption(o, x.flags&0x08 != 0, false, "--fragfirst")
	flagOption(o, x.flags&0x10 != 0, false, "--fragmore")
	flagOption(o, x.flags&0x20 != 0, false, "--fraglast")
}

const rt6Hops = 16 // IP6T_RT_HOPS

// rt6 is struct ip6t_rt.
type rt6 struct {
	typ           uint32
	segments      numbers
	hdrlen        uint32
	flags, invert uint8 // IP6T_RT_*, IP6T_RT_INV_*
	addrs         []netip.Addr
}

func decodeRT6(_ *Context, r *reader) Extension {
	x := &rt6{typ: r.u32(), segments: r.numbers(), hdrlen: r.u32(), flags: r.u8(), invert: r.u8()}
	r.align(4)
	var addrs [rt6Hops]netip.Addr
	for i := range addrs {
		addrs[i] = r.addr(rules.FamilyIPv6)
	}
	n := r.u8()
	if x.invert&^7 != 0 || n > rt6Hops {
		r.fail("rt: inversion %#x, %d addresses", x.invert, n)
		return x
	}
	x.addrs = addrs[:n]
	return x
}

func (x *rt6) Statements(c *Context) []rules.Statement { return exthdrOpen(c, "rt") }

func (x *rt6) Save(_ *Context, o *Options) {
	flagOption(o, x.flags&0x01 != 0, x.invert&1 != 0, "--rt-type", number(x.typ))
	x.segments.save(o, "--rt-segsleft", x.invert&2 != 0)
	flagOption(o, x.flags&0x04 != 0, x.invert&4 != 0, "--rt-len", number(x.hdrlen))
	flagOption(o, x.flags&0x08 != 0, false, "--rt-0-res")
	flagOption(o, x.flags&0x10 != 0, false, "--rt-0-addrs")
	list := make([]string, len(x.addrs))
	for i, a := range x.addrs {
		list[i] = addrText(a)
	}
	flagOption(o, len(list) > 0, false, strings.Join(list, ","))
	flagOption(o, x.flags&0x20 != 0, false, "--rt-0-not-strict")
}

const opts6Max = 16 // IP6T_OPTS_OPTSNR

// opts6 is struct ip6t_opts: the hop-by-hop or the destination options.
type opts6 struct {
	name          string
	hdrlen        uint32
	flags, invert uint8    // IP6T_OPTS_LEN 1, IP6T_OPTS_OPTS 2; IP6T_OPTS_INV_LEN 1
	opts          []uint16 // type<<8 | length, 0xff for any
}

func decodeOpts6(name string) func(*Context, *reader) Extension {
	return func(_ *Context, r *reader) Extension {
		x := &opts6{name: name, hdrlen: r.u32(), flags: r.u8(), invert: r.u8()}
		var opts [opts6Max]uint16
		for i := range opts {
			opts[i] = r.u16()
		}
		n := r.u8()
		if x.invert&^1 != 0 || n > opts6Max {
			r.fail("%s: inversion %#x, %d options", name, x.invert, n)
			return x
		}
		x.opts = opts[:n]
		return x
	}
}

func (x *opts6) Statements(c *Context) []rules.Statement { return exthdrOpen(c, x.name) }

func (x *opts6) Save(_ *Context, o *Options) {
	flagOption(o, x.flags&1 != 0, x.invert&1 != 0, "--"+x.name+"-len", number(x.hdrlen))
	flagOption(o, x.flags&2 != 0, false, "--"+x.name+"-opts")
	list := make([]string, len(x.opts))
	for i, opt := range x.opts {
		list[i] = number(opt >> 8)
		if opt&0xff != 0xff {
			list[i] += ":" + number(opt&0xff)
		}
	}
	flagOption(o, len(list) > 0, false, strings.Join(list, ","))
}

// headers6 is struct ip6t_ipv6header_info.
type headers6 struct {
	want, invert uint8 // MASK_*
	soft         bool
}

// header6Names are MASK_* from the highest bit on, by the names of
// /etc/protocols where they have one there.
var header6Names = [8]string{"hop-by-hop", "ipv6-opts", "ipv6-route", "ipv6-frag", "ah", "esp", "ipv6-nonxt", "protocol"}

func decodeHeaders6(_ *Context, r *reader) Extension {
	return &headers6{r.u8(), r.u8(), r.u8() != 0}
}

func (x *headers6) Statements(c *Context) []rules.Statement { return exthdrOpen(c, "ipv6header") }

func (x *headers6) Save(_ *Context, o *Options) {
	var list []string
	for i, name := range header6Names {
		if x.want&(0x80>>i) != 0 {
			list = append(list, name)
		}
	}
	if len(list) == 0 {
		list = []string{"NONE"}
	}
	o.Opt(x.invert != 0, "--header", strings.Join(list, ","))
	flagOption(o, x.soft, false, "--soft")
}

// mh is struct ip6t_mh: a range of types of the mobility header.
type mh struct {
	lo, hi uint8
	invert bool
}

func decodeMH(_ *Context, r *reader) Extension {
	x := &mh{lo: r.u8(), hi: r.u8()}
	flags := r.u8()
	if flags&^1 != 0 {
		r.fail("mh: inversion %#x", flags)
	}
	x.invert = flags != 0
	return x
}

// Statements follows mh_mt6. The type is byte 2 of the header, which the
// kernel takes for the packet's protocol.
func (x *mh) Statements(c *Context) []rules.Statement {
	if x.lo == 0 && x.hi == 0xff && !x.invert {
		return nil
	}
	return []rules.Statement{within(c.Span, transport(2, 1), []byte{x.lo}, []byte{x.hi}, x.invert)}
}

func (x *mh) Save(_ *Context, o *Options) {
	if x.lo == 0 && x.hi == 0xff {
		return
	}
	text := number(x.lo)
	if x.lo != x.hi {
		text = fmt.Sprintf("%d:%d", x.lo, x.hi)
	}
	o.Opt(x.invert, "--mh-type", text)
}
