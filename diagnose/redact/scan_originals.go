package redact

import (
	"encoding/binary"
	"net/netip"
)

// Originals are the addresses that were mapped: what a redacted file must not
// hold. Each kind is remembered up to maxOriginals; what was too much is counted.
type Originals struct {
	v4, v6, macs               hashSet
	v4Heads, v6Heads, macHeads heads
	// bases are the first addresses of networks, and both ends of ranges; images
	// are what they became.
	bases, images hashSet
}

const maxOriginals = 1 << 22

// addr tells whether the address is a new one.
func (o *Originals) addr(a netip.Addr) bool {
	switch {
	case !a.IsValid():
		return false
	case a.Is4():
		v := a4(a)
		o.v4Heads.add(byte(v>>24), byte(v>>16))
		return o.v4.add(uint64(v))
	}
	w := wordAddr(a)
	o.v6Heads.add(byte(w.hi>>56), byte(w.hi>>48))
	return o.v6.add(mix(w))
}

// base notes an end of a network or of a range, and what it became.
func (o *Originals) base(a, image netip.Addr) {
	w := wordAddr(a)
	if a.Is6() {
		o.v6Heads.add(byte(w.hi>>56), byte(w.hi>>48))
	}
	if a != image {
		o.bases.add(mixAddr(a))
	}
	// also one that stayed: as an address by itself it may have become another
	o.images.add(mixAddr(image))
}

func (o *Originals) isBase(a netip.Addr) bool      { return o.bases.has(mixAddr(a)) }
func (o *Originals) isBaseImage(a netip.Addr) bool { return o.images.has(mixAddr(a)) }

// mixAddr tells the families apart.
func mixAddr(a netip.Addr) uint64 {
	v := mix(wordAddr(a))
	if a.Is4() {
		v ^= 4
	}
	return v
}

func (o *Originals) hasAddr(a netip.Addr) bool {
	if a.Is4() {
		return o.has4(a4(a))
	}
	return o.v6.has(mix(wordAddr(a)))
}

// has4 takes an IPv4 address as a number.
func (o *Originals) has4(v uint32) bool {
	return o.v4Heads.has(byte(v>>24), byte(v>>16)) && o.v4.has(uint64(v))
}

func a4(a netip.Addr) uint32 {
	b := a.As4()
	return binary.BigEndian.Uint32(b[:])
}

// mac takes whole addresses only.
func (o *Originals) mac(b []byte) {
	if len(b) == 6 {
		o.macHeads.add(b[0], b[1])
		o.macs.add(mix(wordOf(b)))
	}
}

// Left is how many were mapped and could not be remembered.
func (o *Originals) Left() uint64 {
	return o.v4.over + o.v6.over + o.macs.over + o.bases.over + o.images.over
}

// mix makes 64 bits of 128: what is wider than 64 bits is remembered by them.
func mix(w word) uint64 {
	v := w.hi*0x9e3779b97f4a7c15 ^ w.lo
	v ^= v >> 32
	v *= 0xd6e8feb86659fd93
	v ^= v >> 29
	return v ^ w.lo*0xbf58476d1ce4e5b9
}

// hashSet is a set of numbers, open addressing, at most three quarters full.
type hashSet struct {
	slots []uint64
	zero  bool
	n     int
	over  uint64
}

// add tells whether the number is new. One too many is not kept, and
// counted.
func (s *hashSet) add(v uint64) bool {
	if v == 0 {
		was := s.zero
		s.zero = true
		return !was
	}
	if s.n*4 >= len(s.slots)*3 {
		if s.has(v) {
			return false
		}
		if s.n >= maxOriginals {
			s.over++
			return false
		}
		s.grow()
	}
	for i := spread(v); ; i++ {
		slot := &s.slots[i&uint64(len(s.slots)-1)]
		if *slot == v {
			return false
		}
		if *slot == 0 {
			*slot = v
			s.n++
			return true
		}
	}
}

func (s *hashSet) size() int {
	if s.zero {
		return s.n + 1
	}
	return s.n
}

func (s *hashSet) grow() {
	old := s.slots
	s.slots = make([]uint64, max(64, 2*len(old)))
	s.n = 0
	for _, v := range old {
		if v != 0 {
			s.add(v)
		}
	}
}

func (s *hashSet) has(v uint64) bool {
	if v == 0 {
		return s.zero
	}
	if s.n == 0 {
		return false
	}
	for i := spread(v); ; i++ {
		switch s.slots[i&uint64(len(s.slots)-1)] {
		case v:
			return true
		case 0:
			return false
		}
	}
}

func spread(v uint64) uint64 {
	v *= 0x9e3779b97f4a7c15
	return v ^ v>>32
}
