package nft

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

const (
	// attrHeader is NLA_HDRLEN: two bytes of length, two of type, both in the
	// byte order of the machine that sent them.
	attrHeader = 4
	// attrTypeMask is NLA_TYPE_MASK: without NLA_F_NESTED and
	// NLA_F_NET_BYTEORDER.
	attrTypeMask = 0x3fff
	// attrMax bounds the attribute numbers that attrs keeps.
	attrMax = 31
	// nfgenmsgLen is the header of every nfnetlink message: family, version
	// and a 16-bit resource id.
	nfgenmsgLen = 4
)

var errTruncated = errors.New("attributes are cut short")

// attrIter goes through the netlink attributes of b in order:
//
//	for it := iterate(order, b); it.next(); { it.typ, it.val }
//
// A malformed one ends it, and is in err. val is a part of b: network order for
// numbers, as nf_tables sends them.
type attrIter struct {
	order  binary.ByteOrder
	native bool // order is this machine's, for which no call is needed
	b      []byte
	typ    int
	val    []byte
	err    error
}

func iterate(order binary.ByteOrder, b []byte) attrIter {
	return attrIter{order: order, native: order == binary.ByteOrder(binary.NativeEndian), b: b}
}

func (it *attrIter) next() bool {
	if len(it.b) < attrHeader {
		if len(it.b) > 0 {
			it.err = errTruncated
		}
		return false
	}
	length, typ := binary.NativeEndian.Uint16(it.b), binary.NativeEndian.Uint16(it.b[2:])
	if !it.native { // as a bundle of another machine may have it
		length, typ = it.order.Uint16(it.b), it.order.Uint16(it.b[2:])
	}
	n := int(length)
	if n < attrHeader || n > len(it.b) {
		it.err = errTruncated
		return false
	}
	it.typ, it.val = int(typ&attrTypeMask), it.b[attrHeader:n:n]
	it.b = it.b[min(align4(n), len(it.b)):]
	return true
}

// eachAttr calls f for every netlink attribute of b, in order. What was read
// before a malformed attribute has been given to f already.
func eachAttr(order binary.ByteOrder, b []byte, f func(typ int, val []byte)) error {
	it := iterate(order, b)
	for it.next() {
		f(it.typ, it.val)
	}
	return it.err
}

func align4(n int) int { return (n + 3) &^ 3 }

// attrs are the attributes of one nest by number. Its readers keep the first
// thing that was wrong in err, so that a decoder asks once at the end.
type attrs struct {
	order binary.ByteOrder
	val   [attrMax + 1][]byte
	seen  uint32
	err   error
}

// parseAttrs reads b leniently: the last of two equal attributes wins, as in
// nla_parse, and an unknown one is passed over.
func parseAttrs(order binary.ByteOrder, b []byte) *attrs {
	a := new(attrs)
	a.parse(order, b)
	return a
}

// parse is parseAttrs into attributes that are used again.
func (a *attrs) parse(order binary.ByteOrder, b []byte) {
	a.order, a.seen = order, 0
	it := iterate(order, b)
	for it.next() {
		a.put(it.typ, it.val)
	}
	a.err = it.err
}

// parseStrict reads b and objects to attributes above last and to repeated
// ones: an expression with either means something not known here.
func (a *attrs) parseStrict(order binary.ByteOrder, b []byte, last int) {
	a.order, a.seen, a.err = order, 0, nil
	it := iterate(order, b)
	for it.next() {
		switch {
		case it.typ > last || it.typ > attrMax:
			a.fail(fmt.Errorf("attribute %d is not known", it.typ))
		case a.has(it.typ):
			a.fail(fmt.Errorf("attribute %d is given twice", it.typ))
		}
		a.put(it.typ, it.val)
	}
	if it.err != nil {
		a.fail(it.err)
	}
}

func (a *attrs) put(typ int, val []byte) {
	if typ <= attrMax {
		a.val[typ] = val
		a.seen |= 1 << typ
	}
}

