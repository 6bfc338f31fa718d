package rules

import (
	"bytes"
	"hash/maphash"
	"math/bits"
	"slices"
	"sort"
)

// SetFlags is NFT_SET_*.
type SetFlags uint32

const (
	SetAnonymous SetFlags = 1 << 0
	SetConstant  SetFlags = 1 << 1
	SetInterval  SetFlags = 1 << 2
	SetMap       SetFlags = 1 << 3
	SetTimeout   SetFlags = 1 << 4
	SetEval      SetFlags = 1 << 5
	SetObject    SetFlags = 1 << 6
	SetConcat    SetFlags = 1 << 7
	SetExpr      SetFlags = 1 << 8
)

// Set is a named or anonymous set or map.
type Set struct {
	Table  *Table
	Name   string
	ID     uint32
	Handle uint64
	Flags  SetFlags
	// KeyType and DataType are nft's datatype numbers, 6 bits a field for
	// concatenations; only nft itself gives them a meaning.
	KeyType, DataType uint32
	KeyLen, DataLen   int
	// FieldLens are the lengths of a concatenated key's fields before padding
	// (NFTA_SET_DESC_CONCAT); one entry, or none, for a plain key.
	FieldLens  []int
	ObjType    ObjectType
	Timeout    uint64 // milliseconds
	GCInterval uint32
	Size       uint32
	Policy     uint32
	Comment    string
	UserData   []byte
	// Exprs are the statements of each element as the set declares them.
	Exprs []Statement
	// Elements in the order in which nft lists them. Intervals are normalised: an element with
	// KeyEnd stands for the keys from Key to KeyEnd, both included.
	Elements []Element
	// Missing says why elements are not here; empty when all are.
	Missing string

	index *setIndex
}

// Verdicts tells whether it is a verdict map.
func (s *Set) Verdicts() bool { return s.DataType == DataTypeVerdict }

// DataTypeVerdict is NFT_DATA_VERDICT, the datatype of verdict maps.
const DataTypeVerdict = 0xffffff00

// Element is one element, or one interval of them.
type Element struct {
	Key []byte
	// KeyEnd, when not nil, ends the interval that Key begins, included; for
	// a concatenation each field is an interval of its own (nft_set_pipapo).
	KeyEnd   []byte
	Catchall bool
	// Data is what a map yields; an interval of data is its first value and
	// then its last, one after the other.
	Data    []byte
	Verdict *Verdict
	Object  string
	Timeout uint64 // milliseconds, 0 for none of its own
	Expires uint64 // milliseconds left
	Comment string
	Exprs   []Statement
}

// volatile elements come and go with packets or with time: an element that is
// there now need not have been there at the first packet.
func (s *Set) volatile() bool { return s.Flags&(SetEval|SetTimeout) != 0 }

// Changeable sets can be given and can lose elements without a change of rules:
// all but anonymous and constant ones.
func (s *Set) Changeable() bool { return s.Flags&(SetAnonymous|SetConstant) == 0 }

// Then is Find as to the time of the first packet: of a set that can change
// the answer is assumed, or, with p.SetsOpen, not known.
func (s *Set) Then(p *Packet, v *Value) (Answer, []*Element) {
	a, matches := s.Find(v)
	if a.Truth == Yes && limited(matches) {
		a = Answer{Unknown: Of(FromLimit)}
	}
	switch {
	case !s.Changeable() || v.Absent == Yes:
	case p.SetsOpen:
		a = Answer{Unknown: a.Unknown | Of(FromSet)}
	default:
		a.Assumed |= Of(FromSet)
	}
	return a, matches
}

// limited tells whether one of the elements carries a condition, such as a
// limit, which is asked when it is found (nft_set_elem_update_expr).
func limited(es []*Element) bool {
	for _, e := range es {
		for _, x := range e.Exprs {
			if _, ok := x.(Condition); ok {
				return true
			}
		}
	}
	return false
}

// Find asks whether v is a key of the set. matches are the elements that it is
// or may be, in listing order, catchall only when nothing else surely matches.
func (s *Set) Find(v *Value) (a Answer, matches []*Element) {
	if v.Absent == Yes {
		return Answer{Truth: No, Assumed: v.AbsentBy}, nil
	}
	if len(v.OneOf) > 0 {
		return s.findEach(v)
	}
	if s.Missing != "" {
		return Answer{Unknown: Of(FromSet)}, nil
	}
	assumed, unknown := v.Sources()
	a = Answer{Truth: No, Assumed: assumed}
	var catchall *Element
	s.candidates(v, func(e *Element) bool {
		if e.Catchall {
			catchall = e
			return true
		}
		switch m := e.matches(s, v); m.Truth {
		case Yes:
			a = m
			matches = append(matches[:0], e)
			return false
		case Unknown:
			a = Answer{Unknown: unknown}
			matches = append(matches, e)
		}
		return true
	})
	if catchall != nil && a.Truth != Yes {
		// whichever it is, the catchall takes what nothing else does
		if a.Truth == No {
			a = Answer{Truth: Yes, Assumed: assumed}
		} else {
			a = Answer{Truth: Yes, Assumed: assumed | unknown}
			a.Truth = Yes
		}
		matches = append(matches, catchall)
	}
	if v.Absent == Unknown {
		a = Answer{Unknown: v.AbsentBy | unknown}
	}
	if s.volatile() {
		// what is there now need not have been there at the time
		a = Answer{Unknown: a.Unknown | Of(FromSet)}
	}
	return a, matches
}

func (s *Set) findEach(v *Value) (a Answer, matches []*Element) {
	seen := map[*Element]bool{}
	for i := range v.OneOf {
		one, m := s.Find(&v.OneOf[i])
		if i == 0 {
			a = one
		} else if a.Truth != one.Truth {
			a = Answer{Unknown: v.UnknownBy | one.Unknown}
		}
		for _, e := range m {
			if !seen[e] {
				seen[e] = true
				matches = append(matches, e)
			}
		}
	}
	return a, matches
}

