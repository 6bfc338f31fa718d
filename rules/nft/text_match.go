package nft

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/ntdiag/ntdiag/rules"
)

var cmpSigns = [...]string{"==", "!=", "<", "<=", ">", ">="}

// bigEndian puts register bytes into network order.
func (p *printer) bigEndian(t typed, data []byte) []byte {
	if !t.host || p.order.Uint16([]byte{0, 1}) == 1 {
		return data
	}
	out := slices.Clone(data)
	slices.Reverse(out)
	return out
}

// value prints register bytes in the type of t.
func (p *printer) value(t typed, data []byte) string { return p.valueAs(t, data, (*datatype).format) }

func (p *printer) valueAs(t typed, data []byte, print func(*datatype, []byte) string) string {
	if len(t.parts) > 0 {
		var out []string
		for i, part := range t.split(data) {
			out = append(out, p.valueAs(t.parts[i], part, print))
		}
		return strings.Join(out, " . ")
	}
	if t.typ == nil {
		t.typ = typeRaw
	}
	if t.typ.text {
		return print(t.typ, data)
	}
	data = p.bigEndian(t, data)
	if t.typ == typeIfindex {
		return p.link(uint32(number(data)))
	}
	if t.shift > 0 {
		data = shiftRight(data, t.shift)
	}
	return print(t.typ, data)
}

// split cuts the data of a concatenation into its fields.
func (t typed) split(data []byte) [][]byte {
	var out [][]byte
	for _, part := range t.parts {
		n := min(part.n, len(data))
		out = append(out, data[:n])
		data = data[min(pad(n), len(data)):]
	}
	return out
}

func shiftRight(b []byte, n int) []byte {
	out := make([]byte, len(b))
	for i := range b {
		from := i - n/8
		if from >= 0 {
			out[i] = b[from] >> (n % 8)
		}
		if from >= 1 && n%8 != 0 {
			out[i] |= b[from-1] << (8 - n%8)
		}
	}
	return out
}

// match renders a comparison, and notes what it tells of later headers.
func (p *printer) match(m *rules.Match) {
	if x, left := innerOf(m.Left); x != nil {
		p.inside(x, func() { p.match(&rules.Match{Left: left, Op: m.Op, Right: m.Right}) })
		return
	}
	if bw, ok := m.Left.(*rules.Bitwise); ok && p.masked(m, bw) {
		return
	}
	left, right := m.Left, m.Right
	if pl, ok := left.(*rules.Payload); ok && len(right) == pl.Len && m.Op <= rules.CmpNeq && p.pieces(pl, m.Op, right) {
		return
	}
	if sl, ok := left.(*rules.Slice); ok && p.front(m, sl) {
		return
	}
	t := p.expr(left)
	want := p.list(t, right)
	if _, ok := left.(*rules.Payload); ok && t.typ.flags && len(t.typ.bits(number(right))) > 1 {
		want = t.typ.print(right) // several flags of a header have no names by themselves
	}
	p.add(t.text + p.sign(t, m.Op, right) + " " + want)
	p.learn(left, m.Op, p.bigEndian(t, right))
}

// front renders a comparison of the first bytes of an address.
func (p *printer) front(m *rules.Match, sl *rules.Slice) bool {
	if _, ok := sl.X.(*rules.Payload); ok || sl.Off != 0 || m.Op > rules.CmpNeq {
		return false
	}
	t := p.expr(sl.X)
	if !t.typ.prefix || t.host || len(m.Right) >= t.n {
		return false
	}
	data := make([]byte, t.n)
	copy(data, m.Right)
	p.add(fmt.Sprintf("%s%s %s/%d", t.text, p.sign(t, m.Op, data), p.value(t, data), 8*len(m.Right)))
	return true
}

// sign is the comparison as it is written: == mostly goes without saying.
func (p *printer) sign(t typed, op rules.CmpOp, right []byte) string {
	one := t.typ.flags && len(t.typ.bits(number(p.bigEndian(t, right)))) <= 1
	if op == rules.CmpEq && !t.computed && !one {
		return ""
	}
	if int(op) >= len(cmpSigns) {
		return " ?"
	}
	return " " + cmpSigns[op]
}

// list prints a constant, in braces of its own where it is several flags.
func (p *printer) list(t typed, data []byte) string {
	if t.typ == typeIfname || t.typ == typeString {
		return t.typ.format(data)
	}
	return p.value(t, data)
}

