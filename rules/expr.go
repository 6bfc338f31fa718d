package rules

import "encoding/binary"

// Expr is something a rule loads into a register: a field of the packet, of
// its metadata, of its entry, or a value computed from another.
type Expr interface {
	// Width is the number of bytes it loads.
	Width() int
	// Eval loads it from the packet, bit by bit known or unknown.
	Eval(p *Packet) Value
}

// Const is an immediate value.
type Const struct{ Data []byte }

func (c *Const) Width() int         { return len(c.Data) }
func (c *Const) Eval(*Packet) Value { return KnownBytes(c.Data) }

// Tainted is a register that an opaque expression may have written, or that
// nothing wrote.
type Tainted struct {
	Len int
	Why string
}

func (t *Tainted) Width() int { return t.Len }
func (t *Tainted) Eval(*Packet) Value {
	v := UnknownBytes(t.Len, FromOpaque)
	v.Absent, v.AbsentBy = Unknown, Of(FromOpaque)
	return v
}

// Slice is Len bytes of X from Off: a comparison may read a part of what was
// loaded, and a map's data may hold an address and a port.
type Slice struct {
	X        Expr
	Off, Len int
}

func (s *Slice) Width() int           { return s.Len }
func (s *Slice) Eval(p *Packet) Value { return s.X.Eval(p).Slice(s.Off, s.Len) }

// Concat is several expressions in consecutive registers, each padded to four
// bytes with zeros: the key of a set with concatenated types.
type Concat struct{ Parts []Expr }

func (c *Concat) Width() int {
	n := 0
	for _, part := range c.Parts {
		n += pad4(part.Width())
	}
	return n
}

func (c *Concat) Eval(p *Packet) Value {
	out := Value{Absent: No}
	for _, part := range c.Parts {
		v := part.Eval(p)
		w := pad4(v.N)
		if out.N+w > MaxValue {
			break
		}
		copy(out.Bits[out.N:], v.Bits[:v.N])
		copy(out.Known[out.N:], v.Known[:v.N])
		copy(out.From[out.N:], v.From[:v.N])
		for i := v.N; i < w; i++ {
			out.Known[out.N+i] = 0xff
		}
		out.N += w
		out.AssumedBy |= v.AssumedBy
		out.UnknownBy |= v.UnknownBy
		out.absorbAbsence(&v)
	}
	return out
}

// absorbAbsence: one part that is not there ends the rule.
func (v *Value) absorbAbsence(part *Value) {
	switch {
	case v.Absent == Yes || part.Absent == No:
	case part.Absent == Yes:
		v.Absent, v.AbsentBy = Yes, part.AbsentBy
	default:
		v.Absent = Unknown
		v.AbsentBy |= part.AbsentBy
	}
}

func pad4(n int) int { return (n + 3) &^ 3 }

// Bitwise is (X & Mask) ^ Xor (nft_bitwise, NFT_BITWISE_MASK_XOR).
type Bitwise struct {
	X         Expr
	Mask, Xor []byte
}

func (b *Bitwise) Width() int { return len(b.Mask) }

func (b *Bitwise) Eval(p *Packet) Value {
	return mapAlternatives(b.X.Eval(p), func(v Value) Value {
		v.N = min(len(b.Mask), MaxValue)
		for i := range v.N {
			// a bit masked away is known to be 0
			v.Known[i] |= ^b.Mask[i]
			v.Bits[i] = (v.Bits[i]&b.Mask[i] ^ b.Xor[i]) & v.Known[i]
			if b.Mask[i] == 0 {
				v.From[i] = FromEntry
			}
		}
		return v
	})
}

// mapAlternatives applies f to the value and to each of its alternatives.
func mapAlternatives(v Value, f func(Value) Value) Value {
	alts := v.OneOf
	v.OneOf = nil
	v = f(v)
	for _, a := range alts {
		v.OneOf = append(v.OneOf, f(a))
	}
	return v
}

// BitOp is the boolean operation of two registers (NFT_BITWISE_AND/OR/XOR,
// since 6.13).
type BitOp uint8

const (
	BitAnd BitOp = iota
	BitOr
	BitXor
)

// Bool2 combines two registers.
type Bool2 struct {
	Op   BitOp
	X, Y Expr
}

func (b *Bool2) Width() int { return b.X.Width() }

func (b *Bool2) Eval(p *Packet) Value {
	x, y := b.X.Eval(p), b.Y.Eval(p)
	x.OneOf, y.OneOf = nil, nil
	for i := range x.N {
		xb, xk, yb, yk := x.Bits[i], x.Known[i], y.Bits[i], y.Known[i]
		switch b.Op {
		case BitAnd:
			x.Known[i] = xk&yk | xk&^xb | yk&^yb
			x.Bits[i] = xb & yb
		case BitOr:
			x.Known[i] = xk&yk | xk&xb | yk&yb
			x.Bits[i] = xb | yb
		case BitXor:
			x.Known[i] = xk & yk
			x.Bits[i] = (xb ^ yb) & x.Known[i]
		}
		if x.From[i] == FromEntry {
			x.From[i] = y.From[i]
		}
	}
	x.AssumedBy |= y.AssumedBy
	x.UnknownBy |= y.UnknownBy
	x.absorbAbsence(&y)
	return x
}

// Shift moves X by By bits over 32-bit words in host order
// (nft_bitwise_eval_lshift, nft_bitwise_eval_rshift).
type Shift struct {
	X    Expr
	Left bool
	By   uint32
	Len  int
}

func (s *Shift) Width() int { return s.Len }

