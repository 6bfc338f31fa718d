package xt

import "strings"

// word is one word of a line. Quoted ones are never an option.
type word struct {
	s      string
	quoted bool
	raw    string // as it stands in the line
}

// is tells whether it is one of the options.
func (w word) is(names ...string) bool {
	if w.quoted {
		return false
	}
	for _, n := range names {
		if w.s == n {
			return true
		}
	}
	return false
}

// splitWords takes a line apart as iptables-restore does: what stands between
// double quotes is one word, in which a backslash takes the next character as
// it is. Single quotes are a shell's, and open only at the front of a word.
func splitWords(s string) []word {
	var out []word
	var b strings.Builder
	var quote byte
	open, quoted := false, false // a word has begun; it has had quotes
	from := 0
	end := func(at int) {
		if open {
			out = append(out, word{b.String(), quoted, s[from:at]})
		}
		b.Reset()
		open, quoted = false, false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !open {
			from = i
		}
		switch {
		case quote == '"' && c == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			b.WriteByte(c)
		case c == '"' || c == '\'' && !open:
			quote, open, quoted = c, true, true
		case c == ' ' || c == '\t':
			end(i)
		default:
			open = true
			b.WriteByte(c)
		}
	}
	end(len(s))
	return out
}

// joinWords is the words as they were given.
func joinWords(words []word) string {
	out := make([]string, len(words))
	for i, w := range words {
		if out[i] = w.s; w.raw != "" {
			out[i] = w.raw
		}
	}
	return strings.Join(out, " ")
}
