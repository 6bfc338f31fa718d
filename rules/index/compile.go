package index

import (
	"math/bits"
	"slices"

	"github.com/ntdiag/ntdiag/rules"
)

// Bounds of one chain's filter: what does not fit is looked at for every
// packet.
const (
	maxFields = 16
	maxGuards = 32
	// roomPerRule bounds how often rules stand in elementary intervals.
	roomPerRule = 8
)

// test is one condition that a rule asks before it does anything.
type test struct {
	cond  rules.Condition
	field int // -1 for none
	loud  bool
	// spans, as indexes into compiler.spans, are what it can hold for; none
	// where it tells no rules apart.
	from, to int
}

type compiler struct {
	chain  Chain
	asked  tally
	guards map[guardKey]int
	// tests and spans are those of one rule.
	tests []test
	spans []span
}

// compile makes the filter of a chain.
func compile(list []*rules.Rule) *Chain {
	b := &compiler{guards: map[guardKey]int{}, asked: newTally(len(list))}
	b.chain.n = len(list)
	for _, r := range list {
		b.read(r)
		for i := range b.tests {
			t := &b.tests[i]
			for _, s := range b.spans[t.from:t.to] {
				b.asked.add(t.field, s)
			}
		}
	}
	var sorters [maxFields]sorter
	for i, r := range list {
		b.read(r)
		at := b.choose()
		if at < 0 || !b.guard(int32(i), b.tests[:at], b.tests[at].loud) {
			b.chain.always = append(b.chain.always, int32(i))
			continue
		}
		t := &b.tests[at]
		sorters[t.field].add(int32(i), b.spans[t.from:t.to])
	}
	return b.finish(&sorters)
}

// finish puts the parts together.
func (b *compiler) finish(sorters *[maxFields]sorter) *Chain {
	c := &b.chain
	for f := range c.fields {
		if s := &sorters[f]; len(s.all) > 0 {
			p, left := s.part(f, c.fields[f].n)
			c.fields[f].needed = true
			c.parts = append(c.parts, p)
			c.always = append(c.always, left...)
		}
	}
	for i := range c.guards {
		if f := c.guards[i].field; f >= 0 {
			c.fields[f].needed = true
		}
	}
	slices.Sort(c.always)
	if len(c.always)*4 > c.n*3 { // it saves little
		return &Chain{}
	}
	return c
}

// tally counts how many conditions ask for the same. Two that share a place are
// counted together: what comes of it is a choice less good.
type tally []int32

func newTally(rules int) tally { return make(tally, 1<<bits.Len(uint(max(4*rules, 500)))) }

func (t tally) at(field int, s span) *int32 {
	return &t[s.lo.hash(s.hi.hash(uint64(field)))&uint64(len(t)-1)]
}

func (t tally) add(field int, s span) { *t.at(field, s)++ }

// read notes what a rule asks before it does anything.
func (b *compiler) read(r *rules.Rule) {
	b.tests, b.spans = b.tests[:0], b.spans[:0]
	loud := false
	for _, s := range r.Statements {
		switch LookAt(s) {
		case Ends:
			return
		case Passes:
			continue
		case Remarks:
			loud = true
			continue
		case AsksLoud:
			loud = true
		}
		c := s.(rules.Condition)
		t := test{cond: c, field: -1, loud: loud, from: len(b.spans), to: len(b.spans)}
		if k, x, ok := fieldOf(c); ok {
			if t.field = b.field(k, x); t.field >= 0 {
				if spans, ok := spansOf(c, k.n, b.spans); ok {
					b.spans = spans
				}
				t.to = max(len(b.spans), t.from)
			}
		}
		b.tests = append(b.tests, t)
	}
}

// field is the number of a field, -1 where there are too many.
func (b *compiler) field(k fieldKey, x rules.Expr) int {
	for i := range b.chain.fields {
		if b.chain.fields[i].fieldKey == k {
			return i
		}
	}
	if len(b.chain.fields) == maxFields {
		return -1
	}
	b.chain.fields = append(b.chain.fields, field{fieldKey: k, x: x})
	return len(b.chain.fields) - 1
}

// choose is the condition that tells the rule apart from most others: that of
// which the fewest ask the same; of equal ones a single value before intervals,
// and the first. -1 where none does.
func (b *compiler) choose() int {
	best, rank := -1, int32(0)
	for i := range b.tests {
		t := &b.tests[i]
		if t.from == t.to {
			continue
		}
		r := int32(0)
		for _, s := range b.spans[t.from:t.to] {
			n := 2 * *b.asked.at(t.field, s)
			if s.lo != s.hi {
				n++
			}
			r = max(r, n)
		}
		if best < 0 || r < rank {
			best, rank = i, r
		}
	}
	return best
}

// guardKey tells the conditions of guards apart.
type guardKey struct {
	field  int
	kind   uint8
	lo, hi word
	mask   word
	size   int
	loud   bool
	cond   rules.Condition // where the rest does not tell
}

const (
	guardEvery uint8 = iota // all conditions on the field
	guardRange
	guardInvert
	guardMatch // plus the operator
)

func keyOfGuard(t *test, n int, loud bool) guardKey {
	k := guardKey{field: t.field, loud: loud, cond: t.cond}
	if t.field < 0 {
		return k
	}
	switch c := t.cond.(type) {
	case *rules.Match:
		if len(c.Right) <= n {
			_, _, mask, _ := place(c.Left)
			k.kind, k.lo, k.mask, k.size, k.cond = guardMatch+uint8(c.Op), wordOf(c.Right), mask, len(c.Right), nil
		}
	case *rules.MatchRange:
		if len(c.Lo) == n && len(c.Hi) == n {
			_, _, mask, _ := place(c.Left)
			k.kind, k.lo, k.hi, k.mask, k.cond = guardRange, wordOf(c.Lo), wordOf(c.Hi), mask, nil
			if c.Invert {
				k.kind = guardInvert
			}
		}
	}
	return k
}

// guard has a rule guarded by the conditions before the one that it is told
// apart by; false where there are too many of them.
func (b *compiler) guard(rule int32, tests []test, loud bool) bool {
	var keys [8]guardKey
	if len(tests) > len(keys) {
		return false
	}
	for i := range tests {
		t := &tests[i]
		n := 0
		if t.field >= 0 {
			n = b.chain.fields[t.field].n
		}
		keys[i] = keyOfGuard(t, n, loud)
		if _, there := b.guards[keys[i]]; there || len(b.guards) < maxGuards {
			continue
		}
		if t.field < 0 {
			return false
		}
		keys[i] = guardKey{field: t.field} // a few more, one for each field
	}
	for i, k := range keys[:len(tests)] {
		at, there := b.guards[k]
		if !there {
			g := guard{field: k.field, cond: tests[i].cond, loud: loud}
			if k == (guardKey{field: k.field}) {
				g.cond = nil
			}
			at = len(b.chain.guards)
			b.guards[k], b.chain.guards = at, append(b.chain.guards, g)
		}
		g := &b.chain.guards[at]
		if n := len(g.rules); n == 0 || g.rules[n-1] != rule {
			g.rules = append(g.rules, rule)
		}
	}
	return true
}
