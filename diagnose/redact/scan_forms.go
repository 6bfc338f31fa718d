package redact

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
	"strings"
)

// nibbles is the value of a hexadecimal digit, 0xff of another byte.
var nibbles = func() (t [256]byte) {
	for c := range 256 {
		switch b := byte(c); {
		case isDigit(b):
			t[c] = b - '0'
		case isHex(b):
			t[c] = b | 0x20 - 'a' + 10
		default:
			t[c] = 0xff
		}
	}
	return t
}()

// text looks for what is written with separators.
func (s *scan) text(text string, from, until int) {
	for i := from; i < until; i++ {
		switch c := text[i]; {
		case c == ':' && i+1 < len(text) && text[i+1] == ':': // what an address may begin with
		case nibbles[c] == 0xff || i > 0 && nibbles[text[i-1]] != 0xff:
			continue
		}
		// The separator, if there is one, is near.
		j := i
		for j < len(text) && j < i+5 && nibbles[text[j]] != 0xff {
			j++
		}
		if j == len(text) {
			continue
		}
		switch text[j] {
		case '.':
			if a, end := cutQuad(text, i); end > 0 {
				s.address(i, a, "text", false)
			}
			if b, end := cutDotted(text, i); end > 0 {
				s.hardware(i, b, "text")
			}
		case ':':
			if i == 0 || text[i-1] != ':' || isLabel(text, i) {
				if a, end := cut6(text, i); end > 0 {
					s.address(i, a.WithZone(""), "text", false)
				}
			}
			fallthrough
		case '-':
			if j == i+2 {
				s.colons(text, i)
			}
		}
		i = max(i, j-1) // no other begins in these digits
	}
}

// cutQuad reads four numbers with dots between them, whatever follows.
func cutQuad(s string, at int) (netip.Addr, int) {
	end, dots := at, 0
	for end < len(s) && (isDigit(s[end]) || s[end] == '.' && dots < 3) && end-at < 16 {
		if s[end] == '.' {
			dots++
		}
		end++
	}
	return cut4(s[:end], at)
}

// isLabel tells whether the colon before a place belongs to a word ("to:"), and
// not to an address.
func isLabel(s string, at int) bool {
	for i := at - 2; i >= 0 && i > at-maxAddress && isWordByte(s[i]); i-- {
		if !isHex(s[i]) {
			return true
		}
	}
	return false
}

// colons looks for six bytes that begin at a place.
func (s *scan) colons(text string, at int) {
	if at+17 > len(text) {
		return
	}
	var b [6]byte
	sep := text[at+2]
	for k := range b {
		i := at + 3*k
		high, low := nibbles[text[i]], nibbles[text[i+1]]
		if high == 0xff || low == 0xff || k < 5 && text[i+2] != sep {
			return
		}
		b[k] = high<<4 | low
	}
	s.hardware(at, b[:], "text")
}

// digits looks for what is written without separators, in any run of digits.
// Nothing is looked for in runs of less than 8: most of a text is passed by in
// steps of that.
func (s *scan) digits(text string, from, until int) {
	i := from
	for i > max(0, from-longestNumber) && nibbles[text[i-1]] != 0xff {
		i--
	}
	for i < until && i+8 <= len(text) {
		end := i + 7
		for end >= i && nibbles[text[end]] != 0xff {
			end--
		}
		if end >= i {
			i = end + 1
			continue
		}
		i = s.run(text, i, from, until) + 1
	}
}

// longestNumber is how many digits are looked at as one.
const longestNumber = 32

// run looks at what begins from from to before until in a run of digits, and
// returns its end.
func (s *scan) run(text string, at, from, until int) int {
	var v word // the last 32 digits
	decimal := 0
	if at >= 2 && text[at-2] == '0' && text[at-1] == 'x' {
		decimal = -8 // eight decimal digits count too
	}
	j := at
	for ; j < len(text) && j < until+longestNumber; j++ {
		n := nibbles[text[j]]
		if n == 0xff {
			break
		}
		v = word{v.hi<<4 | v.lo>>60, v.lo<<4 | uint64(n)}
		if n < 10 {
			decimal++
		} else {
			decimal = 0
		}
		if i := j - 7; i >= max(at, from) && i < until {
			if decimal < 8 {
				s.number4(i, uint32(v.lo), "hex")
				// turned, X.Y.0.0 is a mark or a port of 32 bits
				if turned := bits.ReverseBytes32(uint32(v.lo)); turned&0xffff != 0 {
					s.number4(i, turned, "hex")
				}
			}
			s.names.digits(s, text, i, uint32(v.lo))
		}
		if i := j - 11; i >= max(at, from) && i < until && s.m.seen.macHeads.has(byte(v.lo>>40), byte(v.lo>>32)) {
			var b [8]byte
			binary.BigEndian.PutUint64(b[:], v.lo<<16)
			s.hardware(i, b[:6], "hex")
		}
		if i := j - 31; i >= max(at, from) && i < until && s.m.seen.v6Heads.has(byte(v.hi>>56), byte(v.hi>>48)) {
			s.address(i, v.addr16(), "hex", false)
		}
	}
	return j
}

// binary looks for addresses as they are in packets.
func (s *scan) binary(text string, from, until int) {
	o := &s.m.seen
	for i := from; i < until && i+6 <= len(text); i++ {
		if !s.first[text[i]] {
			continue
		}
		if o.macHeads.has(text[i], text[i+1]) {
			s.hardware(i, []byte(text[i:i+6]), "binary")
		}
		if i+16 <= len(text) && o.v6Heads.has(text[i], text[i+1]) {
			s.address(i, netip.AddrFrom16([16]byte([]byte(text[i:i+16]))), "binary", false)
		}
	}
	s.binary4(text, from, min(until, len(text)-3))
}

// binary4 takes what begins from 16 bytes behind a zero to 4 before one.
func (s *scan) binary4(text string, from, until int) {
	for at, next := max(0, from-16), from; next < until; at++ {
		zero := strings.IndexByte(text[at:min(until+4, len(text))], 0)
		if zero < 0 {
			return
		}
		at += zero
		for next = max(next, at-4); next < min(until, at+17); next++ {
			s.number4(next, binary.BigEndian.Uint32([]byte(text[next:next+4])), "binary")
		}
	}
}

// heads are the first two bytes of what is in a set: most of a file is passed by
// with them.
type heads [1 << 13]byte

func (h *heads) has(a, b byte) bool {
	i := uint(a)<<8 | uint(b)
	return h[i>>3]>>(i&7)&1 == 1
}

func (h *heads) add(a, b byte) {
	i := uint(a)<<8 | uint(b)
	h[i>>3] |= 1 << (i & 7)
}
