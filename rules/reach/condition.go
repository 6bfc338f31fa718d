package reach

import (
	"slices"

	"github.com/ntdiag/ntdiag/rules"
)

// asked is a condition in atoms. need holds of every packet that passes it;
// when exact, every packet of which need holds passes it. With ways, those are
// the packets of which one of them holds, and need what they have in common.
type asked struct {
	need  conj
	exact bool
	ways  []conj
}

var nothingKnown = asked{}

// maxWays bounds how many elements of one set are looked at one by one.
const maxWays = 64

// condition turns a condition into atoms.
func (a *analysis) condition(c rules.Condition) asked {
	switch c := c.(type) {
	case *rules.Match:
		return a.match(c)
	case *rules.MatchRange:
		f := a.fieldOf(c.Left)
		if f == nil || len(c.Lo) != f.width || len(c.Hi) != f.width {
			return nothingKnown
		}
		v := union([]span{{string(c.Lo), string(c.Hi)}})
		if c.Invert {
			v = v.not(f.width)
		}
		return one(f, v)
	case *rules.InSet:
		return a.inSet(c.Key, c.Set, c.Invert)
	case *rules.AllOf:
		out := asked{exact: true}
		for _, p := range c.Parts {
			out = out.and(a.condition(p))
		}
		return out
	case *rules.AnyOf:
		return a.anyOf(c)
	case *rules.NotOf:
		return a.condition(c.Part).not()
	case *rules.Fixed:
		if c.Holds {
			return asked{exact: true}
		}
		return asked{need: conj{{f: a.given(never, 1)}}, exact: true}
	case *rules.Chance:
		if c.Hits >= c.Of && !c.Invert {
			return asked{exact: true}
		}
	}
	return nothingKnown
}

// never is the key of a field that has no value: what asks for it never holds.
const never = "never"

func one(f *field, v values) asked { return asked{need: conj{{f: f, v: v}}, exact: true} }

func (q asked) and(r asked) asked {
	out := asked{need: append(slices.Clone(q.need), r.need...), exact: q.exact && r.exact}
	switch {
	case len(q.ways) > 0 && len(r.ways) > 0:
		out.exact = false
	case len(q.ways) > 0:
		out.ways = joined(q.ways, r.need)
	case len(r.ways) > 0:
		out.ways = joined(r.ways, q.need)
	}
	return out
}

func joined(ways []conj, with conj) []conj {
	var out []conj
	for _, w := range ways {
		out = append(out, append(slices.Clone(w), with...))
	}
	return out
}

// not is known for a condition on one field alone. It holds where the field is
// not there, too.
func (q asked) not() asked {
	if !q.exact || len(q.need) != 1 || len(q.ways) > 0 {
		return nothingKnown
	}
	b := q.need[0]
	b.v, b.orAbsent = b.v.not(b.f.width), !b.orAbsent && b.f.key != never
	return asked{need: conj{b}, exact: true}
}

// anyOf is kept where all parts are about one field.
func (a *analysis) anyOf(c *rules.AnyOf) asked {
	var out asked
	for i, p := range c.Parts {
		q := a.condition(p)
		if !q.exact || len(q.ways) > 0 || len(q.need) != 1 {
			return nothingKnown
		}
		if i == 0 {
			out = q
			continue
		}
		b := &out.need[0]
		if q.need[0].f.id != b.f.id || q.need[0].f.width != b.f.width {
			return nothingKnown
		}
		b.v = union(append(slices.Clone(b.v), q.need[0].v...))
		b.orAbsent = b.orAbsent || q.need[0].orAbsent
		b.sets = append(slices.Clone(b.sets), q.need[0].sets...)
	}
	if len(c.Parts) == 0 {
		return nothingKnown
	}
	if c.Invert {
		return out.not()
	}
	return out
}

// match follows nft_cmp_eval: bytes are compared as memcmp does; a constant
// that is shorter than the field leaves the rest open.
func (a *analysis) match(m *rules.Match) asked {
	if b, ok := m.Left.(*rules.Bitwise); ok && (m.Op == rules.CmpEq || m.Op == rules.CmpNeq) {
		if q, ok := a.prefix(b, m); ok {
			return q
		}
	}
	f := a.fieldOf(m.Left)
	if f == nil || len(m.Right) == 0 || len(m.Right) > f.width {
		return nothingKnown
	}
	lo, hi := string(m.Right), string(m.Right)
	for len(lo) < f.width {
		lo, hi = lo+"\x00", hi+"\xff"
	}
	eq := values{{lo, hi}}
	whole := all(f.width)[0]
	upTo := func(end string) values { return union([]span{{whole.lo, end}}) }
	switch m.Op {
	case rules.CmpEq:
		return one(f, eq)
	case rules.CmpNeq:
		return one(f, eq.not(f.width))
	case rules.CmpLte:
		return one(f, upTo(hi))
	case rules.CmpGt:
		return one(f, upTo(hi).not(f.width))
	case rules.CmpLt:
		return one(f, union([]span{{lo, whole.hi}}).not(f.width))
	case rules.CmpGte:
		return one(f, union([]span{{lo, whole.hi}}))
	}
	return nothingKnown
}

