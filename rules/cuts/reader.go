package cuts

import "github.com/ntdiag/ntdiag/rules"

// piece is the part of one field that an expression loads.
type piece struct {
	fields []Field
	width  int // of the field, in bytes
	off    int // the first byte of the field that is loaded
	from   int // where it stands in what the expression loads
	n      int
}

// reader is an expression that loads fields as they are, some bits masked away.
type reader struct {
	pieces    []piece
	mask, xor []byte // of all that is loaded; nil for none
	width     int
}

// header is one field of a header that an entry tells: where it begins, and
// which values of the entry it can hold.
type header struct {
	off, n int
	fields []Field
}

var (
	headers4 = []header{{12, 4, sources}, {16, 4, destinations}}
	headers6 = []header{{8, 16, sources}, {24, 16, destinations}}
	// ports of all protocols that have them; the id of an ICMP query, which
	// stands behind type and code, is told apart by readerOf
	headersL4 = []header{{0, 2, sports}, {2, 2, dports}}
)

// idAt is where the id of an ICMP query stands.
const idAt, idEnd = 4, 6

// leaf is what a plain expression loads; plain is false for one that this
// package does not know.
func (b *Builder) leaf(x rules.Expr) (pieces []piece, plain bool) {
	switch x := x.(type) {
	case *rules.Payload:
		return b.payload(x), true
	case *rules.Ct:
		return b.ct(x), true
	case *rules.Const, *rules.Tainted, *rules.Meta, *rules.Exthdr, *rules.Inner, *rules.Rt, *rules.Socket, *rules.Fib,
		*rules.Numgen, *rules.Unrecorded, *rules.Osf, *rules.Xfrm, *rules.Tunnel:
		// no field, or one that is told apart elsewhere: protocol and family; fib
		// asks the routes
		return nil, true
	}
	return nil, false
}

func (b *Builder) payload(x *rules.Payload) (out []piece) {
	var table []header
	switch x.Base {
	case rules.PayloadNetwork:
		table = headers4
		if b.family == rules.FamilyIPv6 {
			table = headers6
		}
	case rules.PayloadTransport:
		table = headersL4
		if x.Off < idEnd && x.Off+x.Len > idAt {
			b.rawID = true
		}
	}
	for _, h := range table {
		lo, hi := max(x.Off, h.off), min(x.Off+x.Len, h.off+h.n)
		if lo < hi {
			out = append(out, piece{fields: h.fields, width: h.n, off: lo - h.off, from: lo - x.Off, n: hi - lo})
		}
	}
	return out
}

// ct is a tuple of the entry: the original one, or the reply tuple as it stands
// at that point, which NAT makes of either.
func (b *Builder) ct(x *rules.Ct) []piece {
	src := x.Key == rules.CtSrc || x.Key == rules.CtSrcIP || x.Key == rules.CtSrcIP6 || x.Key == rules.CtProtoSrc
	dst := x.Key == rules.CtDst || x.Key == rules.CtDstIP || x.Key == rules.CtDstIP6 || x.Key == rules.CtProtoDst
	if !src && !dst {
		return nil
	}
	of := Addresses
	width := 4
	if b.family == rules.FamilyIPv6 {
		width = 16
	}
	if x.Key == rules.CtProtoSrc || x.Key == rules.CtProtoDst {
		of, width = Ports, 2
	}
	fields := of
	if x.Dir != rules.CtDirReply {
		fields = of[:1]
		if dst {
			fields = of[1:2]
		}
	}
	return []piece{{fields: fields, width: width, n: min(x.Width(), width)}}
}

// readerOf takes an expression apart into what it loads, false when it computes
// something else from it.
func (b *Builder) readerOf(x rules.Expr) (r reader, ok bool) {
	switch x := x.(type) {
	case *rules.Bitwise:
		if r, ok = b.readerOf(x.X); !ok || r.mask != nil || len(x.Mask) != len(x.Xor) {
			return r, false
		}
		r.mask, r.xor, r.width = x.Mask, x.Xor, len(x.Mask)
		return r, true
	case *rules.Slice:
		if r, ok = b.readerOf(x.X); !ok {
			return r, false
		}
		return r.slice(x.Off, x.Len)
	}
	pieces, plain := b.leaf(x)
	return reader{pieces: pieces, width: x.Width()}, plain
}

// slice is n bytes of what is loaded, from off.
func (r reader) slice(off, n int) (reader, bool) {
	if off < 0 || off+n > r.width {
		return r, len(r.pieces) == 0
	}
	var pieces []piece
	for _, p := range r.pieces {
		lo, hi := max(p.from, off), min(p.from+p.n, off+n)
		if lo < hi {
			pieces = append(pieces, piece{fields: p.fields, width: p.width, off: p.off + lo - p.from, from: lo - off, n: hi - lo})
		}
	}
	r.pieces, r.width = pieces, n
	if r.mask != nil {
		if off+n > len(r.mask) {
			return r, false
		}
		r.mask, r.xor = r.mask[off:off+n], r.xor[off:off+n]
	}
	return r, true
}

// raw makes everything that the reader loads raw.
func (b *Builder) rawPieces(r reader) {
	for _, p := range r.pieces {
		b.Raw(p.fields)
	}
}

// equal cuts where the reader is compared with c for equality, or with its first
// bytes.
func (b *Builder) equal(r reader, c []byte) {
	for _, p := range r.pieces {
		if p.from >= len(c) {
			continue
		}
		if lo, hi, ok := r.interval(p, c); ok {
			b.Add(p.fields, WordOf(lo[:p.width]), WordOf(hi[:p.width]))
		} else {
			b.Raw(p.fields)
		}
	}
}

// interval are the first and the last value of a field of which the piece is as
// in c; it is none where bits are left out before bits that count.
func (r *reader) interval(p piece, c []byte) (lo, hi [16]byte, ok bool) {
	if p.off != 0 || p.width > 16 {
		return lo, hi, false
	}
	for i := range p.width {
		hi[i] = 0xff
	}
	gap := false
	for i := range min(p.n, len(c)-p.from) {
		mask, want := byte(0xff), c[p.from+i]
		if r.mask != nil {
			mask, want = r.mask[p.from+i], want^r.xor[p.from+i]
		}
		if mask != 0 && gap || !leading(mask) {
			return lo, hi, false
		}
		lo[i], hi[i] = want&mask, want&mask|^mask
		gap = mask != 0xff
	}
	return lo, hi, true
}

// leading tells whether the ones of a mask stand before its zeros.
func leading(mask byte) bool { return ^mask&(^mask+1) == 0 }

// within cuts where the reader is compared with lo and hi as a number; one of
// them can be nil.
func (b *Builder) within(r reader, lo, hi []byte) {
	if len(r.pieces) == 0 {
		return
	}
	p := r.pieces[0]
	if len(r.pieces) > 1 || p.off != 0 || p.from != 0 || p.n != r.width || r.mask != nil || p.width > 16 {
		b.rawPieces(r)
		return
	}
	for _, end := range []struct {
		c    []byte
		fill byte
	}{{lo, 0}, {hi, 0xff}} {
		if end.c == nil {
			continue
		}
		var v [16]byte
		for i := range p.width {
			v[i] = end.fill
		}
		copy(v[:min(p.n, len(end.c))], end.c)
		w := WordOf(v[:p.width])
		b.Add(p.fields, w, w) // more than is needed: both sides of the end
	}
}
