package invalid

import (
	"bytes"
	"net/netip"
)

func begins(text []byte, with string) bool {
	return len(text) >= len(with) && string(text[:len(with)]) == with
}

// stop is a set of bytes that end something.
type stop uint8

const (
	blank stop = 1 << iota
	equals
	bracket // closing
)

var stops = [256]stop{' ': blank, '\n': blank, '\t': blank, '\r': blank, '=': equals, ']': bracket}

func isBlank(c byte) bool { return stops[c] == blank }

func skipBlanks(text []byte, i int) int {
	for i < len(text) && isBlank(text[i]) {
		i++
	}
	return i
}

// find is where the first byte from i on is that is in s.
func (s stop) find(text []byte, i int) int {
	for i < len(text) && stops[text[i]]&s == 0 {
		i++
	}
	return i
}

// wordEnd is where the word that begins at i ends.
func wordEnd(text []byte, i int) int { return blank.find(text, i) }

// escapes of the newline that one reason ends with: /dev/kmsg's, and that of
// syslog daemons.
var escapes = [...]string{`\x0a`, "#012"}

// skipBreaks skips blanks and newlines, escaped ones too.
func skipBreaks(text []byte, i int) int {
	for i < len(text) {
		switch {
		case isBlank(text[i]):
			i++
		case begins(text[i:], escapes[0]), begins(text[i:], escapes[1]):
			i += len(escapes[0])
		default:
			return i
		}
	}
	return i
}

// trimEnd takes blanks and newlines off the end, escaped ones too.
func trimEnd(text []byte) []byte {
	for n := len(text); n > 0; n = len(text) {
		switch {
		case isBlank(text[n-1]):
			text = text[:n-1]
		case n >= 4 && (string(text[n-4:]) == escapes[0] || string(text[n-4:]) == escapes[1]):
			text = text[:n-4]
		default:
			return text
		}
	}
	return text
}

// What a packet begins with: a device, or, in a line that somebody shortened,
// its source.
var bodyStarts = [...]string{"IN=", "SRC=", "…", "..."}

// bodyAt is where the packet begins behind a reason that ends at end; false
// when something else follows. The text may end before the packet does.
func bodyAt(text []byte, end int) (int, bool) {
	i := skipBreaks(text, end)
	rest := text[i:]
	if len(rest) == 0 {
		return i, true
	}
	if i == end {
		return 0, false
	}
	for _, start := range bodyStarts {
		if begins(rest, start) || len(rest) < len(start) && start[:len(rest)] == string(rest) {
			return i, true
		}
	}
	return 0, false
}

// reasonEnd is where words that are not known end: before the packet, or with
// the text.
func reasonEnd(text []byte) int {
	end := len(text)
	for i := 1; i < len(text); i++ {
		if !isBlank(text[i-1]) || text[i] != 'I' && text[i] != 'S' {
			continue
		}
		if rest := text[i:]; begins(rest, "IN=") || begins(rest, "SRC=") {
			end = i
			break
		}
	}
	return len(trimEnd(text[:end]))
}

// number reads decimal digits only.
func number(text []byte, most uint64) (uint64, bool) {
	if len(text) == 0 || len(text) > 10 {
		return 0, false
	}
	v := uint64(0)
	for _, c := range text {
		if c < '0' || c > '9' {
			return 0, false
		}
		v = v*10 + uint64(c-'0')
	}
	return v, v <= most
}

// hex reads "0x1f".
func hex(text []byte) (uint32, bool) {
	if !begins(text, "0x") {
		return 0, false
	}
	return hexDigits(text[2:])
}

func hexDigits(text []byte) (uint32, bool) {
	if len(text) == 0 || len(text) > 8 {
		return 0, false
	}
	v := uint32(0)
	for _, c := range text {
		d := digit(c)
		if d > 15 {
			return 0, false
		}
		v = v<<4 | uint32(d)
	}
	return v, true
}

// allHex tells whether text is pairs of hexadecimal digits.
func allHex(text []byte) bool {
	for _, c := range text {
		if digit(c) > 15 {
			return false
		}
	}
	return len(text)%2 == 0
}

// parseAddr reads an address as %pI4 and %pI6 print it: all eight groups of
// four digits. Other forms, that people write, are read too.
func parseAddr(text []byte) (netip.Addr, bool) {
	if len(text) == 39 {
		if a, ok := parseAddr6(text); ok {
			return a, true
		}
	} else if len(text) <= 15 && bytes.IndexByte(text, '.') > 0 {
		return parseAddr4(text)
	}
	if len(text) > 45 || bytes.IndexByte(text, ':') < 0 || bytes.IndexByte(text, '%') >= 0 {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(string(text))
	return a, err == nil
}

func parseAddr4(text []byte) (netip.Addr, bool) {
	var a [4]byte
	v, digits, k := 0, 0, 0
	for _, c := range text {
		if c == '.' {
			if digits == 0 || k == 3 {
				return netip.Addr{}, false
			}
			a[k] = byte(v)
			k, v, digits = k+1, 0, 0
			continue
		}
		if c < '0' || c > '9' || digits == 3 {
			return netip.Addr{}, false
		}
		v = v*10 + int(c-'0')
		digits++
		if v > 255 {
			return netip.Addr{}, false
		}
	}
	if k != 3 || digits == 0 {
		return netip.Addr{}, false
	}
	a[3] = byte(v)
	return netip.AddrFrom4(a), true
}

func parseAddr6(text []byte) (netip.Addr, bool) {
	var a [16]byte
	for g := range 8 {
		at := text[g*5:]
		if g < 7 && at[4] != ':' {
			return netip.Addr{}, false
		}
		v, ok := hexDigits(at[:4])
		if !ok {
			return netip.Addr{}, false
		}
		a[2*g], a[2*g+1] = byte(v>>8), byte(v)
	}
	return netip.AddrFrom16(a), true
}
