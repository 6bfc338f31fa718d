package rules

import (
	"encoding/binary"
	"net/netip"
)

// NPT is an IPv6 address with its prefix translated so that the checksums of
// what it is part of stay (RFC 6296; ip6t_npt_map_pfx).
type NPT struct {
	X        Expr // 16 bytes
	From, To netip.Addr
	Bits     int // the longer one of both prefixes, up to 64
	// Blind: addresses stand for others, of which the checksum is not known.
	Blind bool
}

func (*NPT) Width() int { return 16 }

// Eval: an address of which no word can take the adjustment is dropped, which
// is said as absent.
func (n *NPT) Eval(p *Packet) Value {
	v := n.X.Eval(p)
	v.OneOf = nil
	if n.Blind || v.N != 16 || !v.IsKnown() {
		return UnknownBytes(16, FromIPHeader)
	}
	to := n.To.As16()
	for i := range n.Bits {
		bit := byte(0x80) >> (i % 8)
		v.Bits[i/8] = v.Bits[i/8]&^bit | to[i/8]&bit
	}
	at := 6 // the fourth word
	if n.Bits > 48 {
		for at = 8; at < 16 && v.Bits[at] == 0xff && v.Bits[at+1] == 0xff; at += 2 {
		}
	}
	if at == 16 {
		return Missing(16)
	}
	sum := onesAdd(binary.BigEndian.Uint16(v.Bits[at:]), n.adjustment())
	if sum == 0xffff {
		sum = 0
	}
	binary.BigEndian.PutUint16(v.Bits[at:], sum)
	return v
}

// adjustment is sum(From) - sum(To), in ones' complement (ip6t_npt_checkentry).
func (n *NPT) adjustment() uint16 {
	return onesAdd(onesSum(n.From), ^onesSum(n.To))
}

func onesSum(a netip.Addr) uint16 {
	b, sum := a.As16(), uint16(0)
	for i := 0; i < 16; i += 2 {
		sum = onesAdd(sum, binary.BigEndian.Uint16(b[i:]))
	}
	return sum
}

// onesAdd adds in ones' complement: what is carried out is added.
func onesAdd(a, b uint16) uint16 {
	s := uint32(a) + uint32(b)
	return uint16(s + s>>16)
}
