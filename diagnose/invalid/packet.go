package invalid

import (
	"encoding/binary"
	"net/netip"

	"github.com/ntdiag/ntdiag/rules"
)

// Raw is a packet as nfnetlink_log hands it over. The devices are not here:
// they come as indexes, and who knows their names sets them in the Message.
type Raw struct {
	Prefix  []byte // the reason: "nf_ct_proto_6: invalid new "
	Payload []byte // from the network header on, as much as was copied
	Header  []byte // of the link layer
	Mark    uint32
	UID     uint32 // HasUID: this host sent it
	HasUID  bool
}

// ParsePacket is Parse for a packet of nfnetlink_log. It fills m as the line of
// the same packet would, and with more: the ports of SCTP and DCCP, the
// verification tag, and what there is of a header that was cut. It reports
// whether the packet is one of conntrack's: other rules may log to the same
// group.
func ParsePacket(r *Raw, m *Message) bool {
	if !read(r.Prefix, m, true) || m.Kind != KindInvalid && m.Kind != KindHelper {
		m.Kind = KindNone
		return false
	}
	d := decoder{m: m}
	d.packet(r.Payload, &m.Packet)
	if m.Packet.Proto == 0 && m.Packet.Family != rules.FamilyUnspec && !d.proto {
		m.Packet.Proto = m.LogProto
	}
	if r.Mark != 0 {
		m.Packet.Mark = r.Mark
		m.Packet.Has |= HasMark
	}
	if r.HasUID {
		m.Packet.UID = r.UID
		m.Packet.Has |= HasUID
	}
	if h := r.Header; len(h) >= 14 && isEthernet(binary.BigEndian.Uint16(h[12:])) {
		m.SrcMAC = [6]byte(h[6:])
		m.HasMAC = true
	}
	return true
}

// decoder reads headers where dump_ipv4_packet and dump_ipv6_packet print them.
type decoder struct {
	m     *Message
	proto bool // the outer packet tells its protocol
}

// packet reads a packet from its network header on.
func (d *decoder) packet(b []byte, p *Packet) {
	version := byte(0)
	if len(b) > 0 {
		version = b[0] >> 4
	}
	switch {
	case version == 4 && len(b) >= 20:
		d.ipv4(b, p)
	case version == 6 && len(b) >= 40:
		d.ipv6(b, p)
	default:
		p.Has |= HasTruncated
	}
}

func (d *decoder) inner(p *Packet) bool { return p == &d.m.Inner }

func (d *decoder) ipv4(b []byte, p *Packet) {
	p.Family = rules.FamilyIPv4
	p.Src = netip.AddrFrom4([4]byte(b[12:]))
	p.Dst = netip.AddrFrom4([4]byte(b[16:]))
	p.Len = uint32(binary.BigEndian.Uint16(b[2:]))
	p.TTL = b[8]
	p.Has |= HasLen | HasTTL
	const moreFragments, offset = 0x2000, 0x1fff
	frag := binary.BigEndian.Uint16(b[6:])
	if frag&(moreFragments|offset) != 0 {
		p.FragOff = frag & offset
		p.Has |= HasFrag
	}
	p.Proto = b[9]
	d.proto = d.proto || !d.inner(p)
	header := int(b[0]&15) * 4
	if header < 20 || header > len(b) {
		p.Has |= HasTruncated
		return
	}
	if p.FragOff == 0 {
		d.transport(b[header:], p)
	}
}

// IPv6 extension headers that nf_ip6_ext_hdr knows.
const (
	extHopByHop = 0
	extRouting  = 43
	extFragment = 44
	extESP      = 50
	extAH       = 51
	extDest     = 60
)

func (d *decoder) ipv6(b []byte, p *Packet) {
	p.Family = rules.FamilyIPv6
	p.Src = netip.AddrFrom16([16]byte(b[8:]))
	p.Dst = netip.AddrFrom16([16]byte(b[24:]))
	p.Len = uint32(binary.BigEndian.Uint16(b[4:])) + 40
	p.TTL = b[7]
	p.Has |= HasLen | HasTTL
	d.extensions(b[6], b[40:], p)
}

