package rules

import (
	"encoding/binary"
	"testing"
)

// partly is a value of one byte: the high nibble known, the low one not.
func partly(bits byte) Value {
	v := UnknownBytes(1, FromMark)
	v.Bits[0], v.Known[0] = bits&0xf0, 0xf0
	return v
}

func TestCompare(t *testing.T) {
	known := KnownBytes([]byte{0x23})
	half := partly(0x20)
	gone := Missing(1)
	oneOf := half
	oneOf.OneOf = []Value{KnownBytes([]byte{0x21}), KnownBytes([]byte{0x22})}
	for _, tc := range []struct {
		name  string
		v     Value
		op    CmpOp
		c     byte
		want  Truth
		wants Sources // unknown sources
	}{
		{"equal", known, CmpEq, 0x23, Yes, 0},
		{"not equal", known, CmpEq, 0x24, No, 0},
		{"a known bit differs", half, CmpEq, 0x33, No, 0},
		{"no known bit differs", half, CmpEq, 0x23, Unknown, Of(FromMark)},
		{"neq of unknown stays unknown", half, CmpNeq, 0x23, Unknown, Of(FromMark)},
		{"whatever the low bits, less", half, CmpLt, 0x30, Yes, 0},
		{"whatever the low bits, not less", half, CmpLt, 0x20, No, 0},
		{"depends on the low bits", half, CmpGt, 0x25, Unknown, Of(FromMark)},
		{"absent ends the rule", gone, CmpEq, 0, No, 0},
		{"absent ends the rule, negated too", gone, CmpNeq, 0, No, 0},
		{"no alternative is it", oneOf, CmpEq, 0x23, No, 0},
		{"one alternative is it", oneOf, CmpEq, 0x22, Unknown, 0},
		{"every alternative is less", oneOf, CmpLt, 0x23, Yes, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := tc.v.Compare(tc.op, []byte{tc.c})
			if a.Truth != tc.want || a.Unknown != tc.wants {
				t.Errorf("got %v unknown %v, want %v %v", a.Truth, a.Unknown.List(), tc.want, tc.wants.List())
			}
		})
	}
}

func TestJoin(t *testing.T) {
	v := Join(KnownBytes([]byte{0x0f, 1}), KnownBytes([]byte{0x0e, 1}))
	if v.Known[0] != 0xfe || v.Bits[0] != 0x0e || v.Known[1] != 0xff {
		t.Errorf("join: bits %x known %x", v.Bits[:2], v.Known[:2])
	}
}

func TestBitwiseOnPartlyKnown(t *testing.T) {
	p := &Packet{Order: binary.LittleEndian, Mark: UnknownBytes(4, FromMark)}
	masked := (&Bitwise{X: &Meta{MetaMark}, Mask: []byte{0, 0, 0, 0xf0}, Xor: []byte{1, 0, 0, 0}}).Eval(p)
	if a := masked.Equal([]byte{1, 0, 0, 0}); a.Truth != Unknown || a.Unknown != Of(FromMark) {
		t.Errorf("masked: %+v", a)
	}
	if a := masked.Equal([]byte{0, 0, 0, 0}); a.Truth != No || a.Assumed != 0 {
		t.Errorf("masked away bits are known: %+v", a)
	}
	left := (&Shift{X: &Const{[]byte{0x01, 0, 0, 0x80}}, Left: true, By: 4, Len: 4}).Eval(p)
	if got := left.Uint(binary.LittleEndian); got != 0x10 {
		t.Errorf("shift left: %#x", got)
	}
}