// prefix is an address compared with a prefix: a range of the whole field.
func (a *analysis) prefix(b *rules.Bitwise, m *rules.Match) (asked, bool) {
	f := a.fieldOf(b)
	if f == nil || len(m.Right) != f.width || !f.prefixed() {
		return asked{}, false
	}
	lo, hi := []byte(m.Right), make([]byte, f.width)
	for i := range lo {
		lo[i] = m.Right[i] ^ f.xor[i]
		if lo[i]&^f.mask[i] != 0 {
			return asked{}, false
		}
		hi[i] = lo[i] | ^f.mask[i]
	}
	v := values{{string(lo), string(hi)}}
	if m.Op == rules.CmpNeq {
		v = v.not(f.width)
	}
	return one(f.of, v), true
}

// inSet follows nft_lookup_eval. Sets that come and go with the traffic, and
// elements with a limit of their own, say nothing.
func (a *analysis) inSet(key rules.Expr, s *rules.Set, invert bool) asked {
	if s == nil || s.Missing != "" || a.fed[s] || s.Flags&(rules.SetEval|rules.SetTimeout) != 0 || limited(s) {
		return nothingKnown
	}
	var named []*rules.Set
	if s.Changeable() {
		named = []*rules.Set{s}
	}
	if parts, ok := key.(*rules.Concat); ok {
		if invert {
			return nothingKnown
		}
		return a.inConcat(parts, s, named)
	}
	f := a.fieldOf(key)
	if f == nil {
		return nothingKnown
	}
	v, ok := elements(s, f.width)
	if !ok {
		return nothingKnown
	}
	if invert {
		v = v.not(f.width)
	}
	return asked{need: conj{{f: f, v: v, sets: named}}, exact: true}
}

func limited(s *rules.Set) bool {
	limits := func(ss []rules.Statement) bool {
		return slices.ContainsFunc(ss, func(s rules.Statement) bool { _, ok := s.(*rules.Counter); return !ok })
	}
	return limits(s.Exprs) || slices.ContainsFunc(s.Elements, func(e rules.Element) bool { return limits(e.Exprs) || e.Timeout != 0 })
}

// elements are the keys of a set without concatenation.
func elements(s *rules.Set, width int) (values, bool) {
	spans := make([]span, 0, len(s.Elements))
	for i := range s.Elements {
		e := &s.Elements[i]
		if e.Catchall {
			return all(width), true
		}
		sp, ok := keySpan(e.Key, e.KeyEnd, 0, width)
		if !ok {
			return nil, false
		}
		spans = append(spans, sp)
	}
	return union(spans), true
}

// keySpan is width bytes from off of an element's key. Keys may be longer than
// the field, padded with zeros (registers are whole words).
func keySpan(key, end []byte, off, width int) (span, bool) {
	if end == nil {
		end = key
	}
	if len(key) < off+width || len(end) < off+width {
		return span{}, false
	}
	return span{string(key[off : off+width]), string(end[off : off+width])}, true
}

// inConcat gives each field the values that it has in any element, and each
// element as a way of its own.
func (a *analysis) inConcat(c *rules.Concat, s *rules.Set, named []*rules.Set) asked {
	out := asked{exact: len(s.Elements) <= maxWays}
	common := make([][]span, len(c.Parts))
	fields := make([]*field, len(c.Parts))
	for i, p := range c.Parts {
		if fields[i] = a.fieldOf(p); fields[i] == nil {
			out.exact = false
		}
	}
	for i := range s.Elements {
		e := &s.Elements[i]
		if e.Catchall {
			return nothingKnown
		}
		var way conj
		off := 0
		for j, p := range c.Parts {
			w := p.Width()
			if f := fields[j]; f != nil && f.width == w {
				sp, ok := keySpan(e.Key, e.KeyEnd, off, w)
				if !ok {
					return nothingKnown
				}
				common[j] = append(common[j], sp)
				way = append(way, atom{f: f, v: union([]span{sp}), sets: named})
			} else {
				out.exact = false
			}
			off += (w + 3) &^ 3
		}
		if out.exact {
			out.ways = append(out.ways, way)
		}
	}
	for j, f := range fields {
		if f != nil && (len(common[j]) > 0 || len(s.Elements) == 0) {
			out.need = append(out.need, atom{f: f, v: union(common[j]), sets: named})
		}
	}
	if len(s.Elements) == 1 && out.exact {
		out.ways = nil // need says it all
	}
	return out
}
