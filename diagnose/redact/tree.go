package redact

import (
	"crypto/sha256"
	"slices"
)

// tree permutes words of a width. It is an automorphism of their binary tree:
// at each node the two branches change places or do not, as a keyed function
// of the node says. So words that begin with n bits alike do so afterwards.
//
// A mark forbids the change at the nodes along a path. flat forbids it at all
// nodes of a depth. With ties, whether a node changes hangs on the bits after
// the deepest tie above it alone: what follows it is mapped alike everywhere.
// Loose blocks know no ties; still ones stay as they are.
type tree struct {
	key   Key
	name  byte // sets the trees of one key apart
	width int
	flat  word
	ties  []int
	marks []mark
	loose []block
	still []block

	tied, free []level   // free has no ties; the same as tied where there are none
	some       [256]bool // a still or a loose block holds words that begin with the byte
}

// mark forbids changes at the nodes of the path to a word, from depth from to
// before depth to.
type mark struct {
	at       word
	from, to int
}

// level is up to 8 depths of the tree, cut at the ties.
type level struct {
	start, n int
	base     int    // the tie above, 0 for none: bits before it do not count
	marks    []mark // at is without the bits before base, and sorted
	cache    []chunk
	most     int            // entries of cache, a power of two
	misses   int            // since cache got its size
	big      map[word]flips // of chunks that many marks are in
}

// flips has a bit for each node of a chunk: 1 is its top, 2i and 2i+1 are what
// is below i.
type flips [4]uint64

type chunk struct {
	at    word
	used  bool
	flips flips
}

const (
	// cacheBits bounds how many chunks a level remembers, at 56 bytes each; a
	// level of IPv4 may remember 1<<16.
	cacheBits = 12
	// manyMarks of a chunk are not gone through twice.
	manyMarks = 256
)

// path forbids the changes that would move w away, from depth from on.
func (t *tree) path(w word, from, to int) {
	if from < to {
		t.marks = append(t.marks, mark{w.first(to), from, to})
	}
}

// closed makes a block's words stay in it.
func (t *tree) closed(b block) { t.path(b.at, 0, b.n) }

// keep makes a block's words stay as they are.
func (t *tree) keep(b block) {
	t.closed(b)
	if b.n < t.width {
		t.still = append(t.still, b)
	}
}

// build is called when all is said, before the first word.
func (t *tree) build() {
	slices.Sort(t.ties)
	t.ties = slices.Compact(t.ties)
	t.free = t.levels(nil, t.marks)
	for _, b := range slices.Concat(t.still, t.loose) {
		last := b.at.or(ones(8).without(ones(min(b.n, 8))))
		for i := b.at.hi >> 56; i <= last.hi>>56; i++ {
			t.some[i] = true
		}
	}
	if len(t.ties) == 0 {
		t.tied = t.free
		return
	}
	for _, b := range t.still {
		// Under ties, what stays in one network has to stay in all.
		if !slices.ContainsFunc(t.loose, func(l block) bool { return l.n <= b.n && l.holds(b.at) }) {
			t.flat = t.flat.or(ones(t.width).without(ones(max(b.n, t.ties[0]))))
		}
	}
	cut := make([]mark, 0, len(t.marks))
	for _, m := range t.marks {
		for _, b := range t.loose {
			if m.to > b.n && b.holds(m.at) {
				m.to = b.n
			}
		}
		if m.from < m.to {
			cut = append(cut, m)
		}
	}
	t.tied = t.levels(t.ties, cut)
}

func (t *tree) levels(ties []int, marks []mark) []level {
	var out []level
	base := 0
	var here []mark
	for start := 0; start < t.width; {
		if len(ties) > 0 && ties[0] == start {
			base, ties = start, ties[1:]
			here = nil
		}
		end := min(start+8, t.width)
		if len(ties) > 0 {
			end = min(end, ties[0])
		}
		if here == nil {
			here = below(marks, base)
		}
		size := cacheBits
		if t.width == 32 {
			size = min(start-base, 16)
		}
		out = append(out, level{start: start, n: end - start, base: base, marks: here, most: 1 << min(start-base, size)})
		start = end
	}
	return out
}

// below is marks seen from a tie on.
func below(marks []mark, base int) []mark {
	out := make([]mark, 0, len(marks))
	for _, m := range marks {
		if m.to > base {
			out = append(out, mark{m.at.shl(base), m.from, m.to})
		}
	}
	slices.SortFunc(out, func(a, b mark) int { return a.at.compare(b.at) })
	return slices.Compact(out)
}