func TestSetFind(t *testing.T) {
	exact := func(b ...byte) Element { return Element{Key: b} }
	iv := func(lo, hi byte) Element { return Element{Key: []byte{lo}, KeyEnd: []byte{hi}} }
	many := []Element{}
	for i := range byte(20) {
		many = append(many, exact(i*10))
	}
	concat := Element{Key: []byte{10, 0, 0, 0, 0, 80, 0, 0}, KeyEnd: []byte{10, 0, 0, 255, 0, 90, 0, 0}}
	key := func(addr byte, port byte) Value { return KnownBytes([]byte{10, 0, 0, addr, 0, port, 0, 0}) }
	for _, tc := range []struct {
		name    string
		set     *Set
		v       Value
		want    Truth
		matches int
	}{
		{"in", &Set{KeyLen: 1, Elements: []Element{exact(1), exact(2)}}, KnownBytes([]byte{2}), Yes, 1},
		{"out", &Set{KeyLen: 1, Elements: []Element{exact(1), exact(2)}}, KnownBytes([]byte{3}), No, 0},
		{"partly known, none fits", &Set{KeyLen: 1, Elements: []Element{exact(1), exact(0x31)}}, partly(0x20), No, 0},
		{"partly known, one may", &Set{KeyLen: 1, Elements: []Element{exact(1), exact(0x21)}}, partly(0x20), Unknown, 1},
		{"partly known, all inside", &Set{KeyLen: 1, Elements: []Element{iv(0x10, 0x40)}}, partly(0x20), Yes, 1},
		{"indexed", &Set{KeyLen: 1, Elements: many}, KnownBytes([]byte{50}), Yes, 1},
		{"indexed, out", &Set{KeyLen: 1, Elements: many}, KnownBytes([]byte{51}), No, 0},
		{"concatenation inside", &Set{KeyLen: 8, FieldLens: []int{4, 2}, Elements: []Element{concat}}, key(7, 85), Yes, 1},
		{"concatenation, each field by itself", &Set{KeyLen: 8, FieldLens: []int{4, 2}, Elements: []Element{concat}}, key(7, 91), No, 0},
		{"catchall takes the rest", &Set{KeyLen: 1, Elements: []Element{exact(1), {Catchall: true}}}, KnownBytes([]byte{9}), Yes, 1},
		{"catchall not when one matches", &Set{KeyLen: 1, Elements: []Element{{Catchall: true}, exact(9)}}, KnownBytes([]byte{9}), Yes, 1},
		{"unread", &Set{KeyLen: 1, Missing: "too big"}, KnownBytes([]byte{9}), Unknown, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.set.Prepare()
			a, m := tc.set.Find(&tc.v)
			if a.Truth != tc.want || len(m) != tc.matches {
				t.Errorf("got %v with %d matches, want %v with %d", a.Truth, len(m), tc.want, tc.matches)
			}
		})
	}
}

func TestAtHook(t *testing.T) {
	mk := func(tb *Table, name string, h uint64, typ ChainType, prio int32) {
		tb.Chains = append(tb.Chains, &Chain{Table: tb, Name: name, Handle: h, Base: &BaseChain{Type: typ, Hook: Prerouting, Priority: prio}})
	}
	first := &Table{Family: FamilyInet, Name: "a", Handle: 1}
	second := &Table{Family: FamilyIPv4, Name: "b", Handle: 2}
	six := &Table{Family: FamilyIPv6, Name: "c", Handle: 3}
	asleep := &Table{Family: FamilyInet, Name: "d", Handle: 4, Flags: TableDormant}
	mk(first, "a1", 1, ChainNAT, -100)
	mk(first, "a2", 2, ChainNAT, -100)
	mk(first, "early", 3, ChainFilter, -300)
	mk(second, "b1", 1, ChainNAT, -100)
	mk(second, "late", 2, ChainNAT, 50)
	mk(second, "after", 3, ChainFilter, -99)
	mk(six, "six", 1, ChainNAT, -100)
	mk(asleep, "asleep", 1, ChainNAT, -100)
	rs := &Ruleset{Tables: []*Table{first, second, six, asleep}}
	chains, uncertain := rs.AtHook(Prerouting, FamilyIPv4)
	got := ""
	for _, c := range chains {
		got += c.Name + " "
	}
	if want := "early b1 a2 a1 late after "; got != want {
		t.Errorf("order %q, want %q", got, want)
	}
	if len(uncertain) != 1 || uncertain[0][0].Name != "b1" {
		t.Errorf("uncertain: %v", uncertain)
	}
}
