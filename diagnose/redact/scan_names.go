package redact

import (
	"encoding/hex"
	"html"
	"strings"
)

const (
	// leastScan is how long a name has to be to be looked for.
	leastScan = 4
	// maxScanName is how much of a name is looked for.
	maxScanName = 256
)

// scanNames finds names, as wordIndex does, in a file.
type scanNames struct {
	index wordIndex
	// heads are the first bytes of first words: most words are passed by with
	// them.
	heads heads
	// hex are names by their first four bytes; hexHeads the first two.
	hex      map[uint32][]Name
	hexHeads heads
	of       int // names of the Mapper
}

// scanNames is made once, as long as no name comes.
func (m *Mapper) scanNames() *scanNames {
	if m.toScan == nil || m.toScan.of != len(m.names.tokens) {
		m.toScan = newScanNames(m)
	}
	return m.toScan
}

func newScanNames(m *Mapper) *scanNames {
	x := &scanNames{hex: map[uint32][]Name{}, of: len(m.names.tokens)}
	for name, token := range m.names.tokens {
		if token == name.Text || len(name.Text) < leastScan || !isDistinct(name.Text) || m.ordinary[name.Text] {
			continue
		}
		if _, is := m.names.back[name.Text]; is {
			continue // a token of another
		}
		for _, form := range []string{name.Text, jsonText(name.Text), html.EscapeString(name.Text)} {
			if form = cutName(form); isDistinct(form) {
				x.index.put(name.Kind, form, name.Text)
				first, _ := firstWord(form)
				x.heads.add(first[0], second(first))
			}
		}
		head := uint32(name.Text[0])<<24 | uint32(name.Text[1])<<16 | uint32(name.Text[2])<<8 | uint32(name.Text[3])
		x.hex[head] = append(x.hex[head], name)
		x.hexHeads.add(name.Text[0], name.Text[1])
	}
	return x
}

// cutName is the beginning of a name that is long, up to the end of a word.
func cutName(s string) string {
	if len(s) <= maxScanName {
		return s
	}
	i := maxScanName
	for i > maxScanName/2 && isWordByte(s[i]) {
		i--
	}
	return s[:i]
}

func second(word string) byte {
	if len(word) < 2 {
		return 0
	}
	return word[1]
}

var wordBytes = func() (t [256]bool) {
	for c := range 256 {
		t[c] = isWordByte(byte(c))
	}
	return t
}()

// words looks at the words that begin in a part of the text.
func (x *scanNames) words(s *scan, text string, from, until int) {
	if len(x.index.names) == 0 {
		return
	}
	for i := from; i < until; i++ {
		if !wordBytes[text[i]] || i > 0 && wordBytes[text[i-1]] {
			continue
		}
		next := byte(0)
		if i+1 < len(text) && wordBytes[text[i+1]] {
			next = text[i+1]
		}
		end := i + 1
		for end < len(text) && wordBytes[text[end]] && end-i <= maxScanName {
			end++
		}
		if x.heads.has(text[i], next) {
			x.word(s, text, i, end)
		}
		i = min(end, until) - 1
	}
}

func (x *scanNames) word(s *scan, text string, at, end int) {
	for _, n := range x.index.lengths[text[at:end]] {
		from := at - n.lead
		to := from + n.all
		if from < 0 || to > len(text) || wordBytes[text[to-1]] && to < len(text) && wordBytes[text[to]] {
			continue
		}
		name, has := x.index.names[text[from:to]]
		if !has || isKey(text, from, to) {
			continue
		}
		if _, token := s.m.names.back[text[from:to]]; !token {
			s.hit(from, name.kind.String(), "text", name.token)
		}
		return
	}
}

// isKey tells whether a word is a key of JSON.
func isKey(text string, from, to int) bool {
	return from > 0 && text[from-1] == '"' && strings.HasPrefix(text[to:], `":`)
}

// digits looks for a name in hexadecimal whose first bytes are at a place.
func (x *scanNames) digits(s *scan, text string, at int, head uint32) {
	if !x.hexHeads.has(byte(head>>24), byte(head>>16)) {
		return
	}
	for _, name := range x.hex[head] {
		want := name.Text[:min(len(name.Text), maxScanName)]
		if at+2*len(want) > len(text) {
			continue
		}
		b, err := hex.DecodeString(text[at : at+2*len(want)])
		if err == nil && string(b) == want {
			s.hit(at, name.Kind.String(), "hex", name.Text)
			return
		}
	}
}
