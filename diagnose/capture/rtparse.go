package capture

import (
	"net/netip"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

// rtnetlink messages: numbers are in the byte order of the machine, addresses
// in network order.

// hostU32 reads a u32 of this machine, 0 when the length is another.
func hostU32(b []byte) uint32 {
	if len(b) != 4 {
		return 0
	}
	return ne.Uint32(b)
}

// stacked are the kinds of devices that are made on one other device.
var stacked = map[string]bool{
	"vlan": true, "macvlan": true, "macvtap": true, "ipvlan": true, "ipvtap": true,
}

const iffUp = 1 // IFF_UP

// parseLink follows rtnl_fill_ifinfo: ifinfomsg, then IFLA_*.
func parseLink(b []byte) (l rules.Link, ok bool) {
	if len(b) < 16 {
		return l, false
	}
	l.Type, l.Index, l.Up = ne.Uint16(b[2:]), ne.Uint32(b[4:]), ne.Uint32(b[8:])&iffUp != 0
	a := attrs{b: b[16:]}
	elsewhere, info := false, []byte(nil)
	for a.next() {
		switch a.typ {
		case 3: // IFLA_IFNAME
			l.Name = string(cstr(a.val))
		case 5: // IFLA_LINK
			l.Parent = hostU32(a.val)
		case 10: // IFLA_MASTER
			l.Master = hostU32(a.val)
		case 18: // IFLA_LINKINFO
			for in := (attrs{b: a.val}); in.next(); {
				switch in.typ {
				case 1: // IFLA_INFO_KIND
					l.Kind = string(cstr(in.val))
				case 2: // IFLA_INFO_DATA
					info = in.val
				}
			}
		case 27: // IFLA_GROUP
			l.Group = hostU32(a.val)
		case 37: // IFLA_LINK_NETNSID
			elsewhere = true
		}
	}
	// for a pair or a tunnel the link is not below the device
	if elsewhere || !stacked[l.Kind] {
		l.Parent = 0
	}
	if l.Kind == "bridge" {
		for in := (attrs{b: info}); in.next(); {
			switch in.typ {
			case 36: // IFLA_BR_NF_CALL_IPTABLES
				l.CallIP = len(in.val) > 0 && in.val[0] != 0
			case 37: // IFLA_BR_NF_CALL_IP6TABLES
				l.CallIP6 = len(in.val) > 0 && in.val[0] != 0
			}
		}
	}
	return l, !a.bad && l.Name != ""
}

// parseAddr follows inet_fill_ifaddr and inet6_fill_ifaddr: ifaddrmsg, IFA_*.
func parseAddr(b []byte) (ad host.Addr, ok bool) {
	if len(b) < 8 {
		return ad, false
	}
	bits := int(b[1])
	ad.Flags, ad.Scope, ad.Index = uint32(b[2]), b[3], ne.Uint32(b[4:])
	var local, address netip.Addr
	a := attrs{b: b[8:]}
	for a.next() {
		switch a.typ {
		case 1: // IFA_ADDRESS
			address, _ = netip.AddrFromSlice(a.val)
		case 2: // IFA_LOCAL
			local, _ = netip.AddrFromSlice(a.val)
		case 8: // IFA_FLAGS: all of them, where ifaddrmsg has eight
			ad.Flags = hostU32(a.val)
		}
	}
	if !local.IsValid() {
		local = address
	}
	if address.IsValid() && address != local {
		ad.Peer = netip.PrefixFrom(address, bits)
	}
	ad.Prefix = netip.PrefixFrom(local, bits)
	ad.Secondary = ad.Flags&1 != 0 // IFA_F_SECONDARY is IFA_F_TEMPORARY
	return ad, !a.bad && ad.Prefix.IsValid()
}

// rtmCloned is RTM_F_CLONED: a cached route, no row of a table.
const rtmCloned = 0x200

// parseRoute follows fib_dump_info and rt6_fill_node: rtmsg, then RTA_*. A
// multipath route is one RouteEntry for each next hop.
func parseRoute(b []byte) (out []host.RouteEntry, ok bool) {
	if len(b) < 12 {
		return nil, false
	}
	flags := ne.Uint32(b[8:])
	if flags&rtmCloned != 0 {
		return nil, true
	}
	e := host.RouteEntry{
		Family: rules.Family(b[0]), Tos: b[3], Table: uint32(b[4]), Proto: b[5], Scope: b[6],
		Type: rules.AddrType(b[7]), Flags: flags & 0xff,
	}
	dst := netip.IPv4Unspecified()
	if e.Family == rules.FamilyIPv6 {
		dst = netip.IPv6Unspecified()
	}
	var hops []byte
	object := false
	a := attrs{b: b[12:]}
	for a.next() {
		switch a.typ {
		case 1: // RTA_DST
			dst, _ = netip.AddrFromSlice(a.val)
		case 6: // RTA_PRIORITY
			e.Priority = hostU32(a.val)
		case 7: // RTA_PREFSRC
			e.PrefSrc, _ = netip.AddrFromSlice(a.val)
		case 9: // RTA_MULTIPATH
			hops = a.val
		case 15: // RTA_TABLE
			e.Table = hostU32(a.val)
		case 30: // RTA_NH_ID
			object = true
		default:
			hopAttr(&e, a.typ, a.val)
		}
	}
	// with net.ipv4.nexthop_compat_mode off a nexthop object is named only
	if object && e.Oif == 0 && hops == nil && e.Type == rules.AddrUnicast {
		return nil, false
	}
	e.Dst = netip.PrefixFrom(dst, int(b[1]))
	if a.bad || !e.Dst.IsValid() {
		return nil, false
	}
	if hops == nil {
		return []host.RouteEntry{e}, true
	}
	return parseHops(e, hops)
}

// hopAttr reads what the route has itself, or each of its next hops.
func hopAttr(e *host.RouteEntry, typ uint16, v []byte) {
	switch typ {
	case 4: // RTA_OIF
		e.Oif = hostU32(v)
	case 5: // RTA_GATEWAY
		e.Gateway, _ = netip.AddrFromSlice(v)
	case 18: // RTA_VIA: family, then an address of it
		if len(v) > 2 {
			e.Gateway, _ = netip.AddrFromSlice(v[2:])
		}
	}
}

// parseHops reads rtnexthop structs: length, flags, weight-1, ifindex, RTA_*.
func parseHops(e host.RouteEntry, b []byte) (out []host.RouteEntry, ok bool) {
	e.Multipath = true
	for len(b) >= 8 {
		n := int(ne.Uint16(b))
		if n < 8 || n > len(b) {
			return nil, false
		}
		h := e
		h.Flags = e.Flags | uint32(b[2])
		h.Oif = ne.Uint32(b[4:])
		a := attrs{b: b[8:n]}
		for a.next() {
			hopAttr(&h, a.typ, a.val)
		}
		if a.bad {
			return nil, false
		}
		out = append(out, h)
		b = b[min((n+3)&^3, len(b)):]
	}
	return out, len(out) > 0
}

// selectorNames are the FRA_* that narrow a policy rule and that are not
// followed.
var selectorNames = map[uint16]string{
	12: "tun_id", 13: "suppress_ifgroup", 20: "uidrange", 22: "ipproto", 23: "sport", 24: "dport",
	25: "dscp", 26: "flowlabel", 28: "sport mask", 29: "dport mask", 30: "dscp mask",
}

// parseRule follows fib_nl_fill_rule: fib_rule_hdr, then FRA_*.
func parseRule(b []byte) (r host.PolicyRule, ok bool) {
	if len(b) < 12 {
		return r, false
	}
	r = host.PolicyRule{Family: rules.Family(b[0]), Table: uint32(b[4]), Action: b[7], SuppressPrefix: -1}
	r.Invert = ne.Uint32(b[8:])&2 != 0 // FIB_RULE_INVERT
	if b[3] != 0 {
		r.Other = append(r.Other, "tos")
	}
	var src, dst netip.Addr
	a := attrs{b: b[12:]}
	for a.next() {
		switch a.typ {
		case 1:
			dst, _ = netip.AddrFromSlice(a.val)
		case 2:
			src, _ = netip.AddrFromSlice(a.val)
		case 3:
			r.Iif = string(cstr(a.val))
		case 4:
			r.Goto = hostU32(a.val)
		case 6:
			r.Priority = hostU32(a.val)
		case 10:
			r.Mark = hostU32(a.val)
		case 14:
			r.SuppressPrefix = int(int32(hostU32(a.val)))
		case 15:
			r.Table = hostU32(a.val)
		case 16:
			r.Mask = hostU32(a.val)
		case 17:
			r.Oif = string(cstr(a.val))
		case 19:
			r.L3mdev = len(a.val) == 1 && a.val[0] != 0
		default:
			if n := selectorNames[a.typ]; n != "" && !(a.typ == 13 && hostU32(a.val) == ^uint32(0)) {
				r.Other = append(r.Other, n)
			}
		}
	}
	if src.IsValid() {
		r.Src = netip.PrefixFrom(src, int(b[2]))
	}
	if dst.IsValid() {
		r.Dst = netip.PrefixFrom(dst, int(b[1]))
	}
	return r, !a.bad
}