func (s *Shift) Eval(p *Packet) Value {
	return mapAlternatives(s.X.Eval(p), func(v Value) Value {
		v.N = min(s.Len, MaxValue)
		if s.By == 0 || s.By >= 32 {
			return UnknownBytes(v.N, FromOpaque)
		}
		s.words(p.order(), &v.Bits, v.N)
		// what moves in is a known 0: shift the unknown bits instead
		var unknown [MaxValue]byte
		for i := range v.N {
			unknown[i] = ^v.Known[i]
		}
		s.words(p.order(), &unknown, v.N)
		from := FromEntry
		for i := range v.N {
			if v.From[i] != FromEntry {
				from = v.From[i]
			}
		}
		for i := range v.N {
			v.Known[i] = ^unknown[i]
			v.From[i] = from
		}
		return v
	})
}

func (s *Shift) words(o binary.ByteOrder, b *[MaxValue]byte, n int) {
	// registers are padded with zeros to a multiple of four bytes
	words := (n + 3) / 4
	var carry uint32
	for k := range words {
		i := k
		if s.Left {
			i = words - 1 - k
		}
		w := o.Uint32(b[i*4:])
		if s.Left {
			o.PutUint32(b[i*4:], w<<s.By|carry)
			carry = w >> (32 - s.By)
		} else {
			o.PutUint32(b[i*4:], w>>s.By|carry)
			carry = w << (32 - s.By)
		}
	}
}

// Byteorder swaps each Size bytes of X between host and network order
// (nft_byteorder; hton and ntoh are the same swap).
type Byteorder struct {
	X         Expr
	ToNetwork bool
	Size, Len int
}

func (b *Byteorder) Width() int { return b.Len }

func (b *Byteorder) Eval(p *Packet) Value {
	return mapAlternatives(b.X.Eval(p), func(v Value) Value {
		v.N = min(b.Len, MaxValue)
		if isBigEndian(p.order()) || b.Size < 2 {
			return v
		}
		for at := 0; at+b.Size <= v.N; at += b.Size {
			for i, j := at, at+b.Size-1; i < j; i, j = i+1, j-1 {
				v.Bits[i], v.Bits[j] = v.Bits[j], v.Bits[i]
				v.Known[i], v.Known[j] = v.Known[j], v.Known[i]
				v.From[i], v.From[j] = v.From[j], v.From[i]
			}
		}
		return v
	})
}

func isBigEndian(o binary.ByteOrder) bool {
	switch o { // the usual ones without a call, for which bytes would escape
	case binary.LittleEndian:
		return false
	case binary.BigEndian:
		return true
	case binary.NativeEndian:
		return nativeBig
	}
	return o.Uint16([]byte{0, 1}) == 1
}

var nativeBig = binary.NativeEndian.Uint16([]byte{0, 1}) == 1

// MapLookup is the data that Set holds for Key (nft_lookup with a destination
// register). No element: the rule ends.
type MapLookup struct {
	Key Expr
	Set *Set
}

func (m *MapLookup) Width() int { return m.Set.DataLen }

func (m *MapLookup) Eval(p *Packet) Value {
	key := m.Key.Eval(p)
	v := m.Set.Load(&key)
	if !m.Set.Changeable() {
		return v
	}
	if p.SetsOpen && v.Absent == No {
		v.Absent, v.AbsentBy = Unknown, Of(FromSet)
	} else if v.Absent == No {
		v.AssumedBy |= Of(FromSet)
	} else {
		v.AbsentBy |= Of(FromSet)
	}
	return v
}

// Numgen is a counter or a random number below Modulus, plus Offset
// (nft_numgen), host order.
type Numgen struct {
	Random          bool
	Modulus, Offset uint32
}

func (*Numgen) Width() int { return 4 }
func (n *Numgen) Eval(p *Packet) Value {
	return below(p, n.Modulus, n.Offset, FromRandom)
}

// Hash is jhash of X, or the flow's symmetric hash when Symmetric, modulo
// Modulus, plus Offset (nft_hash), host order.
type Hash struct {
	Symmetric             bool
	X                     Expr
	Modulus, Seed, Offset uint32
	HasSeed               bool
	// Blind: what is hashed stands for something else, so that the kernel's
	// hash is another one.
	Blind bool
}

func (*Hash) Width() int { return 4 }

// Eval follows nft_jhash_eval: with a seed that the rule gives, and bytes that
// are known, so is the hash. The seed that the kernel draws itself it does not
// tell, nor that of the symmetric hash.
func (h *Hash) Eval(p *Packet) Value {
	if h.Symmetric || !h.HasSeed || h.Blind || h.Modulus == 0 {
		return below(p, h.Modulus, h.Offset, FromHash)
	}
	x := h.X.Eval(p)
	if !x.IsKnown() || len(x.OneOf) > 0 {
		return below(p, h.Modulus, h.Offset, FromHash)
	}
	scaled := uint64(jhash(x.Bytes(), h.Seed, p.order())) * uint64(h.Modulus) >> 32 // reciprocal_scale
	v := KnownUint(p.order(), 4, uint64(uint32(scaled)+h.Offset))
	v.AssumedBy, _ = x.Sources()
	return v
}

// maxAlternatives bounds how many values of an unknown number are listed.
const maxAlternatives = 64

// below is an unknown number of [offset, offset+modulus), host order. Few
// possibilities are listed one by one, so that a map lookup stays narrow.
func below(p *Packet, modulus, offset uint32, s Source) Value {
	v := UnknownBytes(4, s)
	if modulus == 1 {
		return KnownUint(p.order(), 4, uint64(offset))
	}
	if modulus == 0 || modulus > maxAlternatives {
		return v
	}
	v.UnknownBy = Of(s)
	v.OneOf = make([]Value, modulus)
	for i := range modulus {
		v.OneOf[i] = KnownUint(p.order(), 4, uint64(offset+i))
	}
	return v
}
