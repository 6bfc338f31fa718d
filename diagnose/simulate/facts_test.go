package simulate

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/walk"
)

// TestFacts holds what is said to be possible against values of two bytes,
// some on each side of whatever the conditions compare with, after random
// conditions were chosen to hold or not.
func TestFacts(t *testing.T) {
	x := &rules.Payload{Base: rules.PayloadNetwork, Off: 2, Len: 2}
	r := rand.New(rand.NewPCG(1, 2))
	two := func() []byte { return binary.BigEndian.AppendUint16(nil, uint16(r.IntN(12)*5000)) }
	condition := func() rules.Statement {
		switch r.IntN(3) {
		case 0:
			return &rules.Match{Left: x, Op: rules.CmpOp(r.IntN(6)), Right: two()}
		case 1:
			a, b := two(), two()
			if string(b) < string(a) {
				a, b = b, a
			}
			return &rules.MatchRange{Left: x, Lo: a, Hi: b, Invert: r.IntN(2) == 0}
		}
		s := &rules.Set{Flags: rules.SetAnonymous | rules.SetConstant, KeyLen: 2}
		for range 1 + r.IntN(4) {
			s.Elements = append(s.Elements, rules.Element{Key: two()})
		}
		return &rules.InSet{Key: x, Set: s, Invert: r.IntN(2) == 0}
	}
	for range 300 {
		var f facts
		left := map[int]bool{0xffff: true}
		for i := 0; i < 0xffff; i += 500 {
			left[i], left[i+1], left[i+499] = true, true, true
		}
		for range 6 {
			c := &walk.Choice{Statement: condition(), Got: rules.UnknownBytes(2, rules.FromLength), Ways: []walk.Way{{Kind: walk.Holds}, {Kind: walk.Fails}}}
			c.Answer.Unknown = rules.Of(rules.FromLength)
			open := rules.UnknownBytes(2, rules.FromLength)
			if decided(c.Statement, &open) {
				continue // the walk does not ask then
			}
			var want []int
			holds := map[int]bool{}
			var seen [2]bool
			for i := range left {
				v := rules.KnownBytes(binary.BigEndian.AppendUint16(nil, uint16(i)))
				holds[i] = ask(c.Statement, &v)
				if left[i] {
					seen[map[bool]int{true: 0, false: 1}[holds[i]]] = true
				}
			}
			for way, is := range seen {
				if is {
					want = append(want, way)
				}
			}
			got := f.possible(c)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("possible ways of %+v (-want +got):\n%s", c.Statement, diff)
			}
			way := got[r.IntN(len(got))]
			f.learn(c, way)
			for i := range left {
				left[i] = left[i] && holds[i] == (way == 0)
			}
		}
	}
}

func ask(s rules.Statement, v *rules.Value) bool {
	switch s := s.(type) {
	case *rules.Match:
		a := v.Compare(s.Op, s.Right)
		return a.Truth == rules.Yes
	case *rules.MatchRange:
		return (v.Within(s.Lo, s.Hi).Truth == rules.Yes) != s.Invert
	case *rules.InSet:
		a, _ := s.Set.Find(v)
		return (a.Truth == rules.Yes) != s.Invert
	}
	return false
}

func decided(s rules.Statement, v *rules.Value) bool {
	a := rules.Answer{}
	switch s := s.(type) {
	case *rules.Match:
		a = v.Compare(s.Op, s.Right)
	case *rules.MatchRange:
		a = v.Within(s.Lo, s.Hi)
	case *rules.InSet:
		a, _ = s.Set.Find(v)
	}
	return a.Truth != rules.Unknown
}

// What is asked of chance is asked anew.
func TestFactsOfChance(t *testing.T) {
	var f facts
	c := &walk.Choice{Statement: &rules.Match{Left: &rules.Numgen{Random: true, Modulus: 2}, Right: []byte{0, 0, 0, 0}},
		Got: rules.UnknownBytes(4, rules.FromRandom), Ways: []walk.Way{{Kind: walk.Holds, Share: .5}, {Kind: walk.Fails, Share: .5}}}
	f.learn(c, 0)
	if got := f.possible(c); len(got) != 2 {
		t.Errorf("after it came out once, only %v is possible", got)
	}
}
