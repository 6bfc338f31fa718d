package rules

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Save is the set as `ipset save` prints it: the line that creates it, then
// one line an element, each ended by a newline. Comments stand as they are:
// whoever shows them on a terminal escapes them.
func (s *IPSet) Save() string {
	var b []byte
	b = append(s.appendCreate(b), '\n')
	for i := range s.Elements {
		b = append(s.appendAdd(b, &s.Elements[i]), '\n')
	}
	return string(b)
}

// CreateLine is the line that makes the set, without its elements.
func (s *IPSet) CreateLine() string { return string(s.appendCreate(nil)) }

// AddLine is the line that adds an element.
func (s *IPSet) AddLine(e *IPSetElement) string { return string(s.appendAdd(nil, e)) }

// appendCreate follows list_create of libipset: the arguments of the type's
// newest revision in their order, those that the kernel told. Of forceadd ipset
// itself prints nothing (ipset_data_set passes the flag over).
func (s *IPSet) appendCreate(b []byte) []byte {
	b = append(b, "create "+s.Name+" "+s.Type...)
	hash := strings.HasPrefix(s.Type, "hash:")
	option := func(when bool, name, value string) {
		if when {
			b = append(b, " "+name+value...)
		}
	}
	number := func(when bool, name string, n uint32) { option(when, name+" ", u64(uint64(n))) }
	option(hash && s.Family == FamilyIPv4, "family inet", "")
	option(hash && s.Family == FamilyIPv6, "family inet6", "")
	option(s.From.IsValid(), "range ", ipsetAddrText(s.From)+"-"+ipsetAddrText(s.To))
	option(s.Type == "bitmap:port", "range ", u64(uint64(s.FirstPort))+"-"+u64(uint64(s.LastPort)))
	option(s.Markmask != 0, "markmask ", fmt.Sprintf("0x%08x", s.Markmask))
	number(hash, "hashsize", s.HashSize)
	number(hash, "maxelem", s.MaxElem)
	number(s.Type == "list:set", "size", s.Size)
	t := s.row()
	masks := func(here bool) {
		number(here && s.Netmask != 0, "netmask", uint32(s.Netmask))
		option(here && s.Bitmask.IsValid(), "bitmask ", ipsetAddrText(s.Bitmask))
	}
	first := t != nil && t.masksFirst
	masks(first)
	number(s.HasTimeout, "timeout", s.Timeout)
	option(s.Counters, "counters", "")
	option(s.Comments, "comment", "")
	option(s.Skbinfo, "skbinfo", "")
	number(s.BucketSize != 0, "bucketsize", uint32(s.BucketSize))
	option(s.BucketSize != 0, "initval ", fmt.Sprintf("0x%08x", s.InitVal))
	masks(!first)
	return b
}

// appendAdd follows list_adt.
func (s *IPSet) appendAdd(b []byte, e *IPSetElement) []byte {
	b = append(b, "add "+s.Name+" "...)
	b = s.AppendElement(b, e)
	number := func(when bool, name string, n uint64) {
		if when {
			b = strconv.AppendUint(append(b, " "+name+" "...), n, 10)
		}
	}
	number(s.HasTimeout, "timeout", uint64(e.Timeout))
	if e.Nomatch {
		b = append(b, " nomatch"...)
	}
	if e.Wildcard {
		b = append(b, " wildcard"...)
	}
	number(s.Counters, "packets", e.Packets)
	number(s.Counters, "bytes", e.Bytes)
	if e.Comment != "" {
		b = append(b, " comment \""+e.Comment+"\""...)
	}
	if e.SkbMark != 0 || e.SkbMask != 0 {
		b = fmt.Appendf(b, " skbmark 0x%x", e.SkbMark)
		if e.SkbMask != 0xffffffff {
			b = fmt.Appendf(b, "/0x%x", e.SkbMask)
		}
	}
	if e.SkbPrio != 0 {
		b = fmt.Appendf(b, " skbprio %x:%x", e.SkbPrio>>16, e.SkbPrio&0xffff)
	}
	number(e.SkbQueue != 0, "skbqueue", uint64(e.SkbQueue))
	return b
}

