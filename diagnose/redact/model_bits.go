package redact

import "math/bits"

// prefixLen is the length of a mask that is a prefix's.
func prefixLen(mask []byte) (n int, ok bool) {
	ended := false
	for _, b := range mask {
		k := bits.LeadingZeros8(^b)
		if ended && b != 0 || b<<k != 0 {
			return 0, false
		}
		ended = ended || k < 8
		n += k
	}
	return n, true
}

func isZero(b []byte) bool {
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}

// setOnes sets the first n bits.
func setOnes(b []byte, n int) {
	for i := range n {
		b[i/8] |= 0x80 >> (i % 8)
	}
}

// commonBits is how many bits a and b begin alike with.
func commonBits(a, b []byte) int {
	for i := range a {
		if d := a[i] ^ b[i]; d != 0 {
			return 8*i + bits.LeadingZeros8(d)
		}
	}
	return 8 * len(a)
}

// isPrefix tells whether lo to hi are all that begins with their first n bits,
// which they have in common.
func isPrefix(lo, hi []byte, n int) bool {
	return isZero(suffix(lo, n)) && popcount(suffix(hi, n)) == 8*len(hi)-n
}

// suffixMask has ones after the first n bits.
func suffixMask(size, n int) []byte {
	out := make([]byte, size)
	setOnes(out, n)
	for i := range out {
		out[i] = ^out[i]
	}
	return out
}

// suffix is b without its first n bits, and prefixBytes is they alone; both
// have zeros in place of the others.
func suffix(b []byte, n int) []byte {
	out := suffixMask(len(b), n)
	for i := range out {
		out[i] &= b[i]
	}
	return out
}

func prefixBytes(b []byte, n int) []byte {
	out := suffixMask(len(b), n)
	for i := range out {
		out[i] = b[i] &^ out[i]
	}
	return out
}

func or(a, b []byte) []byte {
	out := make([]byte, len(a))
	for i := range out {
		out[i] = a[i] | b[i]
	}
	return out
}

// nextTo is the number b, by 1 more or less.
func nextTo(b []byte, by int) []byte {
	out := append([]byte(nil), b...)
	for i := len(out) - 1; i >= 0; i-- {
		out[i] += byte(by)
		if by > 0 && out[i] != 0 || by < 0 && out[i] != 0xff {
			break
		}
	}
	return out
}
