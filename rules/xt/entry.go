package xt

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/ntdiag/ntdiag/rules"
)

// The raw expressions that a legacy rule is kept as: the fixed part of its
// entry, each match with its header, and the target with its.
const (
	RawEntry  = "xt_entry"
	RawMatch  = "xt_match"
	RawTarget = "xt_target"
)

// layout is how one family lays its entries out: struct ipt_entry and struct
// ip6t_entry on a 64-bit machine.
type layout struct {
	family   rules.Family
	addr     int // length of an address
	saddr    int // where source and destination stand in the packet
	daddr    int
	flags    int // offset of the byte of flags; that of inversion follows
	size     int // of the fixed part
	offsets  int // of target_offset and next_offset
	counters int
	gotoFlag uint8 // IPT_F_GOTO, IP6T_F_GOTO
}

var layouts = map[rules.Family]layout{
	rules.FamilyIPv4: {family: rules.FamilyIPv4, addr: 4, saddr: 12, daddr: 16, flags: 82, offsets: 88, counters: 96, size: 112, gotoFlag: 2},
	rules.FamilyIPv6: {family: rules.FamilyIPv6, addr: 16, saddr: 8, daddr: 24, flags: 131, offsets: 140, counters: 152, size: 168, gotoFlag: 4},
}

// IPT_INV_*, the same for IPv6; IPT_F_FRAG.
const (
	invIn    = 0x01
	invOut   = 0x02
	invTOS   = 0x04
	invSrc   = 0x08
	invDst   = 0x10
	invFrag  = 0x20
	invProto = 0x40

	fragFlag4  = 0x01
	protoFlag6 = 0x01
	tosFlag6   = 0x02
)

const (
	// blobHeader is struct xt_entry_match and xt_entry_target without data.
	blobHeader = 32
	blobName   = 29 // XT_EXTENSION_MAXNAMELEN
	ifnameLen  = 16
)

// splitBlob takes the first match or target off b, which holds nothing before
// it. An entry gives its whole length, header and padding included.
func splitBlob(order binary.ByteOrder, b []byte) (Blob, int, error) {
	if len(b) < blobHeader {
		return Blob{}, 0, errors.New("extension is cut short")
	}
	n := int(order.Uint16(b))
	if n < blobHeader || n > len(b) {
		return Blob{}, 0, fmt.Errorf("extension of %d bytes where %d are left", n, len(b))
	}
	return Blob{Name: cstring(b[2 : 2+blobName]), Revision: b[2+blobName], Info: b[blobHeader:n:n]}, n, nil
}

// header decodes what an entry itself asks for (ip_packet_match,
// ip6_packet_match): addresses, devices, protocol, fragment.
func (l *layout) header(c *Context, b []byte) []rules.Statement {
	var out []rules.Statement
	add := func(cond rules.Condition) { out = append(out, cond) }
	inv := b[l.flags+1]
	n := l.addr
	addrs := [4][]byte{b[:n], b[n : 2*n], b[2*n : 3*n], b[3*n : 4*n]} // src, dst, smsk, dmsk
	src, dst := addrs[0], addrs[1]
	if l.family == rules.FamilyIPv6 { // ipv6_masked_addr_cmp masks both sides
		src, dst = maskedBytes(src, addrs[2]), maskedBytes(dst, addrs[3])
	}
	if !zero(addrs[2]) || inv&invSrc != 0 {
		add(masked(c.Span, network(l.saddr, n), addrs[2], src, inv&invSrc != 0))
	}
	if !zero(addrs[3]) || inv&invDst != 0 {
		add(masked(c.Span, network(l.daddr, n), addrs[3], dst, inv&invDst != 0))
	}
	dev := b[4*n:]
	if cond := iface(c, rules.MetaIifname, dev, dev[2*ifnameLen:], inv&invIn != 0); cond != nil {
		add(cond)
	}
	if cond := iface(c, rules.MetaOifname, dev[ifnameLen:], dev[3*ifnameLen:], inv&invOut != 0); cond != nil {
		add(cond)
	}
	out = append(out, l.proto(c, b)...)
	if l.family == rules.FamilyIPv4 {
		out = append(out, fragment(c, b[l.flags], inv)...)
	}
	return out
}

// proto asks for the protocol, a number of 16 bits: past 255 it is none that a
// packet can have.
func (l *layout) proto(c *Context, b []byte) []rules.Statement {
	c.Proto = 0
	proto := c.Order.Uint16(b[4*l.addr+4*ifnameLen:])
	not := b[l.flags+1]&invProto != 0
	switch {
	case proto == 0 || !l.asksProto(b):
		return nil
	case proto > 0xff:
		return fixed(c, not)
	case !not:
		c.Proto = uint8(proto)
	}
	return []rules.Statement{masked(c.Span, &rules.Meta{Key: rules.MetaL4proto}, []byte{0xff}, []byte{uint8(proto)}, not)}
}

// fragment asks for a later fragment. Its inversion alone holds for none.
func fragment(c *Context, flags, inv uint8) []rules.Statement {
	op := rules.CmpNeq
	switch {
	case flags&fragFlag4 == 0 && inv&invFrag != 0:
		return fixed(c, false)
	case flags&fragFlag4 == 0:
		return nil
	case inv&invFrag != 0:
		op = rules.CmpEq
	}
	offset := &rules.Bitwise{X: network(6, 2), Mask: []byte{0x1f, 0xff}, Xor: []byte{0, 0}}
	return []rules.Statement{&rules.Match{Span: c.Span, Left: offset, Op: op, Right: []byte{0, 0}}}
}

// asksProto: IPv6 has a flag for it, IPv4 asks wherever it is not 0.
func (l *layout) asksProto(b []byte) bool {
	return l.family == rules.FamilyIPv4 || b[l.flags]&protoFlag6 != 0
}

func zero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// iface compares a device's name behind a mask (ifname_compare_aligned): all of
// it with its NUL, or the front of it.
func iface(c *Context, key rules.MetaKey, name, mask []byte, invert bool) rules.Condition {
	name, mask = name[:ifnameLen], mask[:ifnameLen]
	n := 0
	for n < ifnameLen && mask[n] == 0xff {
		n++
	}
	dev := &rules.Meta{Key: key}
	op := rules.CmpEq
	if invert {
		op = rules.CmpNeq
	}
	switch {
	case n == 0 && zero(mask) && !invert:
		return nil
	case !zero(mask[n:]):
		return masked(c.Span, dev, mask, maskedBytes(name, mask), invert)
	case n > 0 && name[n-1] == 0:
		return &rules.Match{Span: c.Span, Left: dev, Op: op, Right: pad(string(name[:n]), ifnameLen)}
	}
	return &rules.Match{Span: c.Span, Left: dev, Op: op, Right: name[:n]}
}
