package cuts

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/ntdiag/ntdiag/rules"
)

// fields of the header that the tests read and compare.
var readers = []struct {
	base   rules.PayloadBase
	off, n int
}{
	{rules.PayloadNetwork, 12, 4}, {rules.PayloadNetwork, 16, 4}, {rules.PayloadNetwork, 12, 8}, {rules.PayloadNetwork, 16, 2},
	{rules.PayloadNetwork, 12, 3}, {rules.PayloadNetwork, 14, 2}, {rules.PayloadNetwork, 9, 1}, {rules.PayloadNetwork, 9, 11},
	{rules.PayloadTransport, 0, 2}, {rules.PayloadTransport, 2, 2}, {rules.PayloadTransport, 0, 4}, {rules.PayloadTransport, 1, 2},
	{rules.PayloadTransport, 2, 1}, {rules.PayloadTransport, 4, 2},
}

// near is a value near a few others, so that many are alike and few are equal.
func near(rng *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = []byte{0, 1, 10, 10, 10, 255}[rng.IntN(6)]
	}
	b[n-1] = byte(rng.IntN(20))
	return b
}

// condition is a random one.
func condition(rng *rand.Rand, depth int) rules.Condition {
	h := readers[rng.IntN(len(readers))]
	var x rules.Expr = &rules.Payload{Base: h.base, Off: h.off, Len: h.n}
	switch rng.IntN(6) {
	case 0:
		mask := make([]byte, h.n)
		for i := range rng.IntN(8*h.n + 1) {
			mask[i/8] |= 0x80 >> (i % 8)
		}
		if rng.IntN(4) == 0 {
			mask[rng.IntN(h.n)] ^= 1 << rng.IntN(8)
		}
		x = &rules.Bitwise{X: x, Mask: mask, Xor: near(rng, h.n)}
	case 1:
		off := rng.IntN(h.n)
		n := 1 + rng.IntN(h.n-off)
		x = &rules.Slice{X: x, Off: off, Len: n}
	}
	n := x.Width()
	switch rng.IntN(7) {
	case 0:
		lo, hi := near(rng, n), near(rng, n)
		return &rules.MatchRange{Left: x, Lo: lo, Hi: hi, Invert: rng.IntN(2) == 0}
	case 1:
		return &rules.InSet{Key: x, Set: set(rng, n, []int{n}), Invert: rng.IntN(2) == 0}
	case 2:
		y := &rules.Payload{Base: rules.PayloadTransport, Off: 2, Len: 2}
		n = (n + 3) &^ 3
		return &rules.InSet{Key: &rules.Concat{Parts: []rules.Expr{x, y}}, Set: set(rng, n+4, []int{x.Width(), 2})}
	case 3:
		if depth < 2 {
			return &rules.AnyOf{Parts: []rules.Condition{condition(rng, depth+1), condition(rng, depth+1)}, Invert: rng.IntN(2) == 0}
		}
	case 4: // a hash of it
		return &rules.Match{Left: &rules.Hash{X: x, Modulus: 2, HasSeed: rng.IntN(2) == 0, Seed: 7}, Op: rules.CmpEq, Right: []byte{0, 0, 0, 0}}
	}
	return &rules.Match{Left: x, Op: rules.CmpOp(rng.IntN(6)), Right: near(rng, n)}
}

func set(rng *rand.Rand, n int, fields []int) *rules.Set {
	s := &rules.Set{KeyLen: n, FieldLens: fields}
	for range 1 + rng.IntN(12) {
		e := rules.Element{Key: near(rng, n)}
		if rng.IntN(3) == 0 {
			e.KeyEnd = near(rng, n)
		}
		s.Elements = append(s.Elements, e)
	}
	return s
}

// packetOf is the first packet of a tuple.
func packetOf(t rules.Tuple) *rules.Packet {
	p := &rules.Packet{Order: binary.LittleEndian, Family: rules.FamilyIPv4, Proto: t.Proto, Tracked: rules.Yes}
	p.Net.N, p.Trans.N = 20, 20
	p.Net.Open(0, 20, rules.FromIPHeader)
	p.Trans.Open(0, 20, rules.FromTCPHeader)
	p.Net.Set(9, []byte{t.Proto}, rules.FromEntry)
	p.Net.Set(12, t.Src.AsSlice(), rules.FromEntry)
	p.Net.Set(16, t.Dst.AsSlice(), rules.FromEntry)
	p.Trans.Set(0, binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, t.SrcPort), t.DstPort), rules.FromEntry)
	p.Ct.Original = t
	return p
}

func tuple(rng *rand.Rand) rules.Tuple {
	addr := func() netip.Addr { return netip.AddrFrom4([4]byte(near(rng, 4))) }
	port := func() uint16 { return binary.BigEndian.Uint16(near(rng, 2)) }
	return rules.Tuple{Proto: 6, Src: addr(), Dst: addr(), SrcPort: port(), DstPort: port()}
}

// keyOf is what the cuts tell of a tuple.
func keyOf(c *Cuts, t rules.Tuple) string {
	src, dst := t.Src.As4(), t.Dst.As4()
	key := ""
	for _, f := range []struct {
		Field
		v uint32
	}{
		{OrigSrc, binary.BigEndian.Uint32(src[:])}, {OrigDst, binary.BigEndian.Uint32(dst[:])},
		{OrigSport, uint32(t.SrcPort)}, {OrigDport, uint32(t.DstPort)},
	} {
		switch b := c.Bounds[f.Field]; {
		case b.None():
		case b.Raw:
			key += fmt.Sprint(f.v, " ")
		default:
			key += fmt.Sprint(Interval(b.at, f.v), " ")
		}
	}
	return key
}

// TestAlike: of packets that the cuts of a chain do not tell apart every
// condition of it says the same, also when half of it is known only.
func TestAlike(t *testing.T) {
	shared, apart := 0, 0
	for seed := range uint64(3000) {
		rng := rand.New(rand.NewPCG(seed, 0))
		chain := &rules.Chain{}
		for range 1 + rng.IntN(3) {
			chain.Rules = append(chain.Rules, &rules.Rule{Statements: []rules.Statement{condition(rng, 0)}})
		}
		b := NewBuilder(rules.FamilyIPv4)
		b.Chain(chain)
		c := b.Cuts()
		first := map[string]rules.Tuple{}
		for range 60 {
			x := tuple(rng)
			y, ok := first[keyOf(c, x)]
			if !ok {
				first[keyOf(c, x)] = x
				apart++
				continue
			}
			shared++
			for _, r := range chain.Rules {
				s := r.Statements[0].(rules.Condition)
				if a, b := s.Test(packetOf(x)), s.Test(packetOf(y)); a != b {
					t.Fatalf("seed %d: %+v: %v\n%+v: %v\n%#v", seed, x, a, y, b, s)
				}
			}
		}
	}
	if shared < 1000 || apart < 1000 {
		t.Errorf("%d tuples were alike, %d were not: that tells little", shared, apart)
	}
}
