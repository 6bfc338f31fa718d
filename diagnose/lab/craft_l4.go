package lab

import (
	"encoding/binary"
	"hash/crc32"
	"net/netip"
)

// Flags of TCP.
const (
	FIN = 1 << iota
	SYN
	RST
	PSH
	ACK
	URG
	ECE
	CWR
)

// TCP is a segment.
type TCP struct {
	SPort, DPort uint16
	Seq, Ack     uint32
	Flags        uint8
	Window       uint16 // 0 for 64240
	Offset       uint8  // of the data, in words; 0 for the right one
	Options      []byte // whole words
	Payload      []byte
	Sum          Sum
}

func (TCP) proto(netip.Addr) uint8 { return 6 }

func (t TCP) bytes(src, dst netip.Addr) []byte {
	b := make([]byte, 20)
	ports(b, t.SPort, t.DPort)
	binary.BigEndian.PutUint32(b[4:], t.Seq)
	binary.BigEndian.PutUint32(b[8:], t.Ack)
	b[12] = or(t.Offset, uint8((20+len(t.Options))/4)) << 4
	b[13] = t.Flags
	binary.BigEndian.PutUint16(b[14:], or(t.Window, 64240))
	b = append(append(b, t.Options...), t.Payload...)
	t.Sum.put(b[16:], add(pseudo(src, dst, 6, len(b)), b))
	return b
}

// UDP is a datagram.
type UDP struct {
	SPort, DPort uint16
	Len          uint16 // 0 for the right one
	Payload      []byte
	Sum          Sum
}

func (UDP) proto(netip.Addr) uint8 { return 17 }

func (u UDP) bytes(src, dst netip.Addr) []byte {
	b := make([]byte, 8, 8+len(u.Payload))
	ports(b, u.SPort, u.DPort)
	b = append(b, u.Payload...)
	binary.BigEndian.PutUint16(b[4:], or(u.Len, uint16(len(b))))
	u.Sum.put(b[6:], add(pseudo(src, dst, 17, len(b)), b))
	return b
}

// UDPLite is a datagram of UDP-Lite (RFC 3828).
type UDPLite struct {
	SPort, DPort uint16
	Coverage     uint16 // of the checksum, in bytes; 0 for all
	Payload      []byte
	Sum          Sum
}

func (UDPLite) proto(netip.Addr) uint8 { return 136 }

func (u UDPLite) bytes(src, dst netip.Addr) []byte {
	b := make([]byte, 8, 8+len(u.Payload))
	ports(b, u.SPort, u.DPort)
	binary.BigEndian.PutUint16(b[4:], u.Coverage)
	b = append(b, u.Payload...)
	covered := len(b)
	if u.Coverage != 0 {
		covered = min(covered, int(u.Coverage))
	}
	proto := uint8(136)
	if u.Sum == SumAsUDP {
		proto = 17
	}
	u.Sum.put(b[6:], add(pseudo(src, dst, proto, len(b)), b[:covered]))
	return b
}

// ICMP is a message of ICMP or, between IPv6 addresses, ICMPv6.
type ICMP struct {
	Type, Code uint8
	Rest       uint32 // of the header: id<<16 | sequence, gateway, MTU, pointer
	Payload    []byte
	Sum        Sum
}

func (ICMP) proto(src netip.Addr) uint8 {
	if src.Is4() {
		return 1
	}
	return 58
}

func (m ICMP) bytes(src, dst netip.Addr) []byte {
	b := make([]byte, 8, 8+len(m.Payload))
	b[0], b[1] = m.Type, m.Code
	binary.BigEndian.PutUint32(b[4:], m.Rest)
	b = append(b, m.Payload...)
	var sum uint32
	if !src.Is4() {
		sum = pseudo(src, dst, 58, len(b))
	}
	m.Sum.put(b[2:], add(sum, b))
	return b
}

// SCTP is a packet of chunks. Of its checksums there is no zero one.
type SCTP struct {
	SPort, DPort uint16
	VTag         uint32
	Chunks       []Chunk
	Sum          Sum
}

// Chunk is one of SCTP: 0 DATA, 1 INIT, 2 INIT ACK, 4 HEARTBEAT, 6 ABORT,
// 10 COOKIE ECHO, 11 COOKIE ACK.
type Chunk struct {
	Type, Flags uint8
	Body        []byte
	// NoLen: the length is 0, which no chunk has.
	NoLen bool
}

func (SCTP) proto(netip.Addr) uint8 { return 132 }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (s SCTP) bytes(_, _ netip.Addr) []byte {
	b := make([]byte, 12)
	ports(b, s.SPort, s.DPort)
	binary.BigEndian.PutUint32(b[4:], s.VTag)
	for _, c := range s.Chunks {
		length := uint16(4 + len(c.Body))
		if c.NoLen {
			length = 0
		}
		b = append(b, c.Type, c.Flags, uint8(length>>8), uint8(length))
		b = append(b, c.Body...)
		b = append(b, make([]byte, -len(b)&3)...)
	}
	sum := crc32.Checksum(b, castagnoli)
	if s.Sum == SumWrong {
		sum ^= 1
	}
	binary.LittleEndian.PutUint32(b[8:], sum)
	return b
}

// Init is the body of an INIT or INIT ACK chunk with the given tag: a window of
// 64 KiB, one stream each way, first TSN 1.
func Init(tag uint32) []byte {
	b := make([]byte, 16)
	binary.BigEndian.PutUint32(b, tag)
	binary.BigEndian.PutUint32(b[4:], 1<<16)
	b[9], b[11], b[15] = 1, 1, 1
	return b
}

// GRE is a packet of GRE: of version 1 (PPTP) with a key, which is the length of
// the payload and the call id.
type GRE struct {
	Version uint8
	Proto   uint16 // 0x0800 IPv4, 0x880b PPP
	CallID  uint16
	Payload []byte
}

func (GRE) proto(netip.Addr) uint8 { return 47 }

func (g GRE) bytes(_, _ netip.Addr) []byte {
	b := []byte{0, g.Version, uint8(g.Proto >> 8), uint8(g.Proto)}
	if g.Version == 1 {
		b[0] = 1 << 5 // key present
		b = binary.BigEndian.AppendUint16(b, uint16(len(g.Payload)))
		b = binary.BigEndian.AppendUint16(b, g.CallID)
	}
	return append(b, g.Payload...)
}

// Raw is any protocol by its number.
type Raw struct {
	Proto   uint8
	Payload []byte
}

func (r Raw) proto(netip.Addr) uint8       { return r.Proto }
func (r Raw) bytes(_, _ netip.Addr) []byte { return append([]byte(nil), r.Payload...) }
func ports(b []byte, source, destination uint16) {
	binary.BigEndian.PutUint16(b, source)
	binary.BigEndian.PutUint16(b[2:], destination)
}
