package rules

import (
	"bytes"
	"encoding/binary"
)

// MaxValue is the longest data a register set can hold, in bytes
// (NFT_DATA_VALUE_MAXLEN, include/uapi/linux/netfilter/nf_tables.h).
const MaxValue = 64

// Value is what an expression loads, bit by bit known or unknown. It holds
// the bytes as the kernel's registers do: header fields in network order,
// meta and ct numbers in the byte order of the host.
type Value struct {
	N     int              // bytes in use
	Bits  [MaxValue]byte   // unknown bits are 0
	Known [MaxValue]byte   // 1 = this bit is known
	From  [MaxValue]Source // what the byte rests on; FromEntry when the entry tells
	// AssumedBy and UnknownBy are what the choice of this value rests on, as
	// opposed to its bytes: the key of a map lookup.
	AssumedBy, UnknownBy Sources
	// OneOf, when not empty, lists every value this can be; Bits and Known are
	// then what they have in common.
	OneOf []Value
	// Absent means that loading it ends the rule (NFT_BREAK): no such header,
	// no conntrack entry, no such interface.
	Absent Truth
	// AbsentBy is what Absent rests on when it is not plainly No.
	AbsentBy Sources
}

// KnownBytes is a Value wholly known from b.
func KnownBytes(b []byte) Value {
	v := Value{N: min(len(b), MaxValue), Absent: No}
	copy(v.Bits[:], b)
	for i := range v.N {
		v.Known[i] = 0xff
	}
	return v
}

// KnownUint is a Value of n bytes (1, 2, 4 or 8) that holds u in order o.
func KnownUint(o binary.ByteOrder, n int, u uint64) Value {
	var b [8]byte
	PutUint(o, b[:n], u)
	return KnownBytes(b[:n])
}

// UnknownBytes is a Value of n bytes of which nothing is known because of s.
func UnknownBytes(n int, s Source) Value {
	v := Value{N: min(n, MaxValue), Absent: No}
	for i := range v.N {
		v.From[i] = s
	}
	return v
}

// Missing is the Value of something that is not there: the rule ends here.
func Missing(n int) Value { return Value{N: min(n, MaxValue), Absent: Yes} }

// AssumedFrom returns v resting on s: its known bytes are assumed.
func (v Value) AssumedFrom(s Source) Value {
	for i := range v.N {
		v.From[i] = s
	}
	return v
}

// Bytes is the known part; call it only when IsKnown.
func (v *Value) Bytes() []byte { return v.Bits[:v.N] }

// IsKnown tells whether every bit is known and the value is there.
func (v *Value) IsKnown() bool {
	if v.Absent != No {
		return false
	}
	for i := range v.N {
		if v.Known[i] != 0xff {
			return false
		}
	}
	return true
}

// Uint reads the first n bytes in order o; meaningful when IsKnown.
func (v *Value) Uint(o binary.ByteOrder) uint64 { return GetUint(o, v.Bits[:v.N]) }

// Slice is n bytes from off; what lies beyond the value is unknown.
func (v Value) Slice(off, n int) Value {
	out := Value{N: n, AssumedBy: v.AssumedBy, UnknownBy: v.UnknownBy, Absent: v.Absent, AbsentBy: v.AbsentBy}
	for i := range n {
		if off+i < v.N {
			out.Bits[i], out.Known[i], out.From[i] = v.Bits[off+i], v.Known[off+i], v.From[off+i]
		} else {
			out.From[i] = FromOpaque
		}
	}
	for _, alt := range v.OneOf {
		out.OneOf = append(out.OneOf, alt.Slice(off, n))
	}
	return out
}

// Sources splits what the bytes [0,N) rest on into assumed and unknown.
func (v *Value) Sources() (assumed, unknown Sources) {
	assumed, unknown = v.AssumedBy, v.UnknownBy
	for i := range v.N {
		if v.Known[i] == 0xff {
			assumed |= Of(v.From[i])
		} else {
			unknown |= Of(v.From[i])
		}
	}
	return assumed, unknown
}

// Join is what is known when it is either a or b: the least upper bound of
// the two in the lattice of partly known bits.
func Join(a, b Value) Value {
	out := a
	out.OneOf = nil
	out.AssumedBy |= b.AssumedBy
	out.UnknownBy |= b.UnknownBy
	for i := range out.N {
		same := a.Known[i] & b.Known[i] & ^(a.Bits[i] ^ b.Bits[i])
		if out.From[i] == FromEntry {
			out.From[i] = b.From[i]
		}
		if same != 0xff && out.From[i] == FromEntry {
			out.From[i] = FromVerdict
		}
		out.Known[i] = same
		out.Bits[i] &= same
	}
	if a.Absent != b.Absent {
		out.Absent = Unknown
		out.AbsentBy |= b.AbsentBy | Of(FromVerdict)
	}
	return out
}

