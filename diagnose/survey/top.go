package survey

import (
	"cmp"
	"slices"
)

// top counts keys in bounded memory: exact as long as there are at most keep
// different ones, and beyond that with an error that it knows (Misra and Gries,
// Finding repeated elements; here many are given up at a time).
type top[K comparable] struct {
	m    map[K]*cell
	keep int
	// cut is by how much a key may have been counted too little: at most the sum
	// of all, divided by keep.
	cut     uint64
	scratch []uint64
}

// cell is one key's count, what else is counted with it, and the place of an
// example.
type cell struct {
	n, kept uint64
	flow    int
}

func newTop[K comparable](keep int) *top[K] {
	return &top[K]{m: make(map[K]*cell, 2*keep), keep: keep}
}

// add counts k once, and tells whether it is new.
func (t *top[K]) add(k K) (c *cell, fresh bool) {
	if c = t.m[k]; c != nil {
		c.n++
		return c, false
	}
	if t.full() {
		t.purge()
	}
	c = &cell{n: 1}
	t.m[k] = c
	return c, true
}

func (t *top[K]) full() bool { return len(t.m) >= 2*t.keep }

// purge takes from every count that of the key which comes after the keep
// largest, and gives up those that are left with nothing: at least half of them.
func (t *top[K]) purge() {
	t.scratch = t.scratch[:0]
	for _, c := range t.m {
		t.scratch = append(t.scratch, c.n)
	}
	slices.Sort(t.scratch)
	less := t.scratch[len(t.scratch)-t.keep-1]
	for k, c := range t.m {
		if c.n <= less {
			delete(t.m, k)
			continue
		}
		c.n -= less
	}
	t.cut += less
}

// Counted is a key with how many flows it has: at least N, at most N + Error.
type Counted[K comparable] struct {
	Key   K
	N     uint64
	Error uint64
}

// largest are the n keys that have most, equals in the order of less.
func (t *top[K]) largest(n int, less func(a, b K) int) []Counted[K] {
	out := make([]Counted[K], 0, len(t.m))
	for k, c := range t.m {
		out = append(out, Counted[K]{k, c.n, t.cut})
	}
	slices.SortFunc(out, func(a, b Counted[K]) int {
		return cmp.Or(-cmp.Compare(a.N, b.N), less(a.Key, b.Key))
	})
	return out[:min(n, len(out))]
}
