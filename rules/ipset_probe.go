package rules

import "net/netip"

// partial is a field of a packet as a set looks it up, bit by bit known or
// not: an address, a port, a device's name. Unknown bits are 0.
type partial struct {
	n           int
	bits, known [16]byte
	// assumed and unknown are what its bits rest on.
	assumed, unknown Sources
	// absent: the packet has no such field, which no element matches.
	absent Truth
}

// whole tells whether every bit is known.
func (f *partial) whole() bool {
	for _, k := range f.known[:f.n] {
		if k != 0xff {
			return false
		}
	}
	return f.absent == No
}

// equal asks whether the first bits of the field are those of c.
func (f *partial) equal(c []byte, bits int) Truth {
	t := Yes
	for i := 0; i < f.n && bits > 0; i, bits = i+1, bits-8 {
		mask := byte(0xff)
		if bits < 8 {
			mask <<= 8 - bits
		}
		if (f.bits[i]^c[i])&f.known[i]&mask != 0 {
			return No
		}
		if f.known[i]&mask != mask {
			t = Unknown
		}
	}
	return t
}

// mask applies a mask to the field: what is masked away is known to be 0.
func (f *partial) mask(m []byte) {
	for i := range min(f.n, len(m)) {
		f.known[i] |= ^m[i]
		f.bits[i] &= m[i]
	}
}

// field is n bytes of a header.
func (im *Image) field(off, n int) partial {
	f := partial{n: n, absent: No}
	for i := range n {
		at, from := off+i, FromPayload
		if at < im.N {
			f.bits[i], f.known[i], from = im.Bits[at], im.Known[at], im.From[at]
		}
		f.rest(i, from)
	}
	return f
}

func (f *partial) rest(i int, from Source) {
	if f.known[i] == 0xff {
		f.assumed |= Of(from)
	} else {
		f.unknown |= Of(from)
	}
}

// partialOf takes over a Value of at most 16 bytes.
func partialOf(v Value) partial {
	f := partial{n: min(v.N, 16), absent: v.Absent}
	copy(f.bits[:], v.Bits[:f.n])
	copy(f.known[:], v.Known[:f.n])
	for i := range f.n {
		f.rest(i, v.From[i])
	}
	f.assumed |= v.AssumedBy
	f.unknown |= v.UnknownBy
	switch {
	case v.Absent == Unknown:
		f.unknown |= v.AbsentBy
	case v.Absent == Yes:
		f.assumed = v.AbsentBy
	}
	return f
}

func noField(s Sources) partial { return partial{absent: Yes, assumed: s} }

// ipsetAddr is ip4addrptr and ip6addrptr.
func ipsetAddr(p *Packet, src bool) partial {
	off, n := 16, 4
	if p.Family == FamilyIPv6 {
		off, n = 24, 16
	}
	if src {
		off -= n
	}
	return p.Net.field(off, n)
}

// Protocols of get_port.
const (
	protoICMP    = 1
	protoTCP     = 6
	protoUDP     = 17
	protoICMPv6  = 58
	protoSCTP    = 132
	protoUDPLite = 136
)

// ipsetPortOf is get_port: the port, type and code of ICMP, or 0 for
// protocols that have no ports.
func ipsetPortOf(p *Packet, src bool) partial {
	switch p.Proto {
	case protoTCP, protoUDP, protoSCTP, protoUDPLite:
		if src {
			return p.Trans.field(0, 2)
		}
		return p.Trans.field(2, 2)
	case protoICMP, protoICMPv6:
		return p.Trans.field(0, 2)
	}
	return partial{n: 2, known: [16]byte{0xff, 0xff}, absent: No}
}

// arphrdEther is ARPHRD_ETHER.
const arphrdEther = 1

