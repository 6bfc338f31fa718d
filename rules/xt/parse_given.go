package xt

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"

	"github.com/ntdiag/ntdiag/rules"
)

// textRow is one extension as a text gives it: its options, and what they come
// to.
type textRow struct {
	name   string
	family rules.Family // FamilyUnspec for both
	// options are the names without their dashes; after = how many values each
	// takes, or ? for one that may be left out. Names of one option are parted by commas, the first is the one that
	// build asks for.
	options string
	build   func(c *Context, g *given) Extension
}

// option is one option as given.
type option struct {
	name   string
	invert bool
	values []string
}

// given are the options of one extension. It keeps the first error.
type given struct {
	opts []option
	text string // its words as given
	err  error
}

func (g *given) fail(format string, args ...any) {
	if g.err == nil {
		g.err = fmt.Errorf(format, args...)
	}
}

// get is the last of an option's values, of options that take one.
func (g *given) get(name string) (value string, invert, ok bool) {
	for i := len(g.opts) - 1; i >= 0; i-- {
		if o := &g.opts[i]; o.name == name {
			if len(o.values) > 0 {
				value = o.values[0]
			}
			return value, o.invert, true
		}
	}
	return "", false, false
}

// pair is an option of two values.
func (g *given) pair(name string) (a, b string, invert, ok bool) {
	for i := range g.opts {
		if o := &g.opts[i]; o.name == name && len(o.values) == 2 {
			return o.values[0], o.values[1], o.invert, true
		}
	}
	return "", "", false, false
}

func (g *given) has(name string) bool {
	_, _, ok := g.get(name)
	return ok
}

// flags are the bits of the words that are given; each word stands for one bit,
// from the lowest.
func (g *given) flags(words []string) (bits uint8) {
	for i, w := range words {
		if g.has(strings.TrimPrefix(w, "--")) {
			bits |= 1 << i
		}
	}
	return bits
}

// uint reads a number as strtoul does: decimal, 0x for hexadecimal, 0 for octal.
func (g *given) uint(s string, most uint64) uint64 {
	n, err := strconv.ParseUint(s, 0, 64)
	if err != nil || strings.Contains(s, "_") {
		g.fail("%q is not a number", s)
		return 0
	}
	if n > most {
		g.fail("%q is more than %d", s, most)
		return 0
	}
	return n
}

func (g *given) u8(s string) uint8   { return uint8(g.uint(s, math.MaxUint8)) }
func (g *given) u16(s string) uint16 { return uint16(g.uint(s, math.MaxUint16)) }
func (g *given) u32(s string) uint32 { return uint32(g.uint(s, math.MaxUint32)) }

// number is an option's number, or what it is when not given.
func (g *given) number(name string, most, otherwise uint64) uint64 {
	if s, _, ok := g.get(name); ok {
		return g.uint(s, most)
	}
	return otherwise
}

// span reads N, N:M, N: and :M.
func (g *given) span(s, sep string, most uint64) (lo, hi uint64) {
	a, b, two := strings.Cut(s, sep)
	if !two {
		lo = g.uint(a, most)
		return lo, lo
	}
	hi = most
	if a != "" {
		lo = g.uint(a, most)
	}
	if b != "" {
		hi = g.uint(b, most)
	}
	return lo, hi
}

func (g *given) ports(s string) ports {
	lo, hi := g.span(s, ":", math.MaxUint16)
	return ports{uint16(lo), uint16(hi)}
}

func (g *given) numbers(s, sep string) numbers {
	lo, hi := g.span(s, sep, math.MaxUint32)
	return numbers{uint32(lo), uint32(hi)}
}

// masked reads VALUE or VALUE/MASK, whose mask is of all bits when not given.
func (g *given) masked(s string) (value, mask uint32) {
	v, m, two := strings.Cut(s, "/")
	mask = math.MaxUint32
	if two {
		mask = g.u32(m)
	}
	return g.u32(v), mask
}

// addr reads an address of the family.
func (g *given) addr(c *Context, s string) netip.Addr {
	a, err := parseAddr(c.Family, s)
	if err != nil {
		g.fail("%w", err)
		return zeroAddr(c.Family)
	}
	return a
}

