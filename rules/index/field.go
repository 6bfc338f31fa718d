package index

import (
	"encoding/binary"

	"github.com/ntdiag/ntdiag/rules"
)

// maxWidth is how many bytes a field can have.
const maxWidth = 16

// word is the bytes of a field, filled up with zeros. Words compare as the
// bytes do.
type word struct{ hi, lo uint64 }

func wordOf(b []byte) word {
	if len(b) == 4 { // as most
		return word{hi: uint64(binary.BigEndian.Uint32(b)) << 32}
	}
	var full [maxWidth]byte
	copy(full[:], b)
	return word{binary.BigEndian.Uint64(full[:8]), binary.BigEndian.Uint64(full[8:])}
}

func (w word) less(o word) bool { return w.hi < o.hi || w.hi == o.hi && w.lo < o.lo }

func (w word) compare(o word) int {
	switch {
	case w.less(o):
		return -1
	case o.less(w):
		return 1
	}
	return 0
}

// hash spreads words; seed makes it another one.
func (w word) hash(seed uint64) uint64 {
	h := (w.hi ^ seed) * 0x9e3779b97f4a7c15
	h = (h ^ h>>32 ^ w.lo) * 0xd6e8feb86659fd93
	return h ^ h>>32
}

func (w word) or(o word) word     { return word{w.hi | o.hi, w.lo | o.lo} }
func (w word) and(o word) word    { return word{w.hi & o.hi, w.lo & o.lo} }
func (w word) andNot(o word) word { return word{w.hi &^ o.hi, w.lo &^ o.lo} }

// ones is the word of a field of n bytes all of whose bits are set.
func ones(n int) word {
	if n <= 8 {
		return word{hi: ^uint64(0) << (64 - 8*n)}
	}
	return word{^uint64(0), ^uint64(0) << (128 - 8*n)}
}

// step is the least word of n bytes that is greater; false for the greatest.
func (w word) step(n int) (word, bool) {
	if w == ones(n) {
		return w, false
	}
	if n <= 8 {
		return word{hi: w.hi + 1<<(64-8*n)}, true
	}
	lo := w.lo + 1<<(128-8*n)
	if lo == 0 {
		w.hi++
	}
	return word{w.hi, lo}, true
}

// back is the greatest word of n bytes that is less; false for 0.
func (w word) back(n int) (word, bool) {
	if w == (word{}) {
		return w, false
	}
	if n <= 8 {
		return word{hi: w.hi - 1<<(64-8*n)}, true
	}
	if w.lo == 0 {
		return word{w.hi - 1, ones(n).lo}, true
	}
	return word{w.hi, w.lo - 1<<(128-8*n)}, true
}

// field is something that rules compare.
type field struct {
	fieldKey
	x rules.Expr
	// needed: a part or a guard looks at it.
	needed bool
}

// fieldKey tells fields apart.
type fieldKey struct {
	kind fieldKind
	a, b uint32
	n    int // bytes
	mask word
	bits bool // behind mask
}

type fieldKind uint8

const (
	ofPayload fieldKind = iota
	ofMeta
	ofCt
)

// keyOf names what an expression loads, false where it is none of the fields.
func keyOf(x rules.Expr) (k fieldKey, ok bool) {
	switch x := x.(type) {
	case *rules.Payload:
		k = fieldKey{kind: ofPayload, a: uint32(x.Base), b: uint32(x.Off), n: x.Len}
		ok = x.Off >= 0
	case *rules.Meta:
		k, ok = fieldKey{kind: ofMeta, a: uint32(x.Key), n: x.Width()}, true
	case *rules.Ct:
		k, ok = fieldKey{kind: ofCt, a: uint32(x.Key), b: uint32(x.Dir), n: x.Width()}, true
	}
	return k, ok && k.n > 0 && k.n <= maxWidth
}

// place is the field that x looks at, and behind which mask: a prefix of the
// field is looked at as the whole of it, other bits are a field of their own.
func place(x rules.Expr) (k fieldKey, of rules.Expr, prefix word, ok bool) {
	b, masked := x.(*rules.Bitwise)
	if !masked {
		k, ok = keyOf(x)
		return k, x, ones(max(k.n, 1)), ok
	}
	k, ok = keyOf(b.X)
	if !ok || len(b.Mask) != k.n || len(b.Xor) != k.n || wordOf(b.Xor) != (word{}) {
		return k, x, word{}, false
	}
	mask := wordOf(b.Mask)
	if rest, more := ones(k.n).andNot(mask).step(k.n); !more || rest.and(ones(k.n).andNot(mask)) == (word{}) {
		return k, b.X, mask, true
	}
	k.mask, k.bits = mask, true
	return k, x, ones(k.n), true
}

// settled is how a field's value stands.
type settled uint8

const (
	// open: it is not known, or not wholly.
	open settled = iota
	// waiting: it is known, and rests on what has decided nothing so far.
	waiting
	// known, and whatever it decides tells nothing new.
	known
	// absent: every condition on it fails, which tells nothing new.
	absent
)

// load takes the field from the packet; used is what has decided anything.
func (f *field) load(p *rules.Packet, used rules.Sources) (word, settled) {
	if !f.bits {
		switch {
		case f.kind == ofPayload && f.a == uint32(rules.PayloadNetwork):
			return fromImage(&p.Net, int(f.b), f.n, used)
		case f.kind == ofPayload && f.a == uint32(rules.PayloadTransport):
			return fromImage(&p.Trans, int(f.b), f.n, used)
		case f.kind == ofMeta && f.a == uint32(rules.MetaL4proto):
			return word{hi: uint64(p.Proto) << 56}, known
		}
	}
	v := f.x.Eval(p)
	switch {
	case v.Absent == rules.Yes && v.AbsentBy&^used == 0:
		return word{}, absent
	case v.Absent == rules.Yes:
		return word{}, waiting
	case len(v.OneOf) > 0 || v.N != f.n || !v.IsKnown():
		return word{}, open
	}
	if assumed, _ := v.Sources(); assumed&^used != 0 {
		return word{}, waiting
	}
	return wordOf(v.Bits[:v.N]), known
}

func fromImage(im *rules.Image, off, n int, used rules.Sources) (word, settled) {
	if off+n > im.N {
		return word{}, open
	}
	by := rules.Sources(0)
	for i := off; i < off+n; i++ {
		if im.Known[i] != 0xff {
			return word{}, open
		}
		by |= rules.Of(im.From[i])
	}
	if by&^used != 0 {
		return word{}, waiting
	}
	return wordOf(im.Bits[off : off+n]), known
}
