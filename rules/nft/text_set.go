package nft

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"
	"strings"

	"github.com/ntdiag/ntdiag/rules"
)

// setRef names a set, or lists the elements of one that has no name.
func (p *printer) setRef(s *rules.Set, key, data typed) string {
	if s == nil {
		return "@?"
	}
	if s.Flags&rules.SetAnonymous == 0 {
		return "@" + Escape(s.Name)
	}
	return "{ " + strings.Join(p.elements(s, key, data), ", ") + " }"
}

// elements prints each element in the order of listing, the catchall last as
// nft does.
func (p *printer) elements(s *rules.Set, key, data typed) []string {
	if s.Missing != "" && len(s.Elements) == 0 {
		return []string{"?"}
	}
	var out, last []string
	for i := range s.Elements {
		e := &s.Elements[i]
		text := p.element(s, e, key, data)
		if e.Catchall {
			last = append(last, text)
			continue
		}
		out = append(out, text)
	}
	return append(out, last...)
}

// sort puts the elements of a set in the order of their keys as numbers, as
// nft lists them; those of a concatenation with intervals it leaves as the
// kernel gives them. Catchalls come last.
func (p *printer) sort(s *rules.Set) {
	key := p.key(s)
	if s.Flags&rules.SetInterval != 0 && len(key.parts) > 1 || len(s.Elements) < 2 {
		return
	}
	type row struct {
		head uint64 // the first bytes of the key
		at   int32
		last bool
	}
	width := 0
	for i := range s.Elements {
		width = max(width, len(s.Elements[i].Key))
	}
	keys := make([]byte, 0, width*len(s.Elements))
	ends := make([]int32, 1, len(s.Elements)+1) // where each key ends; it begins where the last one ends
	rows := make([]row, len(s.Elements))
	for i := range s.Elements {
		e := &s.Elements[i]
		from := len(keys)
		keys = p.appendComparable(keys, key, e.Key)
		ends = append(ends, int32(len(keys)))
		var head [8]byte
		copy(head[:], keys[from:])
		rows[i] = row{binary.BigEndian.Uint64(head[:]), int32(i), e.Catchall}
	}
	slices.SortFunc(rows, func(a, b row) int {
		switch {
		case a.last != b.last:
			return map[bool]int{true: 1, false: -1}[a.last]
		case a.head != b.head:
			return cmp.Compare(a.head, b.head)
		}
		if c := bytes.Compare(keys[ends[a.at]:ends[a.at+1]], keys[ends[b.at]:ends[b.at+1]]); c != 0 {
			return c
		}
		return int(a.at - b.at)
	})
	// each cycle of the permutation by itself, so that no second list is made
	for i := range rows {
		at := int(rows[i].at)
		if at == i || at < 0 {
			continue
		}
		first := s.Elements[i]
		to := i
		for at != i {
			s.Elements[to] = s.Elements[at]
			rows[to].at = -1
			to, at = at, int(rows[at].at)
		}
		s.Elements[to], rows[to].at = first, -1
	}
}

// appendComparable adds a key in network order. nft reads the fields of a
// concatenation as one number in the host's order, which puts the last first.
func (p *printer) appendComparable(out []byte, t typed, key []byte) []byte {
	from := len(out)
	if len(t.parts) == 0 {
		out = append(out, key...)
		if t.host && p.order.Uint16([]byte{0, 1}) != 1 {
			slices.Reverse(out[from:])
		}
		return out
	}
	for i := range t.parts {
		n := min(t.parts[i].n, len(key))
		out = append(out, key[:n]...)
		key = key[min(pad(n), len(key)):]
	}
	if p.order.Uint16([]byte{0, 1}) != 1 {
		slices.Reverse(out[from:])
	}
	return out
}

func (p *printer) element(s *rules.Set, e *rules.Element, key, data typed) string {
	out := "*"
	if !e.Catchall {
		out = p.keyText(key, e.Key, e.KeyEnd)
	}
	for _, st := range e.Exprs {
		out += " " + p.inner(st)
	}
	if e.Timeout != 0 && e.Timeout != s.Timeout {
		out += " timeout " + timeText(e.Timeout)
	}
	if p.counters && e.Expires != 0 {
		out += " expires " + timeText(e.Expires)
	}
	if e.Comment != "" {
		out += " comment " + quote(e.Comment)
	}
	switch {
	case e.Verdict != nil:
		out += " : " + p.verdict(e.Verdict)
	case e.Object != "":
		out += " : " + quote(e.Object)
	case s.Flags&rules.SetMap != 0 && len(e.Data) > 0:
		out += " : " + p.dataText(data, e.Data)
	}
	return out
}

