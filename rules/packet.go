package rules

import (
	"encoding/binary"
	"net/netip"
)

// Packet is the first packet of a flow as far as it is known, at one point of
// its way: headers, interfaces, metadata, and what conntrack holds of it. It
// is a value: a copy is a fork of the way.
type Packet struct {
	// Order is the host's byte order; nil means this machine's.
	Order  binary.ByteOrder
	Family Family // FamilyIPv4 or FamilyIPv6
	Hook   Hook
	Host   Host
	// SeenAs is what a chain of another family takes it for (nft_pf):
	// FamilyNetdev or FamilyBridge; FamilyUnspec where it is Family.
	SeenAs Family

	Proto uint8
	Net   Image // network header, without options
	Trans Image // transport header
	Link  Image // link-layer header; N 0 where the hook has none
	// Fragment is Yes when the packet is a later fragment; conntrack
	// defragments, so that after priority -400 it is No.

	// RoutesOpen: what fib answers is taken as not known. SetsOpen: so is
	// whether a set that can change held then what it holds now.
	RoutesOpen, SetsOpen bool

	Iif, Oif Iface
	Mark     Value // 4 bytes, host order
	Priority Value // 4 bytes, host order
	Trace    Value // 1 byte
	// UID and GID are of the socket that sends it, Length is that of the packet
	// from its network header on: 4 bytes, host order. N is 0 where they are
	// not known.
	UID, GID, Length Value

	// TProxied: on some way a transparent socket of this host has it; routing
	// has to deliver it, wherever it was sent to.
	TProxied bool

	// Tracked tells whether conntrack has seen the packet: No before priority
	// -200 and after notrack, then every ct expression but state is absent.
	Tracked Truth
	// Untracked: notrack took it away; ct state is "untracked".
	Untracked Truth
	// Invalid: conntrack will not take it in.
	Invalid bool
	// Template tells whether a rule has set the zone of the entry to come; it
	// counts while Tracked is No.
	Template TemplateState
	Ct       Conntrack
}

// TemplateState says whether a packet without an entry has a template
// (nf_ct_is_template): what rules ask of an entry they ask of that, and a
// second zone or notrack does nothing.
type TemplateState uint8

const (
	NoTemplate TemplateState = iota
	MaybeTemplate
	HasTemplate
)

// Image is a header of which some bytes are known.
type Image struct {
	N    int
	Bits [60]byte
	// Known and From as in Value.
	Known [60]byte
	From  [60]Source
}

// Set writes known bytes at off, resting on s.
func (im *Image) Set(off int, b []byte, s Source) {
	for i, c := range b {
		im.Bits[off+i], im.Known[off+i], im.From[off+i] = c, 0xff, s
	}
}

// Open makes n bytes at off unknown because of s.
func (im *Image) Open(off, n int, s Source) {
	for i := off; i < off+n; i++ {
		im.Bits[i], im.Known[i], im.From[i] = 0, 0, s
	}
}

// Read loads n bytes from off. Beyond the image lies payload that no entry
// records.
func (im *Image) Read(off, n int) Value {
	v := Value{N: min(n, MaxValue), Absent: No}
	for i := range v.N {
		if at := off + i; at >= 0 && at < im.N {
			v.Bits[i], v.Known[i], v.From[i] = im.Bits[at], im.Known[at], im.From[at]
		} else {
			v.From[i] = FromPayload
		}
	}
	return v
}

// Write stores v at off, as a payload statement does.
func (im *Image) Write(off int, v Value) {
	for i := range v.N {
		if at := off + i; at >= 0 && at < im.N {
			im.Bits[at], im.Known[at], im.From[at] = v.Bits[i], v.Known[i], v.From[i]
		}
	}
}

// IfaceState says how an interface of the packet is known.
type IfaceState uint8

const (
	IfaceUnknown IfaceState = iota
	IfaceNone               // there is none at this hook
	IfaceAssumed
	IfaceKnown
)

// Iface is the input or output device.
type Iface struct {
	State IfaceState
	Link  Link
}

// Link is a network device as rules can ask about it.
type Link struct {
	Index uint32
	Name  string
	Type  uint16 // ARPHRD_*
	Group uint32
	Kind  string // rtnl_link_ops kind: veth, bridge, …
	Up    bool   // IFF_UP: it was set up, whether or not there is a carrier
	// Master is the index of the bridge, bond or VRF above it, 0 for none.
	Master uint32
	// Parent is the index of the device below a VLAN or MACVLAN, 0 for none
	// or one in another network namespace.
	Parent uint32
	// CallIP and CallIP6 are a bridge's own nf_call_iptables, nf_call_ip6tables.
	CallIP, CallIP6 bool
}

