package redact

import (
	"net/netip"
	"slices"

	"github.com/ntdiag/ntdiag/rules"
)

// Constraints are what of the addresses has to stay so that rules still mean
// the same. They cost secrecy: what stays is listed by Mapper.Kept. The zero
// value asks for nothing. The order of calls, and calls that are repeated, make
// no difference.
type Constraints struct {
	ranges  map[span]string
	masks   map[netip.Addr]string
	hosts   map[hostPart]string
	blocks  map[netip.Prefix]string
	subnets map[netip.Prefix]string
	devices map[string]bool
}

// span is a range that is no prefix.
type span struct{ lo, hi netip.Addr }

// hostPart is what follows the first bits of a family's addresses.
type hostPart struct {
	family rules.Family
	bits   int
}

// Range keeps the addresses from lo to hi, both included, one range:
// Mapper.Range tells its ends, and an address is in the one when it was in the
// other. Where the range is a prefix that costs nothing. For two addresses of
// different families, or none at all, nothing is kept. An IPv4-mapped address
// is one of IPv6.
func (c *Constraints) Range(lo, hi netip.Addr, why string) {
	lo, hi = lo.WithZone(""), hi.WithZone("")
	if !lo.IsValid() || lo.BitLen() != hi.BitLen() || hi.Less(lo) {
		return
	}
	if _, is := prefixOf(lo, hi); !is {
		note(&c.ranges, span{lo, hi}, why)
	}
}

// Bits keeps the bits of every address that are set in mask: a rule compares
// them whatever stands before. An IPv6 mask keeps bits of the IPv4 addresses
// that IPv6 ones may hold too.
func (c *Constraints) Bits(mask netip.Addr, why string) {
	if mask.IsValid() && !mask.IsUnspecified() {
		note(&c.masks, mask.WithZone(""), why)
	}
}

// HostPart makes what follows the first n bits map alike under every prefix: a
// rule carries it from one network to another (netmap). Addresses of the
// blocks that classes mark as loose (loopback, link-local, multicast, and those
// that hold an IPv4 one, …) are left out: a network there is to be kept (Keep).
func (c *Constraints) HostPart(f rules.Family, n int, why string) {
	width := 32
	if f == rules.FamilyIPv6 {
		width = 128
	}
	if n > 0 && n < width {
		note(&c.hosts, hostPart{f, n}, why)
	}
}

// Pin keeps one address as it is; its neighbours keep what they share with it.
func (c *Constraints) Pin(a netip.Addr, why string) {
	if a.IsValid() {
		c.Keep(netip.PrefixFrom(a.WithZone(""), a.BitLen()), why)
	}
}

// Keep keeps a network, and all that is in it, as it is.
func (c *Constraints) Keep(p netip.Prefix, why string) {
	if p.IsValid() {
		note(&c.blocks, p.Masked(), why)
	}
}

// Subnet keeps the first address of a network the first, so that an address
// written with its subnet's length (HostIn) is never taken for the network. It
// costs little: the second address stays the second.
func (c *Constraints) Subnet(p netip.Prefix, why string) {
	if p.IsValid() && !p.IsSingleIP() {
		note(&c.subnets, p.Masked(), why)
	}
}

// DevicePrefix keeps names that begin with p names that begin alike (eth*).
func (c *Constraints) DevicePrefix(p string) {
	if p == "" {
		return
	}
	if c.devices == nil {
		c.devices = map[string]bool{}
	}
	c.devices[p] = true
}

// Add asks for all that other asks for.
func (c *Constraints) Add(other *Constraints) {
	for s, why := range other.ranges {
		note(&c.ranges, s, why)
	}
	for a, why := range other.masks {
		note(&c.masks, a, why)
	}
	for h, why := range other.hosts {
		note(&c.hosts, h, why)
	}
	for p, why := range other.blocks {
		note(&c.blocks, p, why)
	}
	for p, why := range other.subnets {
		note(&c.subnets, p, why)
	}
	for p := range other.devices {
		c.DevicePrefix(p)
	}
}

