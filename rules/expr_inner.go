package rules

// InnerFlags is NFT_INNER_*: what there is inside the tunnel header.
type InnerFlags uint32

const (
	InnerHdrSize   InnerFlags = 1 << 0 // a tunnel header of HdrSize bytes
	InnerLink      InnerFlags = 1 << 1
	InnerNetwork   InnerFlags = 1 << 2
	InnerTransport InnerFlags = 1 << 3
)

// InnerType is NFT_INNER_VXLAN or NFT_INNER_GENEVE; beyond them only nft gives
// the numbers a meaning: 3 is GRE, 4 GRE with a link layer.
type InnerType uint32

const (
	InnerVXLAN  InnerType = 1
	InnerGeneve InnerType = 2
	InnerGRE    InnerType = 3
	InnerGRETap InnerType = 4
)

// Inner is X of the packet inside a tunnel (nft_inner).
type Inner struct {
	Type    InnerType
	Flags   InnerFlags
	HdrSize uint32
	X       Expr // a *Payload or a *Meta
}

// Protocols that carry other packets, besides UDP and TCP.
const (
	protoIPIP = 4
	protoGRE  = 47
)

func (x *Inner) Width() int { return x.X.Width() }

// Eval: an entry tells only of the outer packet. One of a protocol that
// carries no other ends the rule (nft_payload_inner_offset).
func (x *Inner) Eval(p *Packet) Value {
	switch p.Proto {
	case protoIPIP, protoTCP, protoUDP, protoGRE:
	default:
		return Missing(x.Width())
	}
	v := UnknownBytes(x.Width(), FromPayload)
	v.Absent, v.AbsentBy = Unknown, Of(FromPayload)
	return v
}