func (a *attrs) has(n int) bool { return a.seen&(1<<n) != 0 }

func (a *attrs) fail(err error) {
	if a.err == nil {
		a.err = err
	}
}

// bytes is the value of attribute n, which must be there.
func (a *attrs) bytes(n int) []byte {
	if !a.has(n) {
		a.fail(fmt.Errorf("attribute %d is missing", n))
		return nil
	}
	return a.val[n]
}

func (a *attrs) fixed(n, size int) []byte {
	b := a.bytes(n)
	if a.has(n) && len(b) != size {
		a.fail(fmt.Errorf("attribute %d has %d bytes, not %d", n, len(b), size))
		return nil
	}
	return b
}

// u8 to u64 read a number that must be there; opt32 one that may be absent.
func (a *attrs) u8(n int) uint8 {
	if b := a.fixed(n, 1); b != nil {
		return b[0]
	}
	return 0
}

func (a *attrs) u16(n int) uint16 {
	if b := a.fixed(n, 2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (a *attrs) u32(n int) uint32 {
	if b := a.fixed(n, 4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (a *attrs) u64(n int) uint64 {
	if b := a.fixed(n, 8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (a *attrs) opt32(n int) uint32 {
	if !a.has(n) {
		return 0
	}
	return a.u32(n)
}

func (a *attrs) opt64(n int) uint64 {
	if !a.has(n) {
		return 0
	}
	return a.u64(n)
}

// name is a string that must be there and not be empty.
func (a *attrs) name(n int) string {
	s := cstring(a.bytes(n))
	if s == "" {
		a.fail(fmt.Errorf("attribute %d is an empty name", n))
	}
	return s
}

// str is a string, "" when it is absent.
func (a *attrs) str(n int) string { return cstring(a.get(n)) }

// nest reads attribute n as attributes, leniently; an absent one is empty.
func (a *attrs) nest(n int) *attrs {
	in := new(attrs)
	a.nestIn(n, in)
	return in
}

// nestIn is nest into attributes that are at hand.
func (a *attrs) nestIn(n int, in *attrs) { in.parse(a.order, a.get(n)) }

// get is the value of attribute n, nil when it is absent.
func (a *attrs) get(n int) []byte {
	if !a.has(n) {
		return nil
	}
	return a.val[n]
}

// value is the NFTA_DATA_VALUE inside attribute n: register bytes.
func (a *attrs) value(n int) []byte {
	b := a.bytes(n)
	if b == nil {
		return nil
	}
	var d attrs
	d.parse(a.order, b)
	v := d.bytes(attrDataValue)
	if d.err == nil && (len(v) == 0 || len(v) > maxData) {
		d.fail(fmt.Errorf("value has %d bytes", len(v)))
	}
	if d.err != nil {
		a.fail(fmt.Errorf("data of attribute %d: %w", n, d.err))
		return nil
	}
	return v
}

// NFTA_DATA_*, NFTA_VERDICT_*, NFTA_LIST_*, NFTA_EXPR_*.
const (
	attrDataValue    = 1
	attrDataVerdict  = 2
	attrVerdictCode  = 1
	attrVerdictChain = 2
	attrListElem     = 1
	attrExprName     = 1
	attrExprData     = 2
)

// maxData is NFT_DATA_VALUE_MAXLEN.
const maxData = 64

// cstring is b up to its first NUL.
func cstring(b []byte) string { return string(cbytes(b)) }

func cbytes(b []byte) []byte {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return b
}

// userdata finds the value of type typ in nft's own list of type, length and
// value (one byte each for the first two), nil when it is not there.
func userdata(b []byte, typ byte) []byte {
	for len(b) >= 2 {
		n := int(b[1])
		if 2+n > len(b) {
			return nil
		}
		if b[0] == typ {
			return b[2 : 2+n]
		}
		b = b[2+n:]
	}
	return nil
}
