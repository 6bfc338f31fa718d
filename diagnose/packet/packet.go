// Package packet places the first packet of a flow on a host: its headers, the
// devices it comes in and goes out by, and its way as it is told to a reader.
package packet

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

// First is the packet that made the entry, as far as the entry tells:
// the original tuple, and what follows from being the first of its protocol.
func First(s *host.Snapshot, f *host.Flow) rules.Packet {
	p := rules.Packet{
		Order: s.Order, Family: f.Family, Host: s, Proto: f.Original.Proto,
		// nothing says what arrives with a packet; without a rule a mark is 0
		Mark:     rules.KnownUint(Order(s), 4, 0).AssumedFrom(rules.FromMark),
		Priority: rules.UnknownBytes(4, rules.FromPriority),
		Trace:    rules.UnknownBytes(1, rules.FromTrace),
		Tracked:  rules.No, Untracked: rules.No,
	}
	p.Net = networkHeader(f)
	p.Trans = transportHeader(f)
	p.Ct = newEntry(s, f)
	return p
}

// Order is the byte order of the host.
func Order(s *host.Snapshot) binary.ByteOrder {
	if s.Order == nil {
		return binary.NativeEndian
	}
	return s.Order
}

// newEntry is what init_conntrack makes: mark 0 and no status, unless the flow
// was expected, then it is related and takes its master's mark.
func newEntry(s *host.Snapshot, f *host.Flow) rules.Conntrack {
	o := Order(s)
	ct := rules.Conntrack{
		Mark:        rules.KnownUint(o, 4, 0),
		Labels:      rules.KnownBytes(make([]byte, 16)),
		Zone:        rules.KnownUint(o, 2, uint64(f.Zone)),
		ZoneDirs:    zoneDirs(f),
		Status:      rules.KnownUint(o, 4, 0),
		State:       rules.KnownUint(o, 4, rules.CtStateNew),
		HelperKnown: rules.Yes,
		Original:    f.Original,
		Reply:       Inverse(f.Original),
	}
	if f.Status.Has(host.StatusExpected) {
		ct.State = rules.KnownUint(o, 4, rules.CtStateRelated)
		ct.Status = expectedStatus(o)
		openReply(&ct, f.Reply)
		ct.Mark = rules.UnknownBytes(4, rules.FromCtMark)
		ct.HelperKnown = rules.Unknown
	}
	return ct
}

// expectedStatus is that of an entry that another one expected. The expectation
// can have rewritten it already (nf_nat_follow_master, from init_conntrack).
func expectedStatus(o binary.ByteOrder) rules.Value {
	const byHelper = host.StatusSrcNAT | host.StatusDstNAT | host.StatusSrcNATDone | host.StatusDstNATDone | host.StatusSeqAdjust
	v := rules.KnownUint(o, 4, uint64(host.StatusExpected))
	open := rules.KnownUint(o, 4, uint64(byHelper))
	for i := range v.N {
		v.Known[i] &^= open.Bits[i]
		v.From[i] = rules.FromCtStatus
	}
	return v
}

// openReply: what of the reply tuple was rewritten, the expectation may have
// rewritten before the first rule.
func openReply(ct *rules.Conntrack, r rules.Tuple) {
	if r.Src != ct.Reply.Src {
		ct.Reply.Src = netip.Addr{}
	}
	if r.Dst != ct.Reply.Dst {
		ct.Reply.Dst = netip.Addr{}
	}
	ct.ReplyOpen = r.SrcPort != ct.Reply.SrcPort || r.DstPort != ct.Reply.DstPort
}

func zoneDirs(f *host.Flow) uint8 {
	orig, reply := f.Has&host.HasZoneOrig != 0, f.Has&host.HasZoneReply != 0
	switch {
	case orig && !reply:
		return 1 << rules.CtDirOriginal
	case reply && !orig:
		return 1 << rules.CtDirReply
	}
	return 1<<rules.CtDirOriginal | 1<<rules.CtDirReply
}

// Inverse is nf_ct_invert_tuple; for ICMP the id stays and the type becomes
// that of the answer.
func Inverse(t rules.Tuple) rules.Tuple {
	r := t
	r.Src, r.Dst = t.Dst, t.Src
	if t.Proto == host.ProtoICMP || t.Proto == host.ProtoICMPv6 {
		if answer, ok := icmpAnswers[icmpKey{t.Proto, uint8(t.DstPort >> 8)}]; ok {
			r.DstPort = uint16(answer)<<8 | t.DstPort&0xff
		}
		return r
	}
	r.SrcPort, r.DstPort = t.DstPort, t.SrcPort
	return r
}

