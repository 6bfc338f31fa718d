package redact

import (
	"strings"
)

// Text maps every address, hardware address and known name in free text:
//
//   - IPv4 and IPv6 addresses in every way to write them, with a length, a port,
//     a zone, in brackets, and ranges. A network stays one: what follows its
//     length is 0 as before. Netmasks stay.
//   - hardware addresses of 6 bytes or more with colons or dashes between them,
//     or with dots as switches write them; the 14 bytes of a log line's MAC=;
//   - names that Name was called with, as whole words of at least three
//     characters, the longest first, unless they are common words.
//
// Ports, handles, times, numbers of two or three parts, and digits without
// separators (hexadecimal ones too) stay.
func (m *Mapper) Text(s string) string { return m.text(s, true) }

func (m *Mapper) text(s string, names bool) string {
	p := &prose{m: m, in: s}
	if names {
		p.names = &m.words
	}
	return p.run()
}

// prose goes through a text once. out is what in[:done] has become.
type prose struct {
	m     *Mapper
	in    string
	out   strings.Builder
	done  int
	names *wordIndex // nil for none
	back  bool       // from images to originals
	// escape is how a name is to be written; nil for as it is.
	escape func(string) string
}

// textStep tries to map what begins at a place. It returns where that ends, or 0.
type textStep func(p *prose, at int) int

// steps are tried in this order where a word may begin.
var steps = []textStep{(*prose).hardware, (*prose).address6, (*prose).address4}

func (p *prose) run() string {
	for i := 0; i < len(p.in); {
		if end := p.try(i); end > i {
			i = end
			continue
		}
		i = p.next(i)
	}
	if p.done == 0 {
		return p.in
	}
	p.out.WriteString(p.in[p.done:])
	return p.out.String()
}

func (p *prose) try(i int) int {
	if p.names != nil && (i == 0 || !isWordByte(p.in[i-1]) || !isWordByte(p.in[i])) {
		if end := p.name(i); end > 0 {
			return end
		}
	}
	c := p.in[i]
	if !isHex(c) && c != ':' {
		return 0
	}
	for _, s := range steps {
		if end := s(p, i); end > 0 {
			return end
		}
	}
	return 0
}

// next is where something may begin again: the rest of digits, or of a word's
// letters, is passed over.
func (p *prose) next(i int) int {
	j := i + 1
	switch {
	case isDigit(p.in[i]):
		for j < len(p.in) && isDigit(p.in[j]) {
			j++
		}
	case isWordByte(p.in[i]):
		for j < len(p.in) && isWordByte(p.in[j]) && !isDigit(p.in[j]) {
			j++
		}
	}
	return j
}

// put replaces what is from at to end.
func (p *prose) put(at, end int, with string) int {
	p.out.WriteString(p.in[p.done:at])
	p.out.WriteString(with)
	p.done = end
	return end
}

// skip leaves what is before end as it is.
func (p *prose) skip(end int) int { return end }

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isHex(c byte) bool { return isDigit(c) || c|0x20 >= 'a' && c|0x20 <= 'f' }

func isWordByte(c byte) bool {
	return isDigit(c) || c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_' || c >= 0x80
}

// before and after tell whether a word ends at a place.
func (p *prose) before(i int) bool { return i == 0 || !isWordByte(p.in[i-1]) }
func (p *prose) after(i int) bool  { return i >= len(p.in) || !isWordByte(p.in[i]) }
