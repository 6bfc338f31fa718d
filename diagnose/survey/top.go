package survey

import (
	"cmp"
	"slices"
)

// top counts keys in bounded memory: exact as long as there are at most keep
// different ones, and beyond that with an error that it knows (Misra and Gries,
// Finding repeated elements; here many are given up at a time).
type top[K comparable] struct {
	m    map[K]int32 // place in cells
	keep int
	// cut is by how much a key may have been counted too little: at most the sum
	// of all, divided by keep.
	cut     uint64
	cells   []cell
	unused  []int32
	scratch []uint64
}

// cell is one key's count, what else is counted with it, and the place of an
// example.
type cell struct {
	n, kept uint64
	flow    int
}

func newTop[K comparable](keep int) *top[K] {
	return &top[K]{m: make(map[K]int32, 2*keep), keep: keep, cells: make([]cell, 0, 2*keep)}
}

// add counts k once, and tells whether it is new.
func (t *top[K]) add(k K) (c *cell, fresh bool) {
	if i, ok := t.m[k]; ok {
		c = &t.cells[i]
		c.n++
		return c, false
	}
	if t.full() {
		t.purge()
	}
	i := int32(len(t.cells))
	if n := len(t.unused); n > 0 {
		i, t.unused = t.unused[n-1], t.unused[:n-1]
	} else {
		t.cells = append(t.cells, cell{})
	}
	t.m[k], t.cells[i] = i, cell{n: 1}
	return &t.cells[i], true
}

func (t *top[K]) full() bool { return len(t.m) >= 2*t.keep }

// get is what is counted of k, nil for nothing.
func (t *top[K]) get(k K) *cell {
	if i, ok := t.m[k]; ok {
		return &t.cells[i]
	}
	return nil
}

// purge takes from every count that of the key which comes after the keep
// largest, and gives up those that are left with nothing: at least half of them.
func (t *top[K]) purge() {
	t.scratch = t.scratch[:0]
	for _, i := range t.m {
		t.scratch = append(t.scratch, t.cells[i].n)
	}
	slices.Sort(t.scratch)
	less := t.scratch[len(t.scratch)-t.keep-1]
	for k, i := range t.m {
		if t.cells[i].n <= less {
			delete(t.m, k)
			t.unused = append(t.unused, i)
			continue
		}
		t.cells[i].n -= less
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
	for k, i := range t.m {
		out = append(out, Counted[K]{k, t.cells[i].n, t.cut})
	}
	slices.SortFunc(out, func(a, b Counted[K]) int {
		return cmp.Or(-cmp.Compare(a.N, b.N), less(a.Key, b.Key))
	})
	return out[:min(n, len(out))]
}