type icmpKey struct{ proto, typ uint8 }

// icmpAnswers is invmap of nf_conntrack_proto_icmp.c and its IPv6 twin.
var icmpAnswers = map[icmpKey]uint8{
	{1, 8}: 0, {1, 0}: 8, {1, 13}: 14, {1, 14}: 13, {1, 15}: 16, {1, 16}: 15, {1, 17}: 18, {1, 18}: 17,
	{58, 128}: 129, {58, 129}: 128, {58, 139}: 140, {58, 140}: 139,
}

// networkHeader is the IP header: version, protocol and addresses are told by
// the entry; conntrack defragments, so that no fragment fields are left.
func networkHeader(f *host.Flow) rules.Image {
	if f.Family == rules.FamilyIPv6 {
		im := rules.Image{N: 40}
		im.Open(0, 40, rules.FromIPHeader)
		im.Bits[0], im.Known[0] = 0x60, 0xf0
		im.Open(4, 2, rules.FromLength)
		im.Set(6, []byte{f.Original.Proto}, rules.FromExthdr)
		im.Set(8, f.Original.Src.AsSlice(), rules.FromEntry)
		im.Set(24, f.Original.Dst.AsSlice(), rules.FromEntry)
		return im
	}
	im := rules.Image{N: 20}
	im.Open(0, 20, rules.FromIPHeader)
	im.Bits[0], im.Known[0] = 0x40, 0xf0
	im.Open(2, 2, rules.FromLength)
	im.Known[6], im.Known[7] = 0xbf, 0xff // all but DF: defragmented
	im.From[6], im.From[7] = rules.FromFragment, rules.FromEntry
	im.Set(9, []byte{f.Original.Proto}, rules.FromEntry)
	im.Set(12, f.Original.Src.AsSlice(), rules.FromEntry)
	im.Set(16, f.Original.Dst.AsSlice(), rules.FromEntry)
	return im
}

const tcpSYN = 0x02

// transportHeader: ports are told by the entry; a TCP flow is begun by a SYN,
// or, with tcp_loose, picked up at any packet.
func transportHeader(f *host.Flow) rules.Image {
	t := f.Original
	ports := []byte{byte(t.SrcPort >> 8), byte(t.SrcPort), byte(t.DstPort >> 8), byte(t.DstPort)}
	var im rules.Image
	switch t.Proto {
	case host.ProtoTCP:
		im.N = 20
		im.Open(0, 20, rules.FromTCPHeader)
		im.Set(0, ports, rules.FromEntry)
		im.Set(13, []byte{tcpSYN}, rules.FromTCPHeader)
		im.Known[13] = 0x3f
	case host.ProtoUDP, host.ProtoUDPLite:
		im.N = 8
		im.Open(0, 8, rules.FromLength)
		im.Set(0, ports, rules.FromEntry)
	case host.ProtoSCTP, host.ProtoDCCP:
		im.N = 12
		im.Open(0, 12, rules.FromPayload)
		im.Set(0, ports, rules.FromEntry)
	case host.ProtoICMP, host.ProtoICMPv6:
		im.N = 8
		im.Open(0, 8, rules.FromICMPHeader)
		im.Set(0, ports[2:], rules.FromEntry) // type, code
		im.Set(4, ports[:2], rules.FromEntry) // id
	}
	return im
}

// Locate puts the packet on the host's devices as far as the original tuple
// tells: where it entered the hooks, and by which device.
func Locate(s *host.Snapshot, f *host.Flow, p *rules.Packet) (entry rules.Hook, r rules.Route) {
	// what made the entry of a synproxy is the SYN that this host sends to the
	// server, with the client's address (synproxy_send_server_syn)
	if s.IsLocal(f.Original.Src) == rules.Yes || f.Has&host.HasSynproxy != 0 {
		p.Iif = rules.Iface{State: rules.IfaceNone}
		p.Oif, r = OutDevice(s, p, f.Original.Dst)
		return rules.Output, r
	}
	p.Oif = rules.Iface{State: rules.IfaceNone}
	r, ok := reversePath(s, f)
	if !ok || r.Prefix.Bits() == 0 {
		// the far side of a default route says little; the device that has the
		// address asked for says more, where there are several ways out
		if own, found := holder(s, f.Original.Dst); found {
			p.Iif = Assumed(s, own.Oif)
			return rules.Prerouting, own
		}
	}
	if ok && !r.Multipath {
		p.Iif = Assumed(s, r.Oif)
		return rules.Prerouting, r
	}
	return rules.Prerouting, rules.Route{}
}

