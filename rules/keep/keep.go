// Package keep makes and keeps the many small things that a ruleset consists of.
// They live as long as each other, so that many are made at a time, and what is
// said again is kept once.
package keep

import (
	"bytes"
	"hash/maphash"
)

// maxSlab is how many things of one kind are made at once, at most.
const maxSlab = 256

// Slab makes things of one type. Few are made where few are asked for.
type Slab[T any] struct {
	free []T
	last int
}

// One gives x a place.
func (s *Slab[T]) One(x T) *T {
	p := &s.List(1)[0]
	*p = x
	return p
}

// List is n things, which are zero. It has no room for more.
func (s *Slab[T]) List(n int) []T {
	if n > len(s.free) {
		s.last = min(2*s.last+1, maxSlab)
		s.free = make([]T, max(n, s.last))
	}
	out := s.free[:n:n]
	s.free = s.free[n:]
	return out
}

// Bytes keeps bytes beyond the message that they came in.
type Bytes struct {
	free []byte
	// said are things kept before, by the hash of what they are: a ruleset
	// says the same again and again.
	said [][]byte
	seed maphash.Seed
}

const (
	chunk  = 32 << 10
	recent = 1 << 13 // a power of two
)

// NewBytes keeps nothing yet.
func NewBytes() *Bytes {
	return &Bytes{said: make([][]byte, recent), seed: maphash.MakeSeed()}
}

// Keep is a copy of b; nil for nil.
func (k *Bytes) Keep(b []byte) []byte {
	switch {
	case b == nil:
		return nil
	case len(b) == 0:
		return []byte{}
	case len(b) > chunk/8:
		return bytes.Clone(b)
	case len(b) > len(k.free):
		k.free = make([]byte, chunk)
	}
	out := k.free[:len(b):len(b)]
	k.free = k.free[len(b):]
	copy(out, b)
	return out
}

// Share is a copy of b that others can have too: nobody writes to what is kept.
func (k *Bytes) Share(b []byte) []byte {
	if len(b) == 0 {
		return k.Keep(b)
	}
	at := &k.said[maphash.Bytes(k.seed, b)&(recent-1)]
	if !bytes.Equal(*at, b) {
		*at = k.Keep(b)
	}
	return *at
}
