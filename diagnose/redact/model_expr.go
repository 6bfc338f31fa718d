package redact

import (
	"math/bits"

	"github.com/ntdiag/ntdiag/rules"
)

// expr handles what an expression is computed from, and gives what stands for
// it and what its bytes are.
func (w *walker) expr(x rules.Expr, h *headers) (rules.Expr, layout) {
	switch x := x.(type) {
	case nil:
		return nil, nil
	case *rules.Const, *rules.Tainted:
		return x, plainly(x.Width())
	case *rules.Slice:
		lay := w.inside(&x.X, h)
		return x, lay.slice(x.Off, x.Len)
	case *rules.Concat:
		var out layout
		for i := range x.Parts {
			out = append(out, w.inside(&x.Parts[i], h).padded()...)
		}
		return x, out
	case *rules.Bitwise:
		return w.masked(x, w.inside(&x.X, h), x.Mask, x.Xor)
	case *rules.Bool2:
		lay := w.inside(&x.X, h)
		if c, ok := x.Y.(*rules.Const); ok && x.Op == rules.BitAnd {
			return w.masked(x, lay, c.Data, make([]byte, len(c.Data)))
		}
		return w.computed(x, lay, w.inside(&x.Y, h))
	case *rules.Shift:
		return w.computed(x, w.inside(&x.X, h))
	case *rules.Byteorder:
		return w.computed(x, w.inside(&x.X, h))
	case *rules.Step:
		return w.computed(x, w.inside(&x.X, h))
	case *rules.NPT:
		w.inside(&x.X, h)
		w.differs("what prefix translation (NPT) makes of an address: it keeps a checksum")
		x.Blind = x.Blind || w.blinds()
		return x, wholly(addr6)
	case *rules.Hash:
		if x.X != nil {
			lay := w.inside(&x.X, h)
			if !lay.plain() && x.HasSeed && !x.Symmetric {
				w.differs("the value of jhash over an address")
				x.Blind = x.Blind || w.blinds()
			}
		}
		return x, plainly(4)
	case *rules.MapLookup:
		w.put(&x.Key, w.key(x.Key, x.Set, h))
		if x.Set == nil {
			return x, plainly(4)
		}
		return x, w.loaded(x.Set)
	}
	return x, w.loads(x, h)
}

// inside handles an operand in its place.
func (w *walker) inside(at *rules.Expr, h *headers) layout {
	x, lay := w.expr(*at, h)
	w.put(at, x)
	return lay
}

// computed is a value that is computed from others: as it is where these stay.
func (w *walker) computed(x rules.Expr, from ...layout) (rules.Expr, layout) {
	for _, lay := range from {
		if !w.flatten(lay) {
			return w.blind(x), plainly(x.Width())
		}
	}
	return x, plainly(x.Width())
}

// fewBits of an address may stay for the sake of what is computed from them.
const fewBits = 16

// flatten makes what lay says stay, false where that is too much of an address.
func (w *walker) flatten(lay layout) bool {
	for _, p := range lay {
		switch {
		case p.stays():
		case p.meaning != addr4 && p.meaning != addr6 || p.bits > fewBits:
			return false
		default:
			mask := make([]byte, p.n)
			setOnes(mask, p.bits)
			w.bits(p.meaning, p.off, mask)
		}
	}
	return true
}

// masked is x, which is (what lay says & mask) ^ xor: of a prefix it is the
// network; other bits of an address stay.
func (w *walker) masked(x rules.Expr, lay layout, mask, xor []byte) (rules.Expr, layout) {
	var out layout
	at := 0
	for _, p := range lay {
		m, flip := cut(mask, at, p.n), cut(xor, at, p.n)
		at += p.n
		n, prefix := prefixLen(m)
		if p.address() {
			w.literal(m) // the mask is written as an address
		}
		switch {
		case p.stays() || p.meaning == secret:
		case prefix && n == 8*p.n && isZero(flip):
		case prefix && p.off == 0 && isZero(flip) && (p.address() || p.meaning == mac && n%8 == 0):
			p.bits = min(p.bits, n)
		case p.address():
			w.bits(p.meaning, p.off, m)
			p = piece{meaning: unmapped, n: p.n}
		case p.meaning == mac && p.off == 0 && m[0]&^3 == 0 && isZero(m[1:]):
			p = piece{meaning: unmapped, n: p.n} // whether it is of a group, or given by hand
		default:
			w.differs("a comparison of names, or of hardware addresses, behind a mask")
			return w.blind(x), plainly(x.Width())
		}
		out = append(out, p)
	}
	return x, out
}

func (p piece) address() bool { return p.meaning == addr4 || p.meaning == addr6 }

// cut is n bytes of b from at, zeros where it ends before.
func cut(b []byte, at, n int) []byte {
	out := make([]byte, n)
	if at < len(b) {
		copy(out, b[at:])
	}
	return out
}