// ipsetMACOf is what hash_mac4_kadt and its kin take from the Ethernet header
// of a received packet, whose device (skb->dev) must be an Ethernet one. The
// header is there until the packet leaves, then skb->dev is the output device.
// A packet of this machine's own has none yet.
func ipsetMACOf(p *Packet, src bool) partial {
	dev, from := &p.Iif, FromIif
	if p.Hook == Output || p.Hook == Postrouting {
		if p.Iif.State == IfaceNone || p.Hook == Output {
			return noField(0)
		}
		dev, from = &p.Oif, FromOif
	}
	open := UnknownBytes(6, FromLink)
	switch {
	case dev.State == IfaceUnknown || p.Iif.State == IfaceUnknown:
		open.Absent, open.AbsentBy = Unknown, Of(from)|Of(FromIif)
		return partialOf(open)
	case dev.State == IfaceNone || dev.Link.Type != arphrdEther:
		if dev.State == IfaceAssumed {
			return noField(Of(from))
		}
		return noField(0)
	case p.Link.N < 14:
		return partialOf(open)
	}
	f := p.Link.field(0, 6)
	if src {
		f = p.Link.field(6, 6)
	}
	if f.whole() && f.bits == [16]byte{} {
		return noField(f.assumed)
	}
	return f
}

// ipsetIfaceOf is the device's name as hash_netiface4_kadt takes it.
func ipsetIfaceOf(p *Packet, src, physdev bool) partial {
	if physdev {
		f := partialOf(UnknownBytes(16, FromLink))
		f.absent = Unknown
		return f
	}
	dev, from := &p.Oif, FromOif
	if src {
		dev, from = &p.Iif, FromIif
	}
	f := partialOf(dev.name(from))
	if f.whole() && f.bits[0] == 0 {
		return noField(f.assumed)
	}
	return f
}

// ipsetMarkOf is the packet's mark in network byte order.
func ipsetMarkOf(p *Packet, markmask uint32) partial {
	f := partialOf(p.Mark)
	if f.n == 4 && !isBigEndian(p.order()) {
		for _, b := range [...]*[16]byte{&f.bits, &f.known} {
			b[0], b[1], b[2], b[3] = b[3], b[2], b[1], b[0]
		}
	}
	if markmask != 0 {
		f.mask([]byte{byte(markmask >> 24), byte(markmask >> 16), byte(markmask >> 8), byte(markmask)})
	}
	return f
}

// addrBytes is the address padded to 16 bytes, IPv4 in the first four.
func addrBytes(a netip.Addr) (b [16]byte) {
	copy(b[:], a.AsSlice())
	return b
}

// maskBits clears what lies beyond the first bits.
func maskBits(b [16]byte, bits int) [16]byte {
	for i := range b {
		switch at := bits - 8*i; {
		case at <= 0:
			b[i] = 0
		case at < 8:
			b[i] &= 0xff << (8 - at)
		}
	}
	return b
}

// ipsetProbe is what the dimensions of a set take from one packet.
type ipsetProbe struct {
	addrs [2]partial
	port  partial
	proto uint8
	// side is the MAC address, the mark or the device, whichever the type has.
	side    partial
	physdev bool
}

// probe fills the fields as the kadt function of the type does.
func (s *IPSet) probe(t *ipsetType, c *InIPSet, p *Packet) ipsetProbe {
	x := ipsetProbe{proto: p.Proto, physdev: c.Physdev && t.has(ipsetIface)}
	for i := range x.addrs {
		x.addrs[i].absent = No
	}
	x.port.absent, x.side.absent = No, No
	n := 0
	for i, f := range t.fields {
		src := c.Dims[i] == IPSetSrc
		switch f {
		case ipsetIP, ipsetNet:
			x.addrs[n] = ipsetAddr(p, src)
			s.maskAddr(&x.addrs[n])
			n++
		case ipsetPort:
			x.port = ipsetPortOf(p, src)
			if s.bitmap() && p.Proto != protoTCP && p.Proto != protoUDP {
				x.port = noField(0)
			}
		case ipsetMAC:
			x.side = ipsetMACOf(p, src)
		case ipsetMark:
			x.side = ipsetMarkOf(p, s.Markmask)
		case ipsetIface:
			x.side = ipsetIfaceOf(p, src, c.Physdev)
		}
	}
	return x
}

// maskAddr applies the set's netmask or bitmask.
func (s *IPSet) maskAddr(f *partial) {
	if s.Netmask != 0 {
		var ones [16]byte
		for i := range ones {
			ones[i] = 0xff
		}
		m := maskBits(ones, int(s.Netmask))
		f.mask(m[:f.n])
	}
	if s.Bitmask.IsValid() {
		f.mask(s.Bitmask.AsSlice())
	}
}
