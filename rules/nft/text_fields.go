package nft

import "github.com/ntdiag/ntdiag/rules"

// header is one protocol's header as nft names it.
type header struct {
	name   string
	base   rules.PayloadBase
	fields []field
	// length in bytes of a link-layer header that another can follow.
	length int
}

// field is one field of a header: where it is, in bits.
type field struct {
	name      string
	off, bits int
	typ       *datatype
	// icmp lists the ICMP types that have this field; nil for all.
	icmp []byte
	// next: it tells the next protocol.
	next bool
}

var (
	headerEther = &header{name: "ether", base: rules.PayloadLink, length: 14, fields: []field{
		{name: "daddr", off: 0, bits: 48, typ: typeEtherAddr},
		{name: "saddr", off: 48, bits: 48, typ: typeEtherAddr},
		{name: "type", off: 96, bits: 16, typ: typeEthertype, next: true},
	}}
	headerVlan = &header{name: "vlan", base: rules.PayloadLink, length: 4, fields: []field{
		{name: "pcp", off: 0, bits: 3, typ: typeInteger},
		{name: "dei", off: 3, bits: 1, typ: typeInteger},
		{name: "id", off: 4, bits: 12, typ: typeInteger},
		{name: "type", off: 16, bits: 16, typ: typeEthertype, next: true},
	}}
	headerARP = &header{name: "arp", base: rules.PayloadNetwork, fields: []field{
		{name: "htype", off: 0, bits: 16, typ: typeInteger},
		{name: "ptype", off: 16, bits: 16, typ: typeEthertype},
		{name: "hlen", off: 32, bits: 8, typ: typeInteger},
		{name: "plen", off: 40, bits: 8, typ: typeInteger},
		{name: "operation", off: 48, bits: 16, typ: typeArpop},
		{name: "saddr ether", off: 64, bits: 48, typ: typeEtherAddr},
		{name: "saddr ip", off: 112, bits: 32, typ: typeIPAddr},
		{name: "daddr ether", off: 144, bits: 48, typ: typeEtherAddr},
		{name: "daddr ip", off: 192, bits: 32, typ: typeIPAddr},
	}}
	headerIP = &header{name: "ip", base: rules.PayloadNetwork, fields: []field{
		{name: "version", off: 0, bits: 4, typ: typeInteger},
		{name: "hdrlength", off: 4, bits: 4, typ: typeInteger},
		{name: "dscp", off: 8, bits: 6, typ: typeDSCP},
		{name: "ecn", off: 14, bits: 2, typ: typeECN},
		{name: "length", off: 16, bits: 16, typ: typeInteger},
		{name: "id", off: 32, bits: 16, typ: typeInteger},
		{name: "frag-off", off: 48, bits: 16, typ: typeInteger},
		{name: "ttl", off: 64, bits: 8, typ: typeInteger},
		{name: "protocol", off: 72, bits: 8, typ: typeProtocol, next: true},
		{name: "checksum", off: 80, bits: 16, typ: typeInteger},
		{name: "saddr", off: 96, bits: 32, typ: typeIPAddr},
		{name: "daddr", off: 128, bits: 32, typ: typeIPAddr},
	}}
	headerIP6 = &header{name: "ip6", base: rules.PayloadNetwork, fields: []field{
		{name: "version", off: 0, bits: 4, typ: typeInteger},
		{name: "dscp", off: 4, bits: 6, typ: typeDSCP},
		{name: "ecn", off: 10, bits: 2, typ: typeECN},
		{name: "flowlabel", off: 12, bits: 20, typ: typeInteger},
		{name: "length", off: 32, bits: 16, typ: typeInteger},
		{name: "nexthdr", off: 48, bits: 8, typ: typeProtocol, next: true},
		{name: "hoplimit", off: 56, bits: 8, typ: typeInteger},
		{name: "saddr", off: 64, bits: 128, typ: typeIP6Addr},
		{name: "daddr", off: 192, bits: 128, typ: typeIP6Addr},
	}}
	headerTCP = &header{name: "tcp", base: rules.PayloadTransport, fields: []field{
		{name: "sport", off: 0, bits: 16, typ: typeService},
		{name: "dport", off: 16, bits: 16, typ: typeService},
		{name: "sequence", off: 32, bits: 32, typ: typeInteger},
		{name: "ackseq", off: 64, bits: 32, typ: typeInteger},
		{name: "doff", off: 96, bits: 4, typ: typeInteger},
		{name: "reserved", off: 100, bits: 4, typ: typeInteger},
		{name: "flags", off: 104, bits: 8, typ: typeTCPFlags},
		{name: "window", off: 112, bits: 16, typ: typeInteger},
		{name: "checksum", off: 128, bits: 16, typ: typeInteger},
		{name: "urgptr", off: 144, bits: 16, typ: typeInteger},
	}}
	headerUDP = &header{name: "udp", base: rules.PayloadTransport, fields: []field{
		{name: "sport", off: 0, bits: 16, typ: typeService},
		{name: "dport", off: 16, bits: 16, typ: typeService},
		{name: "length", off: 32, bits: 16, typ: typeInteger},
		{name: "checksum", off: 48, bits: 16, typ: typeInteger},
	}}
	headerUDPLite = &header{name: "udplite", base: rules.PayloadTransport, fields: []field{
		{name: "sport", off: 0, bits: 16, typ: typeService},
		{name: "dport", off: 16, bits: 16, typ: typeService},
		{name: "csumcov", off: 32, bits: 16, typ: typeInteger},
		{name: "checksum", off: 48, bits: 16, typ: typeInteger},
	}}
	headerSCTP = &header{name: "sctp", base: rules.PayloadTransport, fields: []field{
		{name: "sport", off: 0, bits: 16, typ: typeService},
		{name: "dport", off: 16, bits: 16, typ: typeService},
		{name: "vtag", off: 32, bits: 32, typ: typeInteger},
		{name: "checksum", off: 64, bits: 32, typ: typeInteger},
	}}
	headerDCCP = &header{name: "dccp", base: rules.PayloadTransport, fields: []field{
		{name: "sport", off: 0, bits: 16, typ: typeService},
		{name: "dport", off: 16, bits: 16, typ: typeService},
		{name: "type", off: 67, bits: 4, typ: typeDCCPType},
	}}
	headerTh = &header{name: "th", base: rules.PayloadTransport, fields: []field{
		{name: "sport", off: 0, bits: 16, typ: typeService},
		{name: "dport", off: 16, bits: 16, typ: typeService},
	}}
	headerAH = &header{name: "ah", base: rules.PayloadTransport, fields: []field{
		{name: "nexthdr", off: 0, bits: 8, typ: typeProtocol, next: true},
		{name: "hdrlength", off: 8, bits: 8, typ: typeInteger},
		{name: "reserved", off: 16, bits: 16, typ: typeInteger},
		{name: "spi", off: 32, bits: 32, typ: typeInteger},
		{name: "sequence", off: 64, bits: 32, typ: typeInteger},
	}}
	headerESP = &header{name: "esp", base: rules.PayloadTransport, fields: []field{
		{name: "spi", off: 0, bits: 32, typ: typeInteger},
		{name: "sequence", off: 32, bits: 32, typ: typeInteger},
	}}
	headerComp = &header{name: "comp", base: rules.PayloadTransport, fields: []field{
		{name: "nexthdr", off: 0, bits: 8, typ: typeProtocol, next: true},
		{name: "flags", off: 8, bits: 8, typ: typeBitmask},
		{name: "cpi", off: 16, bits: 16, typ: typeInteger},
	}}
	headerIGMP = &header{name: "igmp", base: rules.PayloadTransport, fields: []field{
		{name: "type", off: 0, bits: 8, typ: typeIGMPType},
		{name: "mrt", off: 8, bits: 8, typ: typeInteger},
		{name: "checksum", off: 16, bits: 16, typ: typeInteger},
		{name: "group", off: 32, bits: 32, typ: typeInteger},
	}}
	headerICMP = &header{name: "icmp", base: rules.PayloadTransport, fields: []field{
		{name: "type", off: 0, bits: 8, typ: typeICMPType, next: true},
		{name: "code", off: 8, bits: 8, typ: typeICMPCode},
		{name: "checksum", off: 16, bits: 16, typ: typeInteger},
		{name: "id", off: 32, bits: 16, typ: typeInteger, icmp: []byte{8, 0}},
		{name: "sequence", off: 48, bits: 16, typ: typeInteger, icmp: []byte{8, 0}},
		{name: "gateway", off: 32, bits: 32, typ: typeInteger, icmp: []byte{5}},
		{name: "mtu", off: 48, bits: 16, typ: typeInteger, icmp: []byte{3}},
	}}
	headerICMP6 = &header{name: "icmpv6", base: rules.PayloadTransport, fields: []field{
		{name: "type", off: 0, bits: 8, typ: typeICMP6Type, next: true},
		{name: "code", off: 8, bits: 8, typ: typeICMP6Code},
		{name: "checksum", off: 16, bits: 16, typ: typeInteger},
		{name: "parameter-problem", off: 32, bits: 32, typ: typeInteger, icmp: []byte{4}},
		{name: "mtu", off: 32, bits: 32, typ: typeInteger, icmp: []byte{2}},
		{name: "id", off: 32, bits: 16, typ: typeInteger, icmp: []byte{128, 129}},
		{name: "sequence", off: 48, bits: 16, typ: typeInteger, icmp: []byte{128, 129}},
		{name: "max-delay", off: 32, bits: 16, typ: typeInteger, icmp: []byte{130}},
	}}
)

// transports is the header by protocol number.
var transports = map[byte]*header{
	1: headerICMP, 2: headerIGMP, 6: headerTCP, 17: headerUDP, 33: headerDCCP, 50: headerESP, 51: headerAH,
	58: headerICMP6, 108: headerComp, 132: headerSCTP, 136: headerUDPLite,
}

// networks is the header by EtherType, vlans those that stack below it.
var (
	networks = map[uint64]*header{0x0800: headerIP, 0x86dd: headerIP6, 0x0806: headerARP}
	vlans    = map[uint64]bool{0x8100: true, 0x88a8: true}
	families = map[uint64]*header{2: headerIP, 10: headerIP6}
)

// baseTokens name a header that is not known, by NFT_PAYLOAD_*.
var baseTokens = [...]string{"ll", "nh", "th", "ih"}
