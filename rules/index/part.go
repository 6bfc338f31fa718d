package index

import (
	"cmp"
	"math/bits"
	"slices"
)

// table finds the rules of a single word by hash.
type table struct {
	// starts is where the entries of each hash begin, and their end.
	starts []int32
	words  []word
	rules  []int32
}

// single is a rule that asks for one word.
type single struct {
	w    word
	rule int32
}

func newTable(list []single) table {
	if len(list) == 0 {
		return table{}
	}
	t := table{
		starts: make([]int32, 1<<bits.Len(uint(len(list)-1))+1),
		words:  make([]word, len(list)), rules: make([]int32, len(list)),
	}
	last := func(w word) *int32 { return &t.starts[t.bucket(w)+1] }
	for _, s := range list {
		*last(s.w)++
	}
	for i := 1; i < len(t.starts); i++ {
		t.starts[i] += t.starts[i-1]
	}
	slices.SortFunc(list, func(a, b single) int {
		return cmp.Or(cmp.Compare(t.bucket(a.w), t.bucket(b.w)), a.w.compare(b.w), cmp.Compare(a.rule, b.rule))
	})
	for i, s := range list {
		t.words[i], t.rules[i] = s.w, s.rule
	}
	return t
}

func (t *table) bucket(w word) int { return int(w.hash(0) & uint64(len(t.starts)-2)) }

// of are the rules of w, in order.
func (t *table) of(w word) []int32 {
	if len(t.starts) == 0 {
		return nil
	}
	b := t.bucket(w)
	from, to := t.starts[b], t.starts[b+1]
	for from < to && t.words[from] != w {
		from++
	}
	end := from
	for end < to && t.words[end] == w {
		end++
	}
	return t.rules[from:end]
}

// sorter gathers the rules of one part.
type sorter struct {
	all     []int32
	singles []single
	ranges  []ranged
}

type ranged struct {
	span
	rule   int32
	covers int
}

func (s *sorter) add(rule int32, spans []span) {
	s.all = append(s.all, rule)
	for _, x := range spans {
		if x.lo == x.hi {
			s.singles = append(s.singles, single{x.lo, rule})
		} else {
			s.ranges = append(s.ranges, ranged{span: x, rule: rule})
		}
	}
}

// part is the part, and the rules that it has no room for: those of the widest
// intervals.
func (s *sorter) part(field, n int) (p part, left []int32) {
	p = part{field: field, all: s.all, exact: newTable(s.singles)}
	if len(s.ranges) == 0 {
		return p, nil
	}
	for _, r := range s.ranges {
		p.bounds = append(p.bounds, r.lo)
		if next, ok := r.hi.step(n); ok {
			p.bounds = append(p.bounds, next)
		}
	}
	slices.SortFunc(p.bounds, word.compare)
	p.bounds = slices.Compact(p.bounds)
	for i := range s.ranges {
		r := &s.ranges[i]
		r.covers = p.after(r.hi) - p.after(r.lo) + 1
	}
	slices.SortFunc(s.ranges, func(a, b ranged) int { return cmp.Compare(a.covers, b.covers) })
	p.within = make([][]int32, len(p.bounds))
	room := roomPerRule * len(s.ranges)
	for _, r := range s.ranges {
		if room -= r.covers; room < 0 {
			left = append(left, r.rule)
			continue
		}
		for i := p.after(r.lo) - 1; i < p.after(r.hi); i++ {
			p.within[i] = append(p.within[i], r.rule)
		}
	}
	for i := range p.within {
		slices.Sort(p.within[i])
		p.within[i] = slices.Compact(p.within[i])
	}
	slices.Sort(left)
	return p, slices.Compact(left)
}

// after is how many intervals begin at w or before.
func (p *part) after(w word) int {
	lo, hi := 0, len(p.bounds)
	for lo < hi {
		if mid := int(uint(lo+hi) >> 1); w.less(p.bounds[mid]) {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return lo
}
