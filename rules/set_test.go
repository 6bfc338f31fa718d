package rules

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestPrepare: the index finds what looking at each element finds.
func TestPrepare(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	key := func(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }
	single := func(n uint32) Element { return Element{Key: key(n)} }
	span := func(lo, hi uint32) Element { return Element{Key: key(lo), KeyEnd: key(hi)} }
	sets := map[string]*Set{}
	for _, n := range []int{0, 7, 8, 9, 100, 5000} {
		var keys, spans, mixed []Element
		for i := range n {
			at := uint32(i * 10)
			keys = append(keys, single(at))
			spans = append(spans, span(at, at+uint32(i%10)))
			if i%2 == 0 {
				mixed = append(mixed, single(at))
			} else {
				mixed = append(mixed, span(at, at+3))
			}
		}
		for name, list := range map[string][]Element{"keys": keys, "spans": spans, "mixed": mixed} {
			r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
			name += itoa(n)
			sets[name] = &Set{KeyLen: 4, Elements: list}
			sets[name+" and any"] = &Set{KeyLen: 4, Elements: append(slices.Clone(list), Element{Catchall: true})}
		}
	}
	for name, s := range sets {
		ready := *s
		ready.Prepare()
		for range 2000 {
			v := KnownBytes(key(r.Uint32N(60000)))
			a, found := s.Find(&v)
			b, quick := ready.Find(&v)
			if a != b || !slices.EqualFunc(found, quick, func(x, y *Element) bool { return string(x.Key) == string(y.Key) && x.Catchall == y.Catchall }) {
				t.Fatalf("%s, key %v: %v of %d elements, by the index %v of %d", name, v.Bytes(), a, len(found), b, len(quick))
			}
		}
	}
}