// AppendElement is the element's value by itself, "10.0.0.0/8,tcp:80"
// (ipset_print_elem).
func (s *IPSet) AppendElement(b []byte, e *IPSetElement) []byte {
	t := s.row()
	if t == nil {
		return append(b, '?')
	}
	ip := e.IP
	for i, f := range t.fields {
		if f == ipsetMAC && i > 0 && !e.HasMAC {
			break
		}
		if i > 0 {
			b = append(b, ',')
		}
		switch f {
		case ipsetIP, ipsetNet:
			b = appendIPSetNet(b, ip)
			ip = e.IP2
		case ipsetPort:
			b = s.appendPort(b, e)
		case ipsetMAC:
			b = fmt.Appendf(b, "%02X:%02X:%02X:%02X:%02X:%02X", e.MAC[0], e.MAC[1], e.MAC[2], e.MAC[3], e.MAC[4], e.MAC[5])
		case ipsetMark:
			b = fmt.Appendf(b, "0x%08x", e.Mark)
		case ipsetIface:
			if e.Physdev {
				b = append(b, "physdev:"...)
			}
			b = append(b, e.Iface...)
		case ipsetList:
			b = append(b, e.Name...)
		}
	}
	return b
}

func appendIPSetNet(b []byte, p netip.Prefix) []byte {
	b = append(b, ipsetAddrText(p.Addr())...)
	if p.Bits() != p.Addr().BitLen() {
		b = strconv.AppendInt(append(b, '/'), int64(p.Bits()), 10)
	}
	return b
}

// ipsetAddrText is the address as inet_ntop has it: unlike Go it writes the
// last 32 bits of ::a.b.c.d as an IPv4 address.
func ipsetAddrText(a netip.Addr) string {
	if b := a.As16(); a.Is6() && binary.BigEndian.Uint64(b[:]) == 0 &&
		binary.BigEndian.Uint32(b[8:]) == 0 && binary.BigEndian.Uint16(b[12:]) != 0 {
		return "::" + netip.AddrFrom4([4]byte(b[12:])).String()
	}
	return a.String()
}

// appendPort follows ipset_print_proto_port.
func (s *IPSet) appendPort(b []byte, e *IPSetElement) []byte {
	if s.bitmap() {
		return strconv.AppendUint(b, uint64(e.Port), 10)
	}
	if name := ProtocolName(e.Proto); name != "" {
		b = append(b, name...)
	} else {
		b = strconv.AppendUint(b, uint64(e.Proto), 10)
	}
	b = append(b, ':')
	names, ok := ipsetICMPNames[e.Proto]
	if !ok {
		return strconv.AppendUint(b, uint64(e.Port), 10)
	}
	if name := names[e.Port]; name != "" {
		return append(b, name...)
	}
	return fmt.Appendf(b, "%d/%d", e.Port>>8, e.Port&0xff)
}

func u64(n uint64) string { return strconv.FormatUint(n, 10) }

// ipsetICMPNames are what ipset calls types and codes, by type<<8|code.
var ipsetICMPNames = map[uint8]map[uint16]string{
	protoICMP: {
		0x0000: "echo-reply", 0x0300: "network-unreachable", 0x0301: "host-unreachable",
		0x0302: "protocol-unreachable", 0x0303: "port-unreachable", 0x0304: "fragmentation-needed",
		0x0305: "source-route-failed", 0x0306: "network-unknown", 0x0307: "host-unknown",
		0x0309: "network-prohibited", 0x030a: "host-prohibited", 0x030b: "TOS-network-unreachable",
		0x030c: "TOS-host-unreachable", 0x030d: "communication-prohibited",
		0x030e: "host-precedence-violation", 0x030f: "precedence-cutoff", 0x0400: "source-quench",
		0x0500: "network-redirect", 0x0501: "host-redirect", 0x0502: "TOS-network-redirect",
		0x0503: "TOS-host-redirect", 0x0800: "echo-request", 0x0900: "router-advertisement",
		0x0a00: "router-solicitation", 0x0b00: "ttl-zero-during-transit",
		0x0b01: "ttl-zero-during-reassembly", 0x0c00: "ip-header-bad",
		0x0c01: "required-option-missing", 0x0d00: "timestamp-request", 0x0e00: "timestamp-reply",
		0x1100: "address-mask-request", 0x1200: "address-mask-reply",
	},
	protoICMPv6: {
		0x0100: "no-route", 0x0101: "communication-prohibited", 0x0103: "address-unreachable",
		0x0104: "port-unreachable", 0x0200: "packet-too-big", 0x0300: "ttl-zero-during-transit",
		0x0301: "ttl-zero-during-reassembly", 0x0400: "bad-header", 0x0401: "unknown-header-type",
		0x0402: "unknown-option", 0x8000: "echo-request", 0x8100: "echo-reply",
		0x8500: "router-solicitation", 0x8600: "router-advertisement",
		0x8700: "neighbour-solicitation", 0x8800: "neighbour-advertisement", 0x8900: "redirect",
	},
}
