package redact

import (
	"encoding/binary"
	"net/netip"
)

// Originals are the addresses that were mapped: what a redacted file must not
// hold. Each kind is remembered up to maxOriginals; what was too much is counted.
type Originals struct {
	v4, v6, macs hashSet
	networks     map[netip.Prefix]bool
	over         uint64 // networks that were too many
}

const (
	maxOriginals = 1 << 22
	maxNetworks  = 1 << 20
)

func (o *Originals) addr(a netip.Addr) {
	switch {
	case !a.IsValid():
	case a.Is4():
		b := a.As4()
		o.v4.add(uint64(binary.BigEndian.Uint32(b[:])))
	default:
		b := a.As16()
		o.v6.add(mix(word16(b[:])))
	}
}

func (o *Originals) network(p netip.Prefix) {
	if p.IsSingleIP() {
		o.addr(p.Addr())
		return
	}
	if o.networks == nil {
		o.networks = map[netip.Prefix]bool{}
	}
	if p = p.Masked(); o.networks[p] {
		return
	}
	if len(o.networks) == maxNetworks {
		o.over++
		return
	}
	o.networks[p] = true
}

// mac takes whole addresses only.
func (o *Originals) mac(b []byte) {
	if len(b) == 6 {
		o.macs.add(mix(wordOf(b)))
	}
}

// Left is how many were mapped and could not be remembered.
func (o *Originals) Left() uint64 { return o.v4.over + o.v6.over + o.macs.over + o.over }

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

func (s *hashSet) add(v uint64) {
	if v == 0 {
		s.zero = true
		return
	}
	if s.n*4 >= len(s.slots)*3 {
		if s.has(v) {
			return
		}
		if s.n >= maxOriginals {
			s.over++
			return
		}
		s.grow()
	}
	for i := spread(v); ; i++ {
		slot := &s.slots[i&uint64(len(s.slots)-1)]
		if *slot == v {
			return
		}
		if *slot == 0 {
			*slot = v
			s.n++
			return
		}
	}
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