// Load is the data that the map holds for key v: absent when no element
// matches, one of several when the key is not wholly known.
func (s *Set) Load(v *Value) Value {
	a, matches := s.Find(v)
	if s.Missing != "" {
		out := UnknownBytes(s.DataLen, FromSet)
		out.Absent, out.AbsentBy = Unknown, Of(FromSet)
		return out
	}
	if a.Truth == No || len(matches) == 0 {
		out := Missing(s.DataLen)
		out.AbsentBy = a.Assumed
		if a.Truth == Unknown {
			out.Absent, out.AbsentBy = Unknown, a.Unknown
		}
		return out
	}
	out := KnownBytes(matches[0].Data)
	if len(matches) > 1 {
		for _, e := range matches {
			out = Join(out, KnownBytes(e.Data))
		}
		for _, e := range matches {
			out.OneOf = append(out.OneOf, KnownBytes(e.Data))
		}
		_, unknown := v.Sources()
		out.UnknownBy |= unknown | a.Unknown
	}
	out.AssumedBy |= a.Assumed
	out.Absent = No
	if limited(matches) {
		a = Answer{Unknown: a.Unknown | Of(FromLimit)}
	}
	if a.Truth == Unknown {
		out.Absent, out.AbsentBy = Unknown, a.Unknown
	}
	return out
}

func (e *Element) matches(s *Set, v *Value) Answer {
	if e.KeyEnd == nil {
		return v.Equal(e.Key)
	}
	if len(s.FieldLens) < 2 {
		return v.Within(e.Key, e.KeyEnd)
	}
	a := Decided(true)
	off := 0
	for _, n := range s.FieldLens {
		if off+n > len(e.Key) || off+n > len(e.KeyEnd) {
			break
		}
		field := v.Slice(off, n)
		a = a.And(field.Within(e.Key[off:off+n], e.KeyEnd[off:off+n]))
		off += pad4(n)
	}
	return a
}

// setIndex finds the elements of a wholly known key without looking at each:
// exact keys by hash, plain intervals by bisection. It holds their numbers in
// Elements.
type setIndex struct {
	exact    keyTable
	plain    []int32 // intervals of unconcatenated keys, sorted by Key
	catchall int32   // -1 for none
	scan     []int32 // what neither serves: concatenated intervals
}

// Prepare builds the index. A set is not changed once prepared; a set of few
// elements needs none.
func (s *Set) Prepare() {
	if len(s.Elements) < 8 {
		return
	}
	ix := &setIndex{catchall: -1}
	exact := 0
	for i := range s.Elements {
		e := &s.Elements[i]
		switch {
		case e.Catchall:
			ix.catchall = int32(i)
		case e.KeyEnd == nil:
			exact++
		case len(s.FieldLens) < 2:
			ix.plain = append(ix.plain, int32(i))
		default:
			ix.scan = append(ix.scan, int32(i))
		}
	}
	ix.exact.fill(s.Elements, exact)
	byKey := func(a, b int32) int { return bytes.Compare(s.Elements[a].Key, s.Elements[b].Key) }
	if !slices.IsSortedFunc(ix.plain, byKey) {
		slices.SortFunc(ix.plain, byKey)
	}
	s.index = ix
}

// keyTable finds single keys by their hash: the numbers of the elements plus
// one, each at the first free place from where its hash points.
type keyTable []uint32

var keySeed = maphash.MakeSeed()

// fill puts in the n elements that are one key. Of two with the same key the
// last counts.
func (t *keyTable) fill(elements []Element, n int) {
	if n == 0 {
		return
	}
	*t = make(keyTable, 1<<bits.Len(uint(n+n/2)))
	for i := range elements {
		if e := &elements[i]; !e.Catchall && e.KeyEnd == nil {
			*t.place(elements, e.Key) = uint32(i + 1)
		}
	}
}

// place is where the key stands, or would.
func (t keyTable) place(elements []Element, key []byte) *uint32 {
	mask := uint64(len(t) - 1)
	for at := maphash.Bytes(keySeed, key) & mask; ; at = (at + 1) & mask {
		if n := t[at]; n == 0 || bytes.Equal(elements[n-1].Key, key) {
			return &t[at]
		}
	}
}

// find is the element of that key, nil when there is none.
func (t keyTable) find(elements []Element, key []byte) *Element {
	if len(t) == 0 {
		return nil
	}
	if n := *t.place(elements, key); n != 0 {
		return &elements[n-1]
	}
	return nil
}

// candidates calls f with every element that v can be, and with the catchall
// last, until f returns false.
func (s *Set) candidates(v *Value, f func(*Element) bool) {
	if s.index == nil || !v.IsKnown() {
		for i := range s.Elements {
			if !f(&s.Elements[i]) {
				return
			}
		}
		return
	}
	key := v.Bits[:min(v.N, s.keyLen())]
	if e := s.index.exact.find(s.Elements, key); e != nil && !f(e) {
		return
	}
	plain := s.index.plain
	if i := sort.Search(len(plain), func(i int) bool { return bytes.Compare(s.Elements[plain[i]].Key, key) > 0 }); i > 0 && !f(&s.Elements[plain[i-1]]) {
		return
	}
	for _, i := range s.index.scan {
		if !f(&s.Elements[i]) {
			return
		}
	}
	if i := s.index.catchall; i >= 0 {
		f(&s.Elements[i])
	}
}

func (s *Set) keyLen() int {
	if s.KeyLen > 0 {
		return s.KeyLen
	}
	return MaxValue
}
