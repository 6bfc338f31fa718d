package index

import "github.com/ntdiag/ntdiag/rules"

// span is an interval of words, both ends included.
type span struct{ lo, hi word }

// maxSpans bounds the intervals that a condition is made of: of more it is not
// known what it holds for.
const maxSpans = 64

// fieldOf is the field that a condition looks at, where a value of it that is
// known decides the condition whatever else the packet is.
func fieldOf(c rules.Condition) (k fieldKey, x rules.Expr, ok bool) {
	switch c := c.(type) {
	case *rules.Match:
		k, x, _, ok = place(c.Left)
	case *rules.MatchRange:
		k, x, _, ok = place(c.Left)
	case *rules.InSet:
		if ok = decides(c.Set); ok {
			k, x, _, ok = place(c.Key)
		}
	case *rules.AnyOf:
		for i, part := range c.Parts {
			pk, px, its := fieldOf(part)
			if !its || i > 0 && pk != k {
				return k, x, false
			}
			k, x, ok = pk, px, true
		}
	}
	return k, x, ok
}

// decides tells whether a set answers for good: it cannot change, it is whole,
// and no element has a condition of its own.
func decides(s *rules.Set) bool {
	if s == nil || s.Changeable() || s.Missing != "" || s.Flags&(rules.SetEval|rules.SetTimeout) != 0 {
		return false
	}
	for i := range s.Elements {
		if len(s.Elements[i].Exprs) > 0 {
			return false
		}
	}
	return true
}

// spansOf appends what words of the field the condition can hold for, false
// where they are too many or not known. What it can hold for may be less.
func spansOf(c rules.Condition, n int, to []span) ([]span, bool) {
	switch c := c.(type) {
	case *rules.Match:
		if s, ok := matchSpan(c, n); ok {
			return append(to, s), true
		}
	case *rules.MatchRange:
		if s, ok := betweenSpan(c.Left, c.Lo, c.Hi, n); ok && !c.Invert {
			return append(to, s), true
		}
	case *rules.InSet:
		if !c.Invert {
			return setSpans(c, n, to)
		}
	case *rules.AnyOf:
		if c.Invert || len(c.Parts) > maxSpans {
			return to, false
		}
		ok := len(c.Parts) > 0
		for _, part := range c.Parts {
			if ok {
				to, ok = spansOf(part, n, to)
			}
		}
		return to, ok
	}
	return to, false
}

// matchSpan follows Value.Compare.
func matchSpan(m *rules.Match, n int) (span, bool) {
	_, _, prefix, ok := place(m.Left)
	if !ok || len(m.Right) == 0 || len(m.Right) > n {
		return span{}, false
	}
	c, all := wordOf(m.Right), ones(n)
	if prefix != all {
		// x & prefix == c
		if m.Op != rules.CmpEq || len(m.Right) != n || prefix == (word{}) || c.andNot(prefix) != (word{}) {
			return span{}, false
		}
		return span{c, c.or(all.andNot(prefix))}, true
	}
	if m.Op == rules.CmpEq { // of the first bytes alone
		return span{c, c.or(all.andNot(ones(len(m.Right))))}, true
	}
	if len(m.Right) != n {
		return span{}, false
	}
	s := span{hi: all}
	ok = false
	switch m.Op {
	case rules.CmpLt:
		s.hi, ok = c.back(n)
	case rules.CmpLte:
		s.hi, ok = c, true
	case rules.CmpGt:
		s.lo, ok = c.step(n)
	case rules.CmpGte:
		s.lo, ok = c, true
	}
	return s, ok
}

func betweenSpan(x rules.Expr, lo, hi []byte, n int) (span, bool) {
	_, _, prefix, ok := place(x)
	s := span{wordOf(lo), wordOf(hi)}
	return s, ok && prefix == ones(n) && len(lo) == n && len(hi) == n && !s.hi.less(s.lo)
}

func setSpans(c *rules.InSet, n int, to []span) ([]span, bool) {
	if len(c.Set.Elements) == 0 || len(c.Set.Elements) > maxSpans || len(c.Set.FieldLens) > 1 {
		return to, false
	}
	for i := range c.Set.Elements {
		e := &c.Set.Elements[i]
		end := e.KeyEnd
		if end == nil {
			end = e.Key
		}
		s, ok := betweenSpan(c.Key, e.Key, end, n)
		if !ok { // a catchall has no key
			return to, false
		}
		to = append(to, s)
	}
	return to, true
}