// masked renders the comparisons with a mask that nft has a form for.
func (p *printer) masked(m *rules.Match, bw *rules.Bitwise) bool {
	if m.Op != rules.CmpEq && m.Op != rules.CmpNeq || !isZero(bw.Xor) || len(m.Right) != len(bw.Mask) {
		return false
	}
	not := ""
	if m.Op == rules.CmpNeq {
		not = "!= "
	}
	if t, ok := p.bitField(bw.X, bw.Mask); ok {
		p.add(t.text + " " + not + p.value(t, m.Right))
		return true
	}
	before := p.deps
	t := p.expr(bw.X)
	mask := p.bigEndian(t, bw.Mask)
	switch {
	case t.typ.flags && t.typ.names != nil || t.typ == typeCtLabel:
		p.flags(m, t, bw.Mask, not)
		return true
	case t.typ.prefix:
		if n, ok := prefixLen(mask); ok {
			p.add(t.text + " " + not + p.value(t, m.Right) + "/" + decimal([]byte{byte(n)}))
			return true
		}
	}
	p.deps = before
	return false
}

// flags renders a test of single bits (flagcmp_expr, OP_IMPLICIT, OP_NEG).
func (p *printer) flags(m *rules.Match, t typed, mask []byte, not string) {
	names := func(data []byte, sep string) string {
		return strings.ReplaceAll(p.value(t, data), " | ", sep)
	}
	single := len(t.typ.bits(number(p.bigEndian(t, mask)))) == 1
	switch {
	case isZero(m.Right) && m.Op == rules.CmpNeq:
		p.add(t.text + " " + names(mask, ","))
	case isZero(m.Right):
		p.add(t.text + " ! " + names(mask, ","))
	case bytes.Equal(m.Right, mask) && single:
		p.add(t.text + " & " + names(mask, ",") + " " + cmpSigns[m.Op] + " " + names(m.Right, ","))
	default:
		p.add(t.text + " " + not + names(m.Right, ",") + " / " + names(mask, ","))
	}
}

// piece is a field, or the front of one, inside a longer comparison.
type piece struct {
	h    *header
	f    *field
	n    int    // bits of it that are compared
	data []byte // in as few bytes as hold n bits, right-aligned
}

// pieces renders a comparison of several adjoining fields, or of the front of
// one, which nft joins and cuts where it loads them (payload_expr_expand).
func (p *printer) pieces(pl *rules.Payload, op rules.CmpOp, right []byte) bool {
	if _, f := p.field(pl.Base, pl.Off*8, pl.Len*8); f != nil {
		return false
	}
	out := p.cut(pl, right)
	not := ""
	if op == rules.CmpNeq {
		not = "!= "
	}
	if len(out) == 0 || op == rules.CmpNeq && len(out) != 1 {
		return false
	}
	for _, x := range out {
		p.imply(x.h, x.f)
		t := typed{text: x.h.name + " " + x.f.name, typ: x.f.typ, n: len(x.data)}
		if x.n < x.f.bits {
			data := make([]byte, x.f.bits/8)
			copy(data, x.data)
			p.add(t.text + " " + not + p.value(t, data) + "/" + decimal([]byte{byte(x.n)}))
			continue
		}
		p.add(t.text + p.sign(t, op, x.data) + " " + p.value(t, x.data))
		if op == rules.CmpEq {
			p.learnField(x.h, x.f, number(x.data))
		}
	}
	return true
}

// cut is the fields that the compared bytes are, nil where they are not whole
// ones, but for the front of an address.
func (p *printer) cut(pl *rules.Payload, right []byte) (out []piece) {
	for off, end := pl.Off*8, (pl.Off+pl.Len)*8; off < end; {
		h, at := p.headerAt(pl.Base, off)
		if h == nil || h == headerTh {
			return nil
		}
		i := slices.IndexFunc(h.fields, func(f field) bool { return f.off == at && p.icmpFits(&f) })
		if i < 0 {
			return nil
		}
		f := &h.fields[i]
		n := min(f.bits, end-off)
		if n < f.bits && (!f.typ.prefix || n%8 != 0) {
			return nil
		}
		data := shiftRight(right, end-off-n)
		data = slices.Clone(data[len(data)-(n+7)/8:])
		if n%8 != 0 {
			data[0] &= 1<<(n%8) - 1
		}
		out = append(out, piece{h, f, n, data})
		off += n
	}
	return out
}