// compare is what lay is compared with.
func (w *walker) compare(lay layout, op rules.CmpOp, right []byte) []byte {
	switch {
	case op <= rules.CmpNeq:
		return w.each(lay, right)
	}
	if lay.plain() {
		return right
	}
	top, zero := make([]byte, len(right)), make([]byte, len(right))
	for i := range top {
		top[i] = 0xff
	}
	switch {
	case op == rules.CmpGte:
		lo, _ := w.between(lay, right, top)
		return lo
	case op == rules.CmpLte:
		_, hi := w.between(lay, zero, right)
		return hi
	case op == rules.CmpGt && string(right) != string(top):
		lo, _ := w.between(lay, nextTo(right, 1), top)
		return nextTo(lo, -1)
	case op == rules.CmpLt && !isZero(right):
		_, hi := w.between(lay, zero, nextTo(right, -1))
		return nextTo(hi, 1)
	}
	return right
}

// each maps the parts of b.
func (w *walker) each(lay layout, b []byte) []byte {
	var out []byte
	at := 0
	for _, p := range lay {
		end := min(at+p.n, len(b))
		if at >= end {
			break
		}
		v := b[at:end]
		if p.meaning == unmapped {
			w.literal(v)
		}
		if !p.stays() {
			p.n, p.bits = len(v), min(p.bits, 8*len(v))
			v = w.value(p, v)
		}
		out = append(out, v...)
		at = end
	}
	return append(out, b[min(at, len(b)):]...)
}

// between maps what lies from lo to hi, part by part.
func (w *walker) between(lay layout, lo, hi []byte) (l, h []byte) {
	return w.parts(lay, lo, hi, w.interval)
}

func (w *walker) parts(lay layout, lo, hi []byte, do func(piece, []byte, []byte) ([]byte, []byte)) (l, h []byte) {
	at := 0
	for _, p := range lay {
		end := min(at+p.n, len(lo), len(hi))
		if at >= end {
			break
		}
		a, b := lo[at:end], hi[at:end]
		if p.meaning == unmapped {
			w.literal(a)
			w.literal(b)
		}
		if !p.stays() {
			p.n, p.bits = len(a), min(p.bits, 8*len(a))
			if string(a) == string(b) {
				v := w.value(p, a)
				a, b = v, v
			} else {
				a, b = do(p, a, b)
			}
		}
		l, h = append(l, a...), append(h, b...)
		at = end
	}
	return append(l, lo[min(at, len(lo)):]...), append(h, hi[min(at, len(hi)):]...)
}

// keyLayout and dataLayout are what the keys and the data of a set are.
func (w *walker) keyLayout(s *rules.Set) layout {
	return byType(s.KeyType, s.KeyLen, s.FieldLens, w.useOf(s).key)
}

func (w *walker) dataLayout(s *rules.Set) layout {
	if s.Verdicts() || s.Flags&rules.SetMap == 0 {
		return plainly(s.DataLen)
	}
	n := s.DataLen
	if one := byType(s.DataType, 0, nil, nil).padded().width(); n == 2*one {
		n = one // of intervals each element has both ends
	}
	return byType(s.DataType, n, nil, w.useOf(s).data)
}

// loaded is what a look-up in a map loads.
func (w *walker) loaded(s *rules.Set) layout {
	lay := w.dataLayout(s)
	if p := lay.padded(); 2*p.width() == s.DataLen {
		return append(p[:len(p):len(p)], p...)
	}
	return lay
}

// set maps the elements of a set.
func (w *walker) set(s *rules.Set) {
	if w.done[s] {
		return
	}
	w.done[s] = true
	key, data, u := w.keyLayout(s), w.dataLayout(s), w.useOf(s)
	w.list(s.Exprs, newHeaders(rules.FamilyUnspec))
	for i := range s.Elements {
		e := &s.Elements[i]
		k, end, d := e.Key, e.KeyEnd, e.Data
		if !e.Catchall {
			if end == nil {
				k = w.each(key, k)
			} else {
				k, end = w.between(key, k, end)
			}
		}
		if len(d) > 0 {
			d = w.data(data, d, u)
		}
		if w.blinds() {
			e.Key, e.KeyEnd, e.Data = k, end, d
		}
		w.list(e.Exprs, newHeaders(rules.FamilyUnspec))
	}
}

// data is what a map yields: a value, or the first and the last of several.
func (w *walker) data(lay layout, d []byte, u *use) []byte {
	n := lay.padded().width()
	if len(d) != 2*n {
		return w.each(lay, d)
	}
	lo, hi := w.parts(lay.padded(), d[:n], d[n:], func(p piece, a, b []byte) ([]byte, []byte) {
		if u.nat && p.address() {
			return w.target(p, u.netmap, a, b)
		}
		return w.interval(p, a, b)
	})
	return append(lo, hi...)
}

func popcount(b []byte) int {
	n := 0
	for _, x := range b {
		n += bits.OnesCount8(x)
	}
	return n
}
