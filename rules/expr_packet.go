package rules

// PayloadBase is NFT_PAYLOAD_*.
type PayloadBase uint32

const (
	PayloadLink      PayloadBase = 0
	PayloadNetwork   PayloadBase = 1
	PayloadTransport PayloadBase = 2
	PayloadInner     PayloadBase = 3
	PayloadTunnel    PayloadBase = 4 // inside an Inner: the tunnel's own header
)

// Payload is Len bytes of a header (nft_payload).
type Payload struct {
	Base     PayloadBase
	Off, Len int
}

func (x *Payload) Width() int { return x.Len }

func (x *Payload) Eval(p *Packet) Value {
	switch x.Base {
	case PayloadNetwork:
		return p.Net.Read(x.Off, x.Len)
	case PayloadTransport:
		return p.Trans.Read(x.Off, x.Len)
	case PayloadLink:
		if p.Link.N == 0 {
			// no mac header: nft_payload_eval ends the rule, but a received
			// packet keeps its mac header until postrouting
			v := UnknownBytes(x.Len, FromLink)
			v.Absent, v.AbsentBy = Unknown, Of(FromLink)
			return v
		}
		return p.Link.Read(x.Off, x.Len)
	}
	v := UnknownBytes(x.Len, FromPayload)
	v.Absent, v.AbsentBy = Unknown, Of(FromPayload)
	return v
}

// equal is Value.Equal of what Eval loads, without loading it; false where the
// bytes are not all in a header.
func (x *Payload) equal(p *Packet, c []byte) (Answer, bool) {
	im := &p.Net
	switch x.Base {
	case PayloadNetwork:
	case PayloadTransport:
		im = &p.Trans
	default:
		return Answer{}, false
	}
	n := min(x.Len, MaxValue, len(c))
	if x.Off < 0 || n < 0 || x.Off+n > im.N {
		return Answer{}, false
	}
	to := x.Off + n
	return equalBytes(im.Bits[x.Off:to], im.Known[x.Off:to], im.From[x.Off:to], c, 0, 0), true
}

// Exthdr is a field of an IPv6 extension header, a TCP or IP option, an SCTP
// chunk (nft_exthdr), or whether it is there.
type Exthdr struct {
	Op       uint32 // NFT_EXTHDR_OP_*: 0 ipv6, 1 tcp option, 2 ipv4 option, 3 sctp chunk, 4 dccp option
	Type     uint8
	Off, Len int
	Present  bool // NFT_EXTHDR_F_PRESENT: 1 byte, 0 or 1
}

func (x *Exthdr) Width() int { return x.Len }

// exthdrProto is what a packet has to be to carry such headers: a family for
// IP, a protocol above it (nft_exthdr_ipv6_eval and its kin). By Op.
var exthdrProto = [...]struct {
	family Family
	proto  uint8
}{{family: FamilyIPv6}, {proto: 6}, {family: FamilyIPv4}, {proto: 132}, {proto: 33}}

// Eval: an entry tells nothing of options; only that a packet of another
// protocol has none. Asked for presence that is 0, but for IPv6 the rule ends.
func (x *Exthdr) Eval(p *Packet) Value {
	v := UnknownBytes(x.Len, FromExthdr)
	if !x.Present {
		v.Absent, v.AbsentBy = Unknown, Of(FromExthdr)
	}
	if int(x.Op) >= len(exthdrProto) {
		return v
	}
	want := exthdrProto[x.Op]
	fits := (want.family == 0 || want.family == p.Family) && (want.proto == 0 || want.proto == p.Proto)
	switch {
	case fits:
		return v
	case x.Present && x.Op != 0:
		return KnownBytes(make([]byte, x.Len))
	}
	return Missing(x.Len)
}

// FibResult is NFT_FIB_RESULT_*.
type FibResult uint32

const (
	FibOif      FibResult = 1
	FibOifname  FibResult = 2
	FibAddrType FibResult = 3
)

// Fib flags, NFTA_FIB_F_*.
const (
	FibSaddr   = 1 << 0
	FibDaddr   = 1 << 1
	FibMark    = 1 << 2
	FibIif     = 1 << 3
	FibOifFlag = 1 << 4
	FibPresent = 1 << 5
)

// Fib looks an address of the packet up in the routing tables (nft_fib).
type Fib struct {
	Result FibResult
	Flags  uint32
}

func (x *Fib) Width() int {
	switch {
	case x.Flags&FibPresent != 0:
		return 1
	case x.Result == FibOifname:
		return 16
	}
	return 4
}

// Rt is a property of the packet's route (nft_rt).
type Rt struct {
	Key uint32 // NFT_RT_*: 0 classid, 1 nexthop4, 2 nexthop6, 3 tcpmss, 4 xfrm
	Len int
}

func (x *Rt) Width() int { return x.Len }
func (x *Rt) Eval(*Packet) Value {
	v := UnknownBytes(x.Len, FromRoute)
	v.Absent, v.AbsentBy = Unknown, Of(FromRoute)
	return v
}

// Socket is a property of the local socket the packet belongs to (nft_socket).
type Socket struct {
	Key   uint32 // NFT_SOCKET_*: 0 transparent, 1 mark, 2 wildcard, 3 cgroupv2
	Level uint32
	Len   int
}

func (x *Socket) Width() int { return x.Len }
func (x *Socket) Eval(*Packet) Value {
	v := UnknownBytes(x.Len, FromSocket)
	v.Absent, v.AbsentBy = Unknown, Of(FromSocket)
	return v
}