// learn takes from a condition which headers a packet has that meets it; v is
// in network order.
func (p *printer) learn(left rules.Expr, op rules.CmpOp, v []byte) {
	if op != rules.CmpEq || len(v) > 8 {
		return
	}
	n := number(v)
	switch x := left.(type) {
	case *rules.Meta:
		p.learnMeta(x.Key, n)
	case *rules.Payload:
		if h, f := p.field(x.Base, x.Off*8, x.Len*8); f != nil {
			p.learnField(h, f, n)
		}
	}
}

func (p *printer) learnMeta(key rules.MetaKey, v uint64) {
	switch key {
	case rules.MetaNfproto:
		p.learnHeader(rules.PayloadNetwork, families[v], nil, v)
	case rules.MetaProtocol:
		p.learnHeader(rules.PayloadNetwork, networks[v], nil, v)
	case rules.MetaL4proto:
		p.icmpImpliesNetwork(byte(v))
		p.learnHeader(rules.PayloadTransport, transports[byte(v)], nil, v)
	case rules.MetaIiftype, rules.MetaOiftype:
		if v == 1 {
			p.learnHeader(rules.PayloadLink, headerEther, nil, v)
		}
	}
}

// icmpImpliesNetwork: ICMP says that it is IPv4, ICMPv6 that it is IPv6
// (meta_may_dependency_kill).
func (p *printer) icmpImpliesNetwork(l4proto byte) {
	h := p.headers[rules.PayloadNetwork]
	if d := p.deps[rules.PayloadNetwork]; d != nil && d.header == nil &&
		(l4proto == 1 && h == headerIP || l4proto == 58 && h == headerIP6) {
		p.drop(rules.PayloadNetwork)
	}
}

func (p *printer) learnField(h *header, f *field, v uint64) {
	if !f.next {
		return
	}
	switch {
	case h == headerICMP || h == headerICMP6:
		p.icmpType = int(v)
		p.depend(rules.PayloadTransport, h, v)
	case h.base == rules.PayloadLink && vlans[v]:
		p.stacked = append(p.stacked, headerVlan)
		p.depend(rules.PayloadLink, h, v)
	case h.base == rules.PayloadLink:
		p.learnHeader(rules.PayloadNetwork, networks[v], h, v)
	case h.base == rules.PayloadNetwork:
		p.learnHeader(rules.PayloadTransport, transports[byte(v)], h, v)
	}
}

func (p *printer) learnHeader(base rules.PayloadBase, next, by *header, v uint64) {
	if next != nil {
		p.headers[base] = next
	}
	p.depend(base, by, v)
}

// matchRange renders a range.
func (p *printer) matchRange(m *rules.MatchRange) {
	t := p.expr(m.Left)
	not := ""
	if m.Invert {
		not = "!= "
	}
	p.add(t.text + " " + not + p.rangeText(t, m.Lo, m.Hi))
}

// rangeText prints lo-hi; both ends as numbers.
func (p *printer) rangeText(t typed, lo, hi []byte) string {
	return p.valueAs(t, lo, (*datatype).formatNumber) + "-" + p.valueAs(t, hi, (*datatype).formatNumber)
}

// pair renders two comparisons that are one range: from a lower bound to an
// upper one of the same thing.
func (p *printer) pair(s, next rules.Statement) bool {
	m := asRange(s, next)
	if m != nil {
		p.matchRange(m)
	}
	return m != nil
}

func asRange(s, next rules.Statement) *rules.MatchRange {
	lo, ok1 := s.(*rules.Match)
	hi, ok2 := next.(*rules.Match)
	if !ok1 || !ok2 || lo.Op != rules.CmpGte || hi.Op != rules.CmpLte || !reflect.DeepEqual(lo.Left, hi.Left) {
		return nil
	}
	return &rules.MatchRange{Left: lo.Left, Lo: lo.Right, Hi: hi.Right}
}

// yields is how the data of a map is printed, if s is one.
func (p *printer) yields(s *rules.Set) typed {
	if s == nil || s.Flags&rules.SetMap == 0 {
		return typed{}
	}
	return p.dataType(s)
}

// inSet renders a lookup.
func (p *printer) inSet(m *rules.InSet) {
	t := p.expr(m.Key)
	not := ""
	if m.Invert {
		not = "!= "
	}
	p.add(t.text + " " + not + p.setRef(m.Set, t, p.yields(m.Set)))
}