// note keeps the first reason in the order of letters, whatever came first.
func note[K comparable](m *map[K]string, k K, why string) {
	if *m == nil {
		*m = map[K]string{}
	}
	if old, has := (*m)[k]; !has || why < old {
		(*m)[k] = why
	}
}

// prefixOf is the prefix that a range is, when it is one.
func prefixOf(lo, hi netip.Addr) (netip.Prefix, bool) {
	a, b := wordAddr(lo), wordAddr(hi)
	n := min(a.common(b), lo.BitLen())
	full := ones(lo.BitLen())
	if a != a.first(n) || b != b.or(full.without(ones(n))) {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(lo, n), true
}

// wordAddr is an address of either family.
func wordAddr(a netip.Addr) word {
	if a.Is4() {
		b := a.As4()
		return word4(b[:])
	}
	b := a.As16()
	return word16(b[:])
}

// trees are the permutations of a key under constraints.
type trees struct{ v4, v6, mac *tree }

func newTrees(key Key, c *Constraints) trees {
	t := trees{newTree4(key), newTree6(key), newTreeMAC(key)}
	for s := range c.ranges {
		lo, hi := wordAddr(s.lo), wordAddr(s.hi)
		from := lo.common(hi)
		if s.lo.Is4() {
			t.v4.path(lo, from, 32)
			t.v4.path(hi, from, 32)
			continue
		}
		t.path6(lo, from, 128)
		t.path6(hi, from, 128)
	}
	for p := range c.blocks {
		b := blockOf(p)
		if p.Addr().Is4() {
			t.v4.keep(b)
			continue
		}
		t.v6.keep(b)
		for _, e := range embedded {
			if e.block.holds(b.at) && b.n > e.at {
				n := min(b.n-e.at, 32)
				t.v4.keep(block{b.at.shl(e.at).first(n), n})
			}
		}
	}
	for p := range c.subnets {
		if w := wordAddr(p.Addr()); p.Addr().Is4() {
			t.v4.path(w, p.Bits(), 32)
		} else {
			t.path6(w, p.Bits(), 128)
		}
	}
	for mask := range c.masks {
		w := wordAddr(mask)
		if mask.Is4() {
			t.v4.flat = t.v4.flat.or(w)
			continue
		}
		t.v6.flat = t.v6.flat.or(w)
		for _, e := range embedded {
			t.v4.flat = t.v4.flat.or(w.shl(e.at).first(32))
		}
	}
	for h := range c.hosts {
		if h.family == rules.FamilyIPv6 {
			t.v6.ties = append(t.v6.ties, h.bits)
		} else {
			t.v4.ties = append(t.v4.ties, h.bits)
		}
	}
	t.v4.build()
	t.v6.build()
	t.mac.build()
	return t
}

// path6 forbids changes at the nodes to w, those of the IPv4 address in it
// among them.
func (t *trees) path6(w word, from, to int) {
	t.v6.path(w, from, to)
	for _, e := range embedded {
		if e.block.holds(w) && to > e.at {
			t.v4.path(w.shl(e.at).first(32), max(from-e.at, 0), min(to-e.at, 32))
		}
	}
}

// map6 maps an IPv6 address, the IPv4 one in it as it is mapped alone.
func (t *trees) map6(w word, back bool) word {
	for _, e := range embedded {
		if !e.block.holds(w) {
			continue
		}
		inner := t.v4.image(w.shl(e.at).first(32), 0, back)
		out := w.first(e.at).or(inner.shr(e.at))
		if e.at == 96 {
			return out
		}
		known := w // what the bits after the IPv4 address hang on
		if back {
			known = out.or(w.without(ones(e.at + 32)))
		}
		return out.or(t.v6.image(known, e.at+32, back).without(ones(e.at + 32)))
	}
	return t.v6.image(w, 0, back)
}

// sortedKeys is for what is written and shown.
func sortedKeys[K comparable, V any](m map[K]V, compare func(a, b K) int) []K {
	out := make([]K, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.SortFunc(out, compare)
	return out
}
