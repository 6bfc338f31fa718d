package redact

import (
	"net/netip"
	"strings"
)

// maxAddress bounds what is looked at as one address.
const maxAddress = 64

// address4 maps 192.0.2.1, 192.0.2.0/24, 192.0.2.0/255.255.255.0, 192.0.2.1-192.0.2.9.
func (p *prose) address4(at int) int {
	if at > 0 && isDigit(p.in[at-1]) || at > 1 && p.in[at-1] == '.' && isDigit(p.in[at-2]) {
		return 0
	}
	a, end := cut4(p.in, at)
	if end == 0 {
		return 0
	}
	if isMask(a) {
		return p.skip(end)
	}
	return p.rest(at, end, a, cut4)
}

// cut4 reads four numbers with dots between them. A fifth may follow, as
// tcpdump writes a port; more are no address.
func cut4(s string, at int) (netip.Addr, int) {
	var b [4]byte
	i := at
	for k := range b {
		if k > 0 {
			if i >= len(s) || s[i] != '.' {
				return netip.Addr{}, 0
			}
			i++
		}
		n, digits := 0, 0
		for i < len(s) && isDigit(s[i]) && digits < 4 {
			n = 10*n + int(s[i]-'0')
			i, digits = i+1, digits+1
		}
		if digits == 0 || digits > 3 || n > 255 {
			return netip.Addr{}, 0
		}
		b[k] = byte(n)
	}
	j := i
	for parts := 4; j+1 < len(s) && s[j] == '.' && isDigit(s[j+1]); parts++ {
		if parts == 5 {
			return netip.Addr{}, 0
		}
		for j++; j < len(s) && isDigit(s[j]); j++ {
		}
	}
	return netip.AddrFrom4(b), i
}

// address6 maps an IPv6 address in any form that netip reads.
func (p *prose) address6(at int) int {
	if !p.before(at) || at > 0 && p.in[at-1] == ':' && !isLabel(p.in, at) {
		return 0
	}
	a, end := cut6(p.in, at)
	if end == 0 || isWordByteAt(p.in, end) {
		return 0
	}
	if isMask(a) {
		return p.skip(end)
	}
	return p.rest(at, end, a, cut6)
}

func isWordByteAt(s string, i int) bool { return i < len(s) && isWordByte(s[i]) }

// cut6 reads the longest address that begins at a place.
func cut6(s string, at int) (netip.Addr, int) {
	end, colons := at, 0
	for end < len(s) && end-at <= maxAddress && (isHex(s[end]) || s[end] == ':' || s[end] == '.') {
		if s[end] == ':' {
			colons++
		}
		end++
	}
	if colons < 2 || end-at > maxAddress {
		return netip.Addr{}, 0
	}
	// A full stop, a colon, or a port that tcpdump wrote may follow it.
	for tries := 0; tries < 4; tries++ {
		if a, err := netip.ParseAddr(s[at:end]); err == nil {
			if !a.Is6() {
				return netip.Addr{}, 0
			}
			return a, end
		}
		cut := strings.LastIndexAny(s[at:end], ":.")
		if cut <= 0 {
			break
		}
		end = at + cut
	}
	return netip.Addr{}, 0
}

// isMask tells whether an address is a netmask, or one of a wildcard kind
// (0.0.0.255): they stay.
func isMask(a netip.Addr) bool {
	w, width := wordAddr(a), a.BitLen()
	full := ones(width)
	n := w.common(full)
	if n >= 8 && w == ones(min(n, width)) {
		return a.Is4() || n >= 16
	}
	inverse := full.without(w)
	n = min(inverse.common(full), width)
	return a.Is4() && n >= 8 && n < 32 && inverse == ones(n)
}

// rest goes on behind an address: a zone, a length or a mask, a range.
func (p *prose) rest(at, end int, a netip.Addr, cut func(string, int) (netip.Addr, int)) int {
	m, s := p.m, p.in
	written := s[at:end]
	if a.Is6() && end < len(s) && s[end] == '%' {
		j := end + 1
		for j < len(s) && (isWordByte(s[j]) || strings.IndexByte("-.@", s[j]) >= 0) {
			j++
		}
		for j > end+1 && s[j-1] == '.' {
			j--
		}
		if j > end+1 {
			zone := s[end+1 : j]
			if p.back {
				zone = m.names.reveal(zone)
			} else {
				zone = m.Name(Device, zone)
			}
			return p.put(at, j, p.inForm(m.addr(a, p.back), written)+"%"+zone)
		}
	}
	if bits, j := length(s, end, a, cut); j > 0 {
		q := netip.PrefixFrom(a, bits)
		image := m.prefix(q, p.back)
		return p.put(at, j, p.inForm(image, written)+s[end:j])
	}
	if end < len(s) && s[end] == '-' {
		if b, j := cut(s, end+1); j > 0 && !isWordByteAt(s, j) {
			lo, hi := m.span(a, b, p.back)
			return p.put(at, j, p.inForm(lo, written)+"-"+p.inForm(hi, s[end+1:j]))
		}
	}
	return p.put(at, end, p.inForm(m.addr(a, p.back), written))
}

// prefix maps a network, or an address with the length of its subnet.
func (m *Mapper) prefix(q netip.Prefix, back bool) netip.Addr {
	if q != q.Masked() {
		return m.addr(q.Addr(), back)
	}
	return m.network(q, back).Addr()
}

// length reads /24 or /255.255.255.0 behind an address. A mask with holes is
// one too: its bits are then those of the whole address.
func length(s string, at int, a netip.Addr, cut func(string, int) (netip.Addr, int)) (bits, end int) {
	if at >= len(s) || s[at] != '/' {
		return 0, 0
	}
	if mask, end := cut(s, at+1); end > 0 {
		n := wordAddr(mask).common(ones(a.BitLen()))
		if wordAddr(mask) != ones(n) {
			n = a.BitLen()
		}
		return min(n, a.BitLen()), end
	}
	n, i := 0, at+1
	for i < len(s) && isDigit(s[i]) && i < at+4 {
		n = 10*n + int(s[i]-'0')
		i++
	}
	if i == at+1 || n > a.BitLen() || isWordByteAt(s, i) {
		return 0, 0
	}
	return n, i
}

// inForm writes an address as another was written: in full, in capitals. One
// that is written alike both ways is the image of a short one more often.
func (p *prose) inForm(a netip.Addr, as string) string {
	if !a.Is6() {
		return a.String()
	}
	zone := a.Zone()
	a = a.WithZone("")
	out := a.String()
	if strings.Count(as, ":") == 7 && len(as) == 39 && !(p.back && as == short(as)) {
		out = a.StringExpanded()
	}
	if strings.ToUpper(as) == as && strings.ToLower(as) != as {
		out = strings.ToUpper(out)
	}
	if w := wordAddr(a); strings.Contains(as, ".") && w.first(96) == (word{}) {
		out = "::" + w.shl(96).addr4().String()
	}
	if zone != "" {
		out += "%" + zone
	}
	return out
}

// short is the canonical form of an address.
func short(s string) string {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return s
	}
	return a.String()
}