// Equal asks whether v equals the constant c, byte for byte. c shorter than
// v compares the first bytes only, as nft_cmp does for interface wildcards.
func (v *Value) Equal(c []byte) Answer {
	if a, done := v.presence(); done {
		return a
	}
	if len(v.OneOf) > 0 {
		return v.overAlternatives(func(alt *Value) Answer { return alt.Equal(c) })
	}
	n := min(v.N, len(c))
	return equalBytes(v.Bits[:n], v.Known[:n], v.From[:n], c, v.AssumedBy, v.UnknownBy)
}

// equalBytes is Equal of a value that is there, and one only: all arguments are
// as long as bits, c at least.
func equalBytes(bits, known []byte, from []Source, c []byte, assumedBy, unknownBy Sources) Answer {
	n := len(bits)
	known, from, c = known[:n], from[:n], c[:n]
	open, assumed, unknown := false, assumedBy, unknownBy
	var differ Sources
	differs, plainly := false, false
	for i := range bits {
		if (bits[i]^c[i])&known[i] != 0 {
			differs = true
			plainly = plainly || from[i] == FromEntry
			differ |= Of(from[i])
			continue
		}
		if known[i] != 0xff {
			open = true
			unknown |= Of(from[i])
		} else {
			assumed |= Of(from[i])
		}
	}
	switch {
	case plainly:
		return Answer{Truth: No, Assumed: assumedBy}
	case differs:
		return Answer{Truth: No, Assumed: differ | assumedBy}
	case open:
		return Answer{Truth: Unknown, Assumed: assumed, Unknown: unknown}
	}
	return Answer{Truth: Yes, Assumed: assumed}
}

// Compare asks whether v op c holds, v and c compared as big-endian numbers
// (memcmp, as nft_cmp does).
func (v *Value) Compare(op CmpOp, c []byte) Answer {
	switch op {
	case CmpEq:
		return v.Equal(c)
	case CmpNeq:
		a := v.Equal(c)
		// an absent value ends the rule, whichever way it is compared
		if v.Absent == Yes {
			return a
		}
		return a.Not()
	}
	if a, done := v.presence(); done {
		return a
	}
	if len(v.OneOf) > 0 {
		return v.overAlternatives(func(alt *Value) Answer { return alt.Compare(op, c) })
	}
	n := min(v.N, len(c))
	lo, hi := v.bounds(n)
	clo, chi := bytes.Compare(lo[:n], c[:n]), bytes.Compare(hi[:n], c[:n])
	assumed, unknown := v.Sources()
	t := TruthOf(op.holds(clo))
	if t != TruthOf(op.holds(chi)) {
		return Answer{Truth: Unknown, Assumed: assumed, Unknown: unknown}
	}
	return Answer{Truth: t, Assumed: assumed}
}

// Within asks whether lo <= v <= hi, compared as big-endian numbers.
func (v *Value) Within(lo, hi []byte) Answer {
	return v.Compare(CmpGte, lo).And(v.Compare(CmpLte, hi))
}

func (v *Value) presence() (Answer, bool) {
	switch v.Absent {
	case Yes:
		return Answer{Truth: No, Assumed: v.AbsentBy}, true
	case Unknown:
		return Answer{Truth: Unknown, Unknown: v.AbsentBy}, true
	}
	return Answer{}, false
}

func (v *Value) bounds(n int) (lo, hi [MaxValue]byte) {
	for i := range n {
		lo[i] = v.Bits[i] & v.Known[i]
		hi[i] = v.Bits[i] | ^v.Known[i]
	}
	return lo, hi
}

// overAlternatives is Yes or No when every alternative says so.
func (v *Value) overAlternatives(ask func(*Value) Answer) Answer {
	first := ask(&v.OneOf[0])
	for i := range v.OneOf[1:] {
		if next := ask(&v.OneOf[i+1]); next.Truth != first.Truth {
			return Answer{Truth: Unknown, Assumed: v.AssumedBy, Unknown: v.UnknownBy}
		}
	}
	first.Assumed |= v.AssumedBy
	return first
}

// PutUint writes the low len(b) bytes of u in order o.
func PutUint(o binary.ByteOrder, b []byte, u uint64) {
	if n := len(b); n != 1 && n != 2 && n != 4 && n != 8 {
		return
	}
	big := isBigEndian(o)
	for i := range b {
		at := i
		if big {
			at = len(b) - 1 - i
		}
		b[at] = byte(u >> (8 * i))
	}
}

// GetUint reads b, of 1, 2, 4 or 8 bytes, in order o; 0 for other lengths.
func GetUint(o binary.ByteOrder, b []byte) (u uint64) {
	if n := len(b); n != 1 && n != 2 && n != 4 && n != 8 {
		return 0
	}
	big := isBigEndian(o)
	for i := range b {
		at := i
		if big {
			at = len(b) - 1 - i
		}
		u |= uint64(b[at]) << (8 * i)
	}
	return u
}
