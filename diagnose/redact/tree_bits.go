package redact

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
)

// word is an address as bits, the first one highest: what is narrower than 128
// bits ends in zeros.
type word struct{ hi, lo uint64 }

func word4(b []byte) word { return word{uint64(binary.BigEndian.Uint32(b)) << 32, 0} }

func word16(b []byte) word {
	return word{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])}
}

// wordOf takes up to 16 bytes.
func wordOf(b []byte) word {
	var all [16]byte
	copy(all[:], b)
	return word16(all[:])
}

func (w word) bytes() (b [16]byte) {
	binary.BigEndian.PutUint64(b[:], w.hi)
	binary.BigEndian.PutUint64(b[8:], w.lo)
	return b
}

func (w word) addr4() netip.Addr {
	return netip.AddrFrom4([4]byte{byte(w.hi >> 56), byte(w.hi >> 48), byte(w.hi >> 40), byte(w.hi >> 32)})
}

func (w word) addr16() netip.Addr { return netip.AddrFrom16(w.bytes()) }

// bit is the one at depth i, 0 the first.
func (w word) bit(i int) uint64 {
	if i < 64 {
		return w.hi >> (63 - i) & 1
	}
	return w.lo >> (127 - i) & 1
}

// field is the n bits from depth i on, 1 to 8 of them.
func (w word) field(i, n int) uint64 { return w.shl(i).hi >> (64 - n) }

// with sets the n bits from depth i on, which are 0.
func (w word) with(i, n int, v uint64) word {
	return w.or(word{v << (64 - n), 0}.shr(i))
}

// shl and shr return 0 for shifts that move everything out, as Go's do.
func (w word) shl(n int) word {
	if n >= 64 {
		return word{w.lo << (n - 64), 0}
	}
	return word{w.hi<<n | w.lo>>(64-n), w.lo << n}
}

func (w word) shr(n int) word {
	if n >= 64 {
		return word{0, w.hi >> (n - 64)}
	}
	return word{w.hi >> n, w.lo>>n | w.hi<<(64-n)}
}

func (w word) or(v word) word      { return word{w.hi | v.hi, w.lo | v.lo} }
func (w word) and(v word) word     { return word{w.hi & v.hi, w.lo & v.lo} }
func (w word) without(v word) word { return word{w.hi &^ v.hi, w.lo &^ v.lo} }

func (w word) compare(v word) int {
	switch {
	case w.hi < v.hi || w.hi == v.hi && w.lo < v.lo:
		return -1
	case w == v:
		return 0
	}
	return 1
}

// first keeps the first n bits.
func (w word) first(n int) word { return w.and(ones(n)) }

// ones is n bits set, then zeros.
func ones(n int) word {
	all := word{^uint64(0), ^uint64(0)}
	return all.without(all.shr(n))
}

// common is how many bits two words begin with alike.
func (w word) common(v word) int {
	if n := bits.LeadingZeros64(w.hi ^ v.hi); n < 64 {
		return n
	}
	return 64 + bits.LeadingZeros64(w.lo^v.lo)
}

// block is the words that begin alike with n bits.
type block struct {
	at word
	n  int
}

func (b block) holds(w word) bool { return w.first(b.n) == b.at }

// blockOf takes prefixes of either family.
func blockOf(p netip.Prefix) block {
	p = p.Masked()
	if p.Addr().Is4() {
		a := p.Addr().As4()
		return block{word4(a[:]), p.Bits()}
	}
	a := p.Addr().As16()
	return block{word16(a[:]), p.Bits()}
}