// extensions follows the chain of headers, the first of which is next.
func (d *decoder) extensions(next uint8, rest []byte, p *Packet) {
	for {
		least, unit := 2, 8 // bytes that are looked at, bytes that a length counts
		switch next {
		case extHopByHop, extRouting, extDest:
		case extAH:
			least, unit = 12, 4
		case extFragment:
			least, unit = 8, 0
		default:
			p.Proto = next
			d.proto = d.proto || !d.inner(p)
			if p.FragOff == 0 {
				d.transport(rest, p)
			}
			return
		}
		if !need(rest, 2, p) {
			return
		}
		if p.FragOff != 0 && next != extFragment {
			return // not the first fragment: what follows is no header
		}
		if next == extFragment {
			p.Has |= HasFrag
		}
		if !need(rest, least, p) {
			return
		}
		if next == extFragment {
			p.FragOff = max(p.FragOff, binary.BigEndian.Uint16(rest[2:])>>3)
		}
		next, rest = rest[0], rest[min(8+int(rest[1])*unit, len(rest)):]
	}
}

// transport reads the header behind the network header.
func (d *decoder) transport(b []byte, p *Packet) {
	switch p.Proto {
	case protoTCP:
		ports(b, p)
		tcp(b, p)
	case protoUDP, protoUDPLite:
		ports(b, p)
		need(b, 8, p)
	case protoSCTP:
		ports(b, p)
		if len(b) >= 8 {
			p.VTag = binary.BigEndian.Uint32(b[4:])
			p.Has |= HasVTag
		}
	case protoDCCP:
		ports(b, p)
	case protoICMP:
		if p.Family == rules.FamilyIPv4 {
			d.icmp(b, p)
		}
	case protoICMPv6:
		if p.Family == rules.FamilyIPv6 {
			d.icmpv6(b, p)
		}
	case extESP:
		need(b, 8, p)
	case extAH:
		need(b, 12, p)
	}
}

// need notes when b is shorter than the header.
func need(b []byte, n int, p *Packet) bool {
	if len(b) < n {
		p.Has |= HasTruncated
		return false
	}
	return true
}

func ports(b []byte, p *Packet) {
	if len(b) >= 4 {
		p.SPort, p.DPort = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
		p.Has |= HasPorts
	}
}

func tcp(b []byte, p *Packet) {
	if len(b) >= 12 {
		p.Seq, p.Ack = binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint32(b[8:])
		p.Has |= HasSeq
	}
	if !need(b, 20, p) {
		return
	}
	p.TCPFlags = b[13]
	p.Window = binary.BigEndian.Uint16(b[14:])
	p.Has |= HasTCP
	need(b, int(b[12]>>4)*4, p)
}

// icmpNeeds is required_len of dump_ipv4_packet.
var icmpNeeds = [19]int{0: 4, 3: 28, 4: 28, 5: 28, 8: 4, 11: 28, 12: 28, 13: 20, 14: 20, 17: 12, 18: 12}

func (d *decoder) icmp(b []byte, p *Packet) {
	if !icmpType(b, p) {
		return
	}
	typ := int(b[0])
	if typ < len(icmpNeeds) && !need(b, icmpNeeds[typ], p) {
		return
	}
	switch typ {
	case 0, 8:
		icmpID(b, p)
	case 3, 4, 5, 11:
		d.quoted(b[8:], p)
	}
}

func (d *decoder) icmpv6(b []byte, p *Packet) {
	if !icmpType(b, p) {
		return
	}
	switch b[0] {
	case 128, 129:
		icmpID(b, p)
	case 1, 2, 3, 4:
		d.quoted(b[8:], p)
	}
}

func icmpType(b []byte, p *Packet) bool {
	if len(b) >= 2 {
		p.ICMPType, p.ICMPCode = b[0], b[1]
		p.Has |= HasICMP
	}
	return need(b, 8, p)
}

func icmpID(b []byte, p *Packet) {
	p.ICMPID = binary.BigEndian.Uint16(b[4:])
	p.Has |= HasICMPID
}

// quoted reads the packet that an error quotes, one level deep.
func (d *decoder) quoted(b []byte, p *Packet) {
	if d.inner(p) {
		return
	}
	d.m.HasInner = true
	d.packet(b, &d.m.Inner)
}
