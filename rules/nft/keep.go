package nft

import (
	"bytes"
	"hash/maphash"
)

// A ruleset is many small things that live as long as each other: they are
// made many at a time.

// maxSlab is how many things of one kind are made at once, at most.
const maxSlab = 256

// slab makes things of one type. Few are made where few are asked for.
type slab[T any] struct {
	free []T
	last int
}

// one gives x a place.
func (s *slab[T]) one(x T) *T {
	p := &s.list(1)[0]
	*p = x
	return p
}

// list is n things, which are zero.
func (s *slab[T]) list(n int) []T {
	if n > len(s.free) {
		s.last = min(2*s.last+1, maxSlab)
		s.free = make([]T, max(n, s.last))
	}
	out := s.free[:n:n]
	s.free = s.free[n:]
	return out
}

// keeper keeps bytes beyond the message that they came in.
type keeper struct {
	free []byte
	// recent are things kept before, by the hash of what they are: a ruleset
	// says the same again and again.
	recent [][]byte
	seed   maphash.Seed
}

const (
	keepChunk  = 32 << 10
	keepRecent = 1 << 13 // a power of two
)

func newKeeper() *keeper {
	return &keeper{recent: make([][]byte, keepRecent), seed: maphash.MakeSeed()}
}

// keep is a copy of b; nil for nil.
func (k *keeper) keep(b []byte) []byte {
	switch {
	case b == nil:
		return nil
	case len(b) == 0:
		return []byte{}
	case len(b) > keepChunk/8:
		return bytes.Clone(b)
	case len(b) > len(k.free):
		k.free = make([]byte, keepChunk)
	}
	out := k.free[:len(b):len(b)]
	k.free = k.free[len(b):]
	copy(out, b)
	return out
}

// keepIn keeps attributes of a message.
func (k *keeper) keepIn(a *attrs, numbers ...int) {
	for _, n := range numbers {
		if a.has(n) {
			a.val[n] = k.keep(a.val[n])
		}
	}
}

// share is a copy of b that others can have too: nobody writes to what is kept.
func (k *keeper) share(b []byte) []byte {
	if len(b) == 0 {
		return k.keep(b)
	}
	at := &k.recent[maphash.Bytes(k.seed, b)&(keepRecent-1)]
	if !bytes.Equal(*at, b) {
		*at = k.keep(b)
	}
	return *at
}