// Beneath are the devices by which packets come to another one.
type Beneath struct {
	// Links are the ports of a bridge, the slaves of a bond, the device below a
	// VLAN; empty for a device that is not made of others.
	Links []Link
	// Bridge: it is one, and bridge chains see what comes by its ports.
	// CallsIP tells whether the hooks of IP are run from inside the bridge's
	// (br_netfilter), before those of the bridge are through.
	Bridge  bool
	CallsIP Truth
}

// Conntrack is what an entry looks like at the first packet.
type Conntrack struct {
	Mark   Value // 4 bytes, host order
	Labels Value // 16 bytes
	Zone   Value // 2 bytes, host order
	// ZoneDirs are the directions that the zone counts for: bit 1<<CtDir.
	ZoneDirs uint8
	// Status is IPS_* at this point, 4 bytes host order.
	Status Value
	// Helper is that of the master connection: what ct helper looks at, which
	// is absent for a flow without a master (nft_ct_get_eval).
	Helper string
	// HelperKnown is Unknown when there is a master whose helper is not known.
	HelperKnown Truth
	// State is the ct state as a bit of NF_CT_STATE_BIT, 4 bytes host order.
	State Value
	// Original and Reply are the tuples as they stand now: the reply changes
	// when a NAT is set up. An address of Reply is not valid while it is not
	// known which one NAT chooses.
	Original, Reply Tuple
	// OriginalOpen: the source port of Original is not known; ReplyOpen:
	// neither port of Reply is.
	OriginalOpen, ReplyOpen bool
}

// Tuple is one direction of a flow. Ports are host numbers; for ICMP SrcPort
// holds the id and DstPort type<<8|code.
type Tuple struct {
	Proto            uint8
	Src, Dst         netip.Addr
	SrcPort, DstPort uint16
}

// AddrType is RTN_* (include/uapi/linux/rtnetlink.h).
type AddrType uint32

const (
	AddrUnspec      AddrType = 0
	AddrUnicast     AddrType = 1
	AddrLocal       AddrType = 2
	AddrBroadcast   AddrType = 3
	AddrAnycast     AddrType = 4
	AddrMulticast   AddrType = 5
	AddrBlackhole   AddrType = 6
	AddrUnreachable AddrType = 7
	AddrProhibit    AddrType = 8
)

// RouteQuery asks for the route of a packet. Src is invalid when open; of Mark
// all bits count where MarkKnown, else those in MarkBits. Iif 0 means locally
// generated.
type RouteQuery struct {
	Dst, Src  netip.Addr
	Iif, Oif  uint32
	Mark      uint32
	MarkKnown bool
	MarkBits  uint32
}

// Route is the answer: the device, the gateway if any, the preferred source.
type Route struct {
	Type    AddrType
	Oif     uint32
	Gateway netip.Addr
	PrefSrc netip.Addr
	// Prefix and Table tell which route it is.
	Prefix netip.Prefix
	Table  uint32
	// Multipath is set when it is one of several next hops.
	Multipath bool
}

// Host is what rules ask about the machine they run on. Its answers are of the
// time of reading, not of the first packet: the walk treats them as assumed.
type Host interface {
	// LinkByName and LinkByIndex find a device; false when there is none.
	LinkByName(name string) (Link, bool)
	LinkByIndex(index uint32) (Link, bool)
	// AddrType is fib's address type of a, on any device or (ifindex not 0)
	// on one; false when routes could not be read.
	AddrType(a netip.Addr, ifindex uint32) (AddrType, bool)
	// Route finds the route; false when there is none or it is not known.
	Route(q RouteQuery) (Route, bool)
	// MasqueradeAddrs are the addresses that masquerade can take on device oif
	// for nexthop (inet_select_addr, ipv6_dev_get_saddr), the likeliest first.
	MasqueradeAddrs(oif uint32, nexthop netip.Addr) []netip.Addr
	// RedirectAddrs are the addresses that redirect can take for a packet that
	// came in by device iif.
	RedirectAddrs(iif uint32, f Family) []netip.Addr
	// Beneath tells by which devices packets of family f come to a device;
	// false when it is not known.
	Beneath(index uint32, f Family) (Beneath, bool)
}
