package bundle

import "unicode/utf8"

// utf8Check looks whether what passes is UTF-8.
type utf8Check struct {
	rest [utf8.UTFMax]byte
	n    int
}

func (u *utf8Check) add(b []byte) bool {
	for u.n > 0 && len(b) > 0 {
		u.rest[u.n] = b[0]
		u.n++
		b = b[1:]
		if utf8.FullRune(u.rest[:u.n]) {
			if !utf8.Valid(u.rest[:u.n]) {
				return false
			}
			u.n = 0
		}
	}
	if utf8.Valid(b) {
		return true
	}
	// a character that goes on in what is to come
	for back := 1; back < utf8.UTFMax && back <= len(b); back++ {
		if tail := b[len(b)-back:]; utf8.RuneStart(tail[0]) {
			if utf8.FullRune(tail) || !utf8.Valid(b[:len(b)-back]) {
				return false
			}
			u.n = copy(u.rest[:], tail)
			return true
		}
	}
	return false
}

func (u *utf8Check) whole() bool { return u.n == 0 }

// depthCheck looks how deep JSON is nested, without reading it otherwise.
type depthCheck struct {
	depth          int
	quoted, escape bool
}

func (d *depthCheck) add(b []byte) bool {
	for _, c := range b {
		switch {
		case d.escape:
			d.escape = false
		case d.quoted:
			d.escape = c == '\\'
			d.quoted = c != '"'
		case c == '"':
			d.quoted = true
		case c == '{' || c == '[':
			if d.depth++; d.depth > maxDepth {
				return false
			}
		case c == '}' || c == ']':
			d.depth--
		}
	}
	return true
}