// image maps a word, and its inverse when back is set, from depth from on (a
// multiple of 8; the bits before are as they come).
func (t *tree) image(w word, from int, back bool) word {
	levels := t.tied
	if t.some[w.hi>>56] {
		for i := range t.still {
			if t.still[i].holds(w) {
				return w
			}
		}
		if len(t.ties) > 0 && slices.ContainsFunc(t.loose, func(b block) bool { return b.holds(w) }) {
			levels = t.free
		}
	}
	out, source := w.first(from), w // what out is the image of, as far as it is known
	if back {
		source = out
	}
	for i := range levels {
		l := &levels[i]
		if l.start < from {
			continue
		}
		f := t.chunk(l, source.first(l.start).shl(l.base))
		got, from := f.walk(w.field(l.start, l.n), l.n, back)
		out = out.with(l.start, l.n, got)
		if back {
			source = source.with(l.start, l.n, from)
		}
	}
	return out
}

// walk maps the n bits of v, and tells what they are the image of: v itself, or
// the result when it goes back.
func (f *flips) walk(v uint64, n int, back bool) (image, from uint64) {
	node := uint64(1)
	if back {
		for j := n - 1; j >= 0; j-- {
			node = node<<1 | (v>>(j&7)&1 ^ f[node>>6&3]>>(node&63)&1)
		}
		from = node & (1<<n - 1)
		return from, from
	}
	top := v | 1<<n
	for j := n; j > 0; j-- {
		node = top >> (j & 15)
		image = image<<1 | f[node>>6&3]>>(node&63)&1
	}
	return image ^ v, v
}

// chunk is whether the nodes of a level below at change. at is without the bits
// before the tie.
func (t *tree) chunk(l *level, at word) *flips {
	if len(l.cache) == 0 || l.misses > 2*len(l.cache) && len(l.cache) < l.most {
		l.cache, l.misses = make([]chunk, min(max(16, 8*len(l.cache)), l.most)), 0
	}
	c := &l.cache[l.slot(at)]
	if c.used && c.at == at {
		return &c.flips
	}
	l.misses++
	f, known := l.big[at]
	if !known {
		f = t.compute(l, at)
	}
	*c = chunk{at, true, f}
	return &c.flips
}

// slot is the last bits before the level, mixed when they are many.
func (l *level) slot(at word) uint64 {
	n := l.start - l.base
	if n == 0 {
		return 0
	}
	v := at.shr(128 - n)
	mask := uint64(len(l.cache) - 1)
	if uint64(1)<<min(n, 63)-1 > mask {
		v.lo ^= v.hi * 0x9e3779b97f4a7c15
		v.lo ^= v.lo >> 29
		v.lo *= 0xbf58476d1ce4e5b9
		v.lo ^= v.lo >> 32
	}
	return v.lo & mask
}

func (t *tree) compute(l *level, at word) flips {
	var f flips
	sum := t.random(l, at)
	for i := range f {
		for j := range 8 {
			f[i] |= uint64(sum[8*i+j]) << (8 * j)
		}
	}
	for d := range l.n {
		if t.flat.bit(l.start+d) == 1 {
			for node := 1 << d; node < 2<<d; node++ {
				f[node>>6] &^= 1 << (node & 63)
			}
		}
	}
	held := l.start - l.base
	i, _ := slices.BinarySearchFunc(l.marks, at, func(m mark, at word) int { return m.at.compare(at) })
	n := 0
	for ; i < len(l.marks) && l.marks[i].at.first(held) == at; i++ {
		m := l.marks[i]
		n++
		for d := max(m.from-l.start, 0); d < min(m.to-l.start, l.n); d++ {
			node := uint64(1) << d
			if d > 0 {
				node |= m.at.field(held, d)
			}
			f[node>>6] &^= 1 << (node & 63)
		}
	}
	if n > manyMarks {
		if l.big == nil {
			l.big = map[word]flips{}
		}
		l.big[at] = f
	}
	return f
}

// random is the keyed function: SHA-256 of a text of one length, one block.
func (t *tree) random(l *level, at word) [sha256.Size]byte {
	var in [51]byte
	copy(in[:], t.key[:])
	in[32], in[33], in[34] = t.name, byte(l.start), byte(l.base)
	b := at.bytes()
	copy(in[35:], b[:])
	return sha256.Sum256(in[:])
}
