package redact

import (
	"crypto/sha256"
	"net/netip"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

// Mapper redacts. It is for one goroutine.
type Mapper struct {
	trees
	names names
	why   *Constraints
	seen  Originals
	words wordIndex

	unchanged, ambiguous uint64
	ordinary             map[string]bool
	toScan               *scanNames
}

// New makes a Mapper. The same key and constraints map alike. c is not changed,
// and not looked at later.
func New(key Key, c *Constraints) *Mapper {
	own := &Constraints{}
	if c != nil {
		own.Add(c)
	}
	return &Mapper{trees: newTrees(key, own), names: newNames(key, own), why: own}
}

// Addr maps an address; the zone of an IPv6 one is a device's name.
func (m *Mapper) Addr(a netip.Addr) netip.Addr { return m.addr(a, false) }

func (m *Mapper) addr(a netip.Addr, back bool) netip.Addr {
	switch {
	case !a.IsValid():
		return a
	case a.Is4():
		if !back {
			m.met(a)
		}
		return m.v4.image(wordAddr(a), 0, back).addr4()
	}
	zone := a.Zone()
	if zone != "" {
		a = a.WithZone("")
		if back {
			zone = m.names.reveal(zone)
		} else {
			zone = m.Name(Device, zone)
		}
	}
	if !back {
		m.met(a)
	}
	return m.map6(wordAddr(a), back).addr16().WithZone(zone)
}

// Network maps a prefix; what follows its length is 0 as before.
func (m *Mapper) Network(p netip.Prefix) netip.Prefix {
	if !p.IsValid() {
		return p
	}
	return m.network(p.Masked(), false)
}

// network maps a prefix that is masked.
func (m *Mapper) network(p netip.Prefix, back bool) netip.Prefix {
	image := netip.PrefixFrom(m.plain(p.Addr(), back), p.Bits()).Masked()
	switch {
	case back:
	case p.IsSingleIP():
		m.met(p.Addr())
	default:
		m.seen.base(p.Addr(), image.Addr())
	}
	return image
}

// plain maps without a note of it.
func (m *Mapper) plain(a netip.Addr, back bool) netip.Addr {
	if a.Is4() {
		return m.v4.image(wordAddr(a), 0, back).addr4()
	}
	return m.map6(wordAddr(a), back).addr16()
}

// HostIn maps an address that is written with the length of its subnet.
func (m *Mapper) HostIn(p netip.Prefix) netip.Prefix {
	if !p.IsValid() {
		return p
	}
	return netip.PrefixFrom(m.Addr(p.Addr()), p.Bits())
}

// Range maps a range, both ends included: a prefix to a prefix's, another to
// the images of its ends, which are in order where Constraints.Range has it.
func (m *Mapper) Range(lo, hi netip.Addr) (netip.Addr, netip.Addr) {
	return m.span(lo, hi, false)
}

func (m *Mapper) span(lo, hi netip.Addr, back bool) (netip.Addr, netip.Addr) {
	if lo.IsValid() && lo.BitLen() == hi.BitLen() && lo.Zone() == "" && hi.Zone() == "" && lo.Less(hi) {
		if p, is := prefixOf(lo, hi); is {
			p = m.network(p, back)
			if !back {
				m.seen.base(hi, lastOf(p))
			}
			return p.Addr(), lastOf(p)
		}
	}
	return m.addr(lo, back), m.addr(hi, back)
}

// lastOf is the last address of a prefix.
func lastOf(p netip.Prefix) netip.Addr {
	w := wordAddr(p.Addr())
	w = w.or(ones(p.Addr().BitLen()).without(ones(p.Bits())))
	if p.Addr().Is4() {
		return w.addr4()
	}
	return w.addr16()
}

// Original is the address that a is the image of.
func (m *Mapper) Original(a netip.Addr) netip.Addr { return m.addr(a, true) }

// Bytes maps the beginning of an address, or all of its 4 or 16 bytes, in
// place, as rules hold them: in network order.
func (m *Mapper) Bytes(f rules.Family, b []byte) {
	a, width := netip.IPv4Unspecified(), 4
	if f == rules.FamilyIPv6 {
		a, width = netip.IPv6Unspecified(), 16
	}
	b = b[:min(len(b), width)]
	whole := a.AsSlice()
	copy(whole, b)
	a, _ = netip.AddrFromSlice(whole)
	p := netip.PrefixFrom(a, 8*len(b)) // the bytes behind it are 0
	copy(b, m.network(p, false).Addr().AsSlice())
}

// MAC maps a hardware address in place; a shorter one is its beginning. Bytes
// after the sixth (InfiniBand has 20) hang on all before them.
func (m *Mapper) MAC(b []byte) {
	m.seen.mac(b)
	m.hardware(b, false)
}

func (m *Mapper) hardware(b []byte, back bool) {
	source := append([]byte(nil), b...)
	out := m.mac.image(wordOf(b[:min(len(b), 6)]), 0, back).bytes()
	copy(b[:min(len(b), 6)], out[:])
	if back {
		copy(source, b[:min(len(b), 6)])
	}
	for i := 6; i < len(b); i++ {
		sum := sha256.Sum256(append(append(m.mac.key[:len(Key{}):len(Key{})], 'm'), source[:i]...))
		b[i] ^= sum[0]
		if back {
			source[i] = b[i]
		}
	}
}

// Tuple maps one tuple.
func (m *Mapper) Tuple(t rules.Tuple) rules.Tuple {
	t.Src, t.Dst = m.Addr(t.Src), m.Addr(t.Dst)
	return t
}

// Flow maps an entry in place: its addresses, and the names of its helper and
// of its security context.
func (m *Mapper) Flow(f *host.Flow) {
	was := f.Original
	f.Original, f.Master = m.Tuple(was), m.Tuple(f.Master)
	// most addresses of the reply are those of the original
	for _, a := range []*netip.Addr{&f.Reply.Src, &f.Reply.Dst} {
		switch *a {
		case was.Src:
			*a = f.Original.Src
		case was.Dst:
			*a = f.Original.Dst
		default:
			*a = m.Addr(*a)
		}
	}
	f.Helper = m.Name(Helper, f.Helper)
	f.Secctx = m.Name(Secctx, f.Secctx)
}