// prefix reads ADDRESS, ADDRESS/LENGTH or ADDRESS/MASK: address and mask.
func (g *given) prefix(c *Context, s string) (addr, mask netip.Addr) {
	addr, mask, err := parsePrefix(c.Family, s)
	if err != nil {
		g.fail("%w", err)
		return zeroAddr(c.Family), zeroAddr(c.Family)
	}
	return addr, mask
}

// list reads words parted by commas as bits; word i stands for bits[i].
func (g *given) list(s string, bit func(word string) (uint32, bool)) (bits uint32) {
	for w := range strings.SplitSeq(s, ",") {
		b, ok := bit(strings.ToUpper(strings.TrimSpace(w)))
		if !ok {
			g.fail("%q is not known", w)
		}
		bits |= b
	}
	return bits
}

func zeroAddr(f rules.Family) netip.Addr {
	if f == rules.FamilyIPv6 {
		return netip.IPv6Unspecified()
	}
	return netip.IPv4Unspecified()
}

var errFamily = errors.New("address of the other family")

func parseAddr(f rules.Family, s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil {
		// inet_pton of the tool takes a network's first numbers
		if f == rules.FamilyIPv4 {
			if a, ok := shortIPv4(s); ok {
				return a, nil
			}
		}
		return a, fmt.Errorf("%q is not an address", s)
	}
	if a.Zone() != "" {
		return a, fmt.Errorf("%q is not an address", s)
	}
	if a.Is4() != (f == rules.FamilyIPv4) {
		return a, fmt.Errorf("%q: %w", s, errFamily)
	}
	return a, nil
}

// shortIPv4 is numeric_to_ipaddr: 10 and 10.1 are networks whose other numbers
// are 0.
func shortIPv4(s string) (netip.Addr, bool) {
	var b [4]byte
	parts := strings.Split(s, ".")
	if len(parts) > 4 {
		return netip.Addr{}, false
	}
	for i, p := range parts {
		n, err := strconv.ParseUint(p, 10, 8)
		if err != nil {
			return netip.Addr{}, false
		}
		b[i] = byte(n)
	}
	return netip.AddrFrom4(b), true
}

func parsePrefix(f rules.Family, s string) (addr, mask netip.Addr, err error) {
	a, m, two := strings.Cut(s, "/")
	if addr, err = parseAddr(f, a); err != nil {
		return addr, mask, err
	}
	bits := addressBits(f)
	if two {
		n, err := strconv.ParseUint(m, 10, 8)
		if err != nil {
			mask, err = parseAddr(f, m)
			return addr, mask, err
		}
		if int(n) > bits {
			return addr, mask, fmt.Errorf("%q: prefix length %d, at most %d", s, n, bits)
		}
		bits = int(n)
	}
	mask, _ = netip.AddrFromSlice(maskOf(bits, addressBits(f)/8))
	return addr, mask, nil
}

// maskOf is a mask of n bytes whose first bits are ones.
func maskOf(bits, n int) []byte {
	b := make([]byte, n)
	for i := range bits {
		b[i/8] |= 0x80 >> (i % 8)
	}
	return b
}

// protoNumber reads a protocol's name or number; 0 for all.
func protoNumber(s string) (uint16, error) {
	s = strings.ToLower(s)
	if n, err := strconv.ParseUint(s, 0, 16); err == nil {
		return uint16(n), nil
	}
	if n, ok := protoAliases[s]; ok {
		return n, nil
	}
	for n := range 256 {
		if name := rules.ProtocolName(uint8(n)); name != "" && name == s {
			return uint16(n), nil
		}
	}
	return 0, fmt.Errorf("protocol %q is not known", s)
}

// protoAliases are the names that iptables has of its own
// (xtables_chain_protos), and those of other versions of /etc/protocols.
var protoAliases = map[string]uint16{
	"all": 0, "icmp6": 58, "icmpv6": 58, "ipv6-mh": 135, "mh": 135, "ipv4": 4, "ospfigp": 89, "carp": 112,
}