// reversePath is the route back to the source. Where it is no more than a
// default one of a policy rule for the destination, and the source is behind
// a route of its own, it is that one.
func reversePath(s *host.Snapshot, f *host.Flow) (rules.Route, bool) {
	o := f.Original
	r, ok := s.ReversePath(o.Src, o.Dst)
	if ok && r.Prefix.Bits() > 0 {
		return r, ok
	}
	from := netip.IPv4Unspecified()
	if o.Src.Is6() {
		from = netip.IPv6Unspecified()
	}
	if plain, found := s.ReversePath(o.Src, from); found && plain.Prefix.Bits() > 0 {
		return plain, true
	}
	return r, ok
}

// holder is the device that has address a, as a route to it.
func holder(s *host.Snapshot, a netip.Addr) (rules.Route, bool) {
	for i := range s.Addrs {
		if own := &s.Addrs[i]; own.Prefix.Addr() == a {
			return rules.Route{Type: rules.AddrLocal, Oif: own.Index, Prefix: netip.PrefixFrom(a, a.BitLen())}, true
		}
	}
	return rules.Route{}, false
}

// OutDevice is the device by which the packet leaves for dst. An address of
// this host is reached over the loopback device, whatever device holds it.
func OutDevice(s *host.Snapshot, p *rules.Packet, dst netip.Addr) (rules.Iface, rules.Route) {
	if s.IsLocal(dst) == rules.Yes {
		if lo, ok := s.LinkByName("lo"); ok {
			return rules.Iface{State: rules.IfaceAssumed, Link: lo}, rules.Route{Type: rules.AddrLocal, Oif: lo.Index}
		}
	}
	q := rules.RouteQuery{Dst: dst, Iif: p.Iif.Link.Index}
	if src, ok := p.Addr(false); ok {
		q.Src = src
	}
	if p.Mark.IsKnown() {
		q.Mark, q.MarkKnown = uint32(p.Mark.Uint(Order(s))), true
	}
	r, ok := s.Route(q)
	if !ok || r.Multipath {
		return rules.Iface{}, r
	}
	return Assumed(s, r.Oif), r
}

// Delivered tells whether a packet to dst ends on this host.
func Delivered(s *host.Snapshot, dst netip.Addr) bool {
	if s.IsLocal(dst) == rules.Yes {
		return true
	}
	t, ok := s.AddrType(dst, 0)
	return ok && (t == rules.AddrLocal || t == rules.AddrBroadcast || t == rules.AddrMulticast)
}

// Assumed is the device of that index, as one that nobody has told; unknown
// when there is none.
func Assumed(s *host.Snapshot, index uint32) rules.Iface {
	link, ok := s.LinkByIndex(index)
	if !ok {
		return rules.Iface{}
	}
	return rules.Iface{State: rules.IfaceAssumed, Link: link}
}

// ICMPBegins tells whether a packet of that type makes an entry: requests do,
// answers and all that is not a query do not (valid_new of
// nf_conntrack_proto_icmp.c, and its IPv6 twin).
func ICMPBegins(proto, typ uint8) bool {
	switch {
	case proto == host.ProtoICMP:
		return typ == 8 || typ == 13 || typ == 15 || typ == 17
	case proto == host.ProtoICMPv6:
		return typ == 128 || typ == 139
	}
	return true
}

// ICMPUntracked tells whether conntrack leaves packets of that type alone:
// neighbour discovery and multicast listeners (noct_valid_new of
// nf_conntrack_proto_icmpv6.c).
func ICMPUntracked(proto, typ uint8) bool {
	return proto == host.ProtoICMPv6 && (typ >= 130 && typ <= 136 || typ == 143)
}

// ICMPError tells whether packets of that type are about another packet
// (icmp_is_err and its IPv6 twin; a redirect too).
func ICMPError(proto, typ uint8) bool {
	if proto == host.ProtoICMPv6 {
		return typ < 128
	}
	return proto == host.ProtoICMP && (typ == 3 || typ == 4 || typ == 5 || typ == 11 || typ == 12)
}

// wayParts are the parts of a snapshot that tell a packet's way.
var wayParts = []string{host.PartLinks, host.PartAddrs, host.PartRoutes, host.PartPolicy}

// TellsWay tells whether a part of a snapshot, by its name in Missing, decides
// the way of a packet: links, addresses, routes, policy rules.
func TellsWay(part string) bool { return slices.Contains(wayParts, part) }
