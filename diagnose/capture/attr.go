package capture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
)

var (
	be = binary.BigEndian
	ne = binary.NativeEndian
)

// Flags in the type of a netlink attribute (include/uapi/linux/netlink.h).
const (
	attrNested = 1 << 15
	attrNet    = 1 << 14 // NLA_F_NET_BYTEORDER
	attrType   = 1<<14 - 1
)

var errAttrLength = errors.New("malformed attribute")

// attrs walks netlink attributes: for ok := a.next(); ok; ok = a.next() {}.
// Afterwards bad tells whether it ended before the end. Headers are in the
// byte order of this machine.
type attrs struct {
	b   []byte
	typ uint16
	net bool // attrNet: the value is in network byte order
	val []byte
	bad bool
}

func (a *attrs) next() bool {
	if len(a.b) < 4 {
		a.bad = a.bad || len(a.b) > 0 && !allZero(a.b)
		return false
	}
	n := int(ne.Uint16(a.b))
	if n < 4 || n > len(a.b) {
		a.bad = true
		return false
	}
	typ := ne.Uint16(a.b[2:])
	a.typ, a.net = typ&attrType, typ&attrNet != 0
	a.val = a.b[4:n]
	a.b = a.b[min((n+3)&^3, len(a.b)):]
	return true
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// Readers of one attribute's value in network byte order. The bool is false
// when the length is another.
func u8(b []byte) (uint8, bool) {
	if len(b) != 1 {
		return 0, false
	}
	return b[0], true
}

func beU16(b []byte) (uint16, bool) {
	if len(b) != 2 {
		return 0, false
	}
	return be.Uint16(b), true
}

func beU32(b []byte) (uint32, bool) {
	if len(b) != 4 {
		return 0, false
	}
	return be.Uint32(b), true
}

func beU64(b []byte) (uint64, bool) {
	if len(b) != 8 {
		return 0, false
	}
	return be.Uint64(b), true
}

// Readers of one attribute's value in the byte order that its type names, as
// ipset has them.
func (a *attrs) order() binary.ByteOrder {
	if a.net {
		return be
	}
	return ne
}

func (a *attrs) u16() (uint16, bool) {
	if len(a.val) != 2 {
		return 0, false
	}
	return a.order().Uint16(a.val), true
}

func (a *attrs) u32() (uint32, bool) {
	if len(a.val) != 4 {
		return 0, false
	}
	return a.order().Uint32(a.val), true
}

func (a *attrs) u64() (uint64, bool) {
	if len(a.val) != 8 {
		return 0, false
	}
	return a.order().Uint64(a.val), true
}

func (a *attrs) set8(p *uint8) (ok bool)   { *p, ok = u8(a.val); return ok }
func (a *attrs) set16(p *uint16) (ok bool) { *p, ok = a.u16(); return ok }
func (a *attrs) set32(p *uint32) (ok bool) { *p, ok = a.u32(); return ok }
func (a *attrs) set64(p *uint64) (ok bool) { *p, ok = a.u64(); return ok }

// addr reads an address that is nested as IPSET_ATTR_IPADDR_IPV4 1 or _IPV6 2.
func (a *attrs) addr(p *netip.Addr) bool {
	in := attrs{b: a.val}
	for in.next() {
		if in.typ == 1 && len(in.val) == 4 || in.typ == 2 && len(in.val) == 16 {
			*p, _ = netip.AddrFromSlice(in.val)
			return true
		}
	}
	return false
}

// cstr is the bytes before the NUL.
func cstr(b []byte) []byte {
	for i, c := range b {
		if c == 0 {
			return b[:i]
		}
	}
	return b
}

// builder writes netlink attributes.
type builder struct{ b []byte }

func (w *builder) attr(typ uint16, val []byte) {
	w.b = ne.AppendUint16(w.b, uint16(4+len(val)))
	w.b = ne.AppendUint16(w.b, typ)
	w.b = append(w.b, val...)
	for len(w.b)%4 != 0 {
		w.b = append(w.b, 0)
	}
}

func (w *builder) u8(typ uint16, v uint8)       { w.attr(typ, []byte{v}) }
func (w *builder) beU16(typ uint16, v uint16)   { w.attr(typ, be.AppendUint16(nil, v)) }
func (w *builder) beU32(typ uint16, v uint32)   { w.attr(typ, be.AppendUint32(nil, v)) }
func (w *builder) hostU32(typ uint16, v uint32) { w.attr(typ, ne.AppendUint32(nil, v)) }
func (w *builder) str(typ uint16, s string)     { w.attr(typ, append([]byte(s), 0)) }

// nest writes the attributes that f adds inside typ, nothing when it adds none.
func (w *builder) nest(typ uint16, f func(*builder)) {
	var in builder
	f(&in)
	if len(in.b) > 0 {
		w.attr(typ|attrNested, in.b)
	}
}

func badAttr(what string) error { return fmt.Errorf("%s: %w", what, errAttrLength) }
