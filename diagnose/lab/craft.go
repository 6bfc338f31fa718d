package lab

import (
	"encoding/binary"
	"net/netip"
)

// Packet is a packet that is sent as it is described. Lengths and checksums
// that are left zero are those that a correct sender puts there.
type Packet struct {
	Src, Dst netip.Addr // of one family
	TTL      uint8      // or hop limit; 0 for 64
	TOS      uint8      // or traffic class
	ID       uint16     // of IPv4, and of an IPv6 fragment
	Flow     uint32     // label of IPv6
	DF       bool
	Options  []byte // of IPv4, whole words
	Ext      []Ext  // of IPv6, in order
	// Offset, in units of 8 bytes, and More make it a fragment.
	Offset uint16
	More   bool

	L4 Transport
	// Short is how many bytes of the transport are sent, its header included: the
	// network header says so too. 0 for all.
	Short int

	IHL uint8 // of IPv4, in words; 0 for the right one
}

// Ext is an IPv6 extension header.
type Ext struct {
	Proto uint8 // of it: 0 hop-by-hop, 43 routing, 60 destination options
	// Data follows the two bytes of next header and length: 6 bytes, or 8 more
	// for each further unit.
	Data []byte
}

// Transport is what the network header carries.
type Transport interface {
	// proto is the protocol's number between addresses of src's family.
	proto(src netip.Addr) uint8
	bytes(src, dst netip.Addr) []byte
}

// Sum says which checksum a packet has.
type Sum uint8

// The checksums.
const (
	SumRight Sum = iota
	SumWrong
	SumZero
	// SumAsUDP is for UDP-Lite: the sum with UDP's number in the pseudo header,
	// which is what conntrack looks for (udplite_error).
	SumAsUDP
)

// Bytes is the packet from its network header on.
func (p Packet) Bytes() []byte {
	body := p.L4.bytes(p.Src, p.Dst)
	if p.Short > 0 && p.Short < len(body) {
		body = body[:p.Short]
	}
	if p.Src.Is4() {
		return p.ip4(body)
	}
	return p.ip6(body)
}

// IPv4's flags, in the word that holds the offset.
const (
	dontFragment  = 1 << 14
	moreFragments = 1 << 13
)

func (p Packet) ip4(body []byte) []byte {
	header := 20 + len(p.Options)
	b := make([]byte, header, header+len(body))
	b[0] = 4<<4 | or(p.IHL, uint8(header/4))
	b[1] = p.TOS
	binary.BigEndian.PutUint16(b[2:], uint16(header+len(body)))
	binary.BigEndian.PutUint16(b[4:], p.ID)
	frag := p.Offset
	if p.DF {
		frag |= dontFragment
	}
	if p.More {
		frag |= moreFragments
	}
	binary.BigEndian.PutUint16(b[6:], frag)
	b[8], b[9] = or(p.TTL, 64), p.L4.proto(p.Src)
	copy(b[12:], p.Src.AsSlice())
	copy(b[16:], p.Dst.AsSlice())
	copy(b[20:], p.Options)
	binary.BigEndian.PutUint16(b[10:], fold(add(0, b)))
	return append(b, body...)
}

func (p Packet) ip6(body []byte) []byte {
	ext := p.Ext
	if p.Offset != 0 || p.More {
		ext = append(ext[:len(ext):len(ext)], p.fragment())
	}
	next := p.L4.proto(p.Src)
	for i := len(ext) - 1; i >= 0; i-- {
		body = append(append([]byte{next, uint8(len(ext[i].Data) / 8)}, ext[i].Data...), body...)
		next = ext[i].Proto
	}
	b := make([]byte, 40, 40+len(body))
	binary.BigEndian.PutUint32(b, 6<<28|uint32(p.TOS)<<20|p.Flow)
	binary.BigEndian.PutUint16(b[4:], uint16(len(body)))
	b[6], b[7] = next, or(p.TTL, 64)
	copy(b[8:], p.Src.AsSlice())
	copy(b[24:], p.Dst.AsSlice())
	return append(b, body...)
}

// fragment is the fragment header; its length byte is reserved and 0.
func (p Packet) fragment() Ext {
	b := make([]byte, 6)
	frag := p.Offset << 3
	if p.More {
		frag |= 1
	}
	binary.BigEndian.PutUint16(b, frag)
	binary.BigEndian.PutUint32(b[2:], uint32(p.ID))
	return Ext{Proto: 44, Data: b}
}

// or is v, or what is right where v is left zero.
func or[T comparable](v, right T) T {
	var zero T
	if v == zero {
		return right
	}
	return v
}

// add adds b to a sum of 16-bit words (RFC 1071).
func add(sum uint32, b []byte) uint32 {
	for ; len(b) > 1; b = b[2:] {
		sum += uint32(b[0])<<8 | uint32(b[1])
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	return sum
}

func fold(sum uint32) uint16 {
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// pseudo is the sum of the pseudo header: length is that of the transport, or
// UDP-Lite's own idea of it.
func pseudo(src, dst netip.Addr, proto uint8, length int) uint32 {
	return add(add(uint32(proto)+uint32(length), src.AsSlice()), dst.AsSlice())
}

// put writes the checksum of a whole sum into b.
func (s Sum) put(b []byte, sum uint32) {
	v := fold(sum)
	switch s {
	case SumWrong:
		v ^= 0x0101 // not 0, which UDP takes for none, unless it was 0x0101
		if v == 0 {
			v = 0x0202
		}
	case SumZero:
		v = 0
	}
	binary.BigEndian.PutUint16(b, v)
}