// dataText prints what a map yields: a value, or an interval of them as one
// value after the other.
func (p *printer) dataText(t typed, data []byte) string {
	n := pad(t.n)
	if len(t.parts) > 0 {
		n = 0
		for _, part := range t.parts {
			n += pad(part.n)
		}
	}
	if n == 0 || len(data) != 2*n {
		return p.value(t, data)
	}
	return p.keyText(t, data[:n], data[n:])
}

// keyText prints a key, or an interval of keys: field by field in a
// concatenation.
func (p *printer) keyText(t typed, lo, hi []byte) string {
	if hi == nil || bytes.Equal(lo, hi) {
		return p.value(t, lo)
	}
	if len(t.parts) > 0 {
		los, his := t.split(lo), t.split(hi)
		var out []string
		for i := range t.parts {
			out = append(out, p.keyText(t.parts[i], los[i], his[i]))
		}
		return strings.Join(out, " . ")
	}
	if t.typ == nil {
		t.typ = typeRaw
	}
	if t.typ.text {
		// the interval of the names that begin alike
		return `"` + strings.TrimSuffix(strings.Trim(quoteName(lo), `"`), "*") + `*"`
	}
	if n, ok := prefixOf(p.bigEndian(t, lo), p.bigEndian(t, hi)); ok && t.typ.prefix {
		return fmt.Sprintf("%s/%d", p.value(t, lo), n)
	}
	return p.rangeText(t, lo, hi)
}

// prefixOf is the length of the prefix that lo to hi is.
func prefixOf(lo, hi []byte) (int, bool) {
	if len(lo) != len(hi) {
		return 0, false
	}
	n, rest := 0, false
	for i := range lo {
		diff := lo[i] ^ hi[i]
		same := bits.LeadingZeros8(diff)
		tail := byte(0xff >> same)
		if rest {
			same, tail = 0, 0xff
		}
		if lo[i]&tail != 0 || hi[i]&tail != tail {
			return 0, false
		}
		n += same
		rest = rest || same < 8
	}
	return n, true
}

// dataType is how a map's data is printed.
func (p *printer) dataType(s *rules.Set) typed {
	if s == nil {
		return typed{typ: typeBitmask}
	}
	return typeNumber(s.DataType, s.DataLen)
}

// typeNumber reads nft's number of a type: six bits a field for
// concatenations.
func typeNumber(n uint32, width int) typed {
	if n == rules.DataTypeVerdict {
		return typed{typ: typeVerdict}
	}
	if n>>6 == 0 {
		t := typed{typ: typeBitmask, n: width}
		if int(n) < len(setTypes) && setTypes[n] != nil {
			t.typ = setTypes[n]
		}
		if t.typ.text {
			return t
		}
		if t.typ.width > 0 {
			t.n = t.typ.width
		}
		t.host = t.typ.host || t.typ == typeInteger
		return t
	}
	out := typed{typ: typeInteger, n: width}
	for shift := 24; shift >= 0; shift -= 6 {
		if id := n >> shift & 0x3f; id != 0 {
			part := typeNumber(id, 0)
			part.n = part.typ.width
			out.parts = append(out.parts, part)
		}
	}
	return out
}

// inner prints a statement that belongs to an element or to a dynset.
func (p *printer) inner(s rules.Statement) string {
	q := p.fresh()
	if c, ok := s.(*rules.Counter); ok && !p.counters && c.Name == "" {
		return "counter"
	}
	q.statement(s)
	return q.text()
}

// key is how the keys of a named set are printed.
func (p *printer) key(s *rules.Set) typed {
	t := typeNumber(s.KeyType, s.KeyLen)
	if len(t.parts) == 0 {
		// intervals are kept in network order (NFTNL_UDATA_SET_KEYBYTEORDER)
		if b := userdata(s.UserData, udataSetKeyOrder); len(b) == 4 {
			t.host = p.order.Uint32(b) == byteorderHost
		}
		if s.Flags&rules.SetInterval != 0 {
			t.host = false
		}
		return t
	}
	if len(s.FieldLens) == len(t.parts) {
		for i, n := range s.FieldLens {
			t.parts[i].n = n
		}
	}
	if s.Flags&rules.SetInterval != 0 {
		for i := range t.parts {
			t.parts[i].host = false
		}
	}
	return t
}

const (
	udataSetKeyOrder = 0 // NFTNL_UDATA_SET_KEYBYTEORDER
	byteorderHost    = 1 // nft's BYTEORDER_HOST_ENDIAN
)
