package reach

import (
	"sort"
	"strings"
)

// span is the byte strings from lo to hi, both included, of one width.
type span struct{ lo, hi string }

// values is a set of byte strings of one width: spans in order that neither
// overlap nor touch. Nil is the empty set.
type values []span

func point(b []byte) values {
	s := string(b)
	return values{{s, s}}
}

func all(width int) values {
	return values{{strings.Repeat("\x00", width), strings.Repeat("\xff", width)}}
}

// union makes a set of spans in any order.
func union(spans []span) values {
	sort.Slice(spans, func(i, j int) bool { return spans[i].lo < spans[j].lo })
	var out values
	for _, s := range spans {
		if s.lo > s.hi {
			continue
		}
		if n := len(out); n > 0 && (s.lo <= out[n-1].hi || adjacent(out[n-1].hi, s.lo)) {
			out[n-1].hi = max(out[n-1].hi, s.hi)
			continue
		}
		out = append(out, s)
	}
	return out
}

func adjacent(a, b string) bool {
	next, ok := step(a, 1)
	return ok && next == b
}

// step is the string after s (by 1) or before it (by -1); false at the end.
func step(s string, by int) (string, bool) {
	b := []byte(s)
	stop := byte(0xff)
	if by < 0 {
		stop = 0
	}
	for i := len(b) - 1; i >= 0; i-- {
		carry := b[i] == stop
		b[i] += byte(by)
		if !carry {
			return string(b), true
		}
	}
	return s, false
}

// not is every other byte string of the width.
func (v values) not(width int) values {
	rest := all(width)[0]
	var out values
	for _, s := range v {
		if before, ok := step(s.lo, -1); ok && rest.lo <= before {
			out = append(out, span{rest.lo, before})
		}
		next, ok := step(s.hi, 1)
		if !ok {
			return out
		}
		rest.lo = next
	}
	return append(out, rest)
}

func (v values) and(u values) values {
	var out values
	for i, j := 0, 0; i < len(v) && j < len(u); {
		lo, hi := max(v[i].lo, u[j].lo), min(v[i].hi, u[j].hi)
		if lo <= hi {
			out = append(out, span{lo, hi})
		}
		if v[i].hi < u[j].hi {
			i++
		} else {
			j++
		}
	}
	return out
}

// meets tells whether a member is one of u.
func (v values) meets(u values) bool {
	for i, j := 0, 0; i < len(v) && j < len(u); {
		if max(v[i].lo, u[j].lo) <= min(v[i].hi, u[j].hi) {
			return true
		}
		if v[i].hi < u[j].hi {
			i++
		} else {
			j++
		}
	}
	return false
}

// within tells whether every member is one of u.
func (v values) within(u values) bool {
	j := 0
	for _, s := range v {
		for j < len(u) && u[j].hi < s.lo {
			j++
		}
		if j == len(u) || s.lo < u[j].lo || s.hi > u[j].hi {
			return false
		}
	}
	return true
}

// head is what the first n bytes of the members can be.
func (v values) head(n int) values {
	if len(v) == 1 {
		return values{{v[0].lo[:n], v[0].hi[:n]}}
	}
	spans := make([]span, 0, len(v))
	for _, s := range v {
		spans = append(spans, span{s.lo[:n], s.hi[:n]})
	}
	return union(spans)
}

// single is the only member.
func (v values) single() (string, bool) {
	if len(v) == 1 && v[0].lo == v[0].hi {
		return v[0].lo, true
	}
	return "", false
}

// few lists the members when there are at most n.
func (v values) few(n int) ([]string, bool) {
	var out []string
	for _, s := range v {
		for at := s.lo; ; {
			if len(out) == n {
				return nil, false
			}
			out = append(out, at)
			next, ok := step(at, 1)
			if at == s.hi || !ok {
				break
			}
			at = next
		}
	}
	return out, true
}
