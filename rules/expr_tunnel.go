package rules

// TunnelKey is NFT_TUNNEL_*.
type TunnelKey uint32

const (
	TunnelPath TunnelKey = 0 // whether there is tunnel metadata: 1 byte
	TunnelID   TunnelKey = 1 // host order
)

// TunnelMode is NFT_TUNNEL_MODE_*: metadata of any, of received, of sent
// packets.
type TunnelMode uint32

// Tunnel is the metadata of a tunnel device in external mode (nft_tunnel).
type Tunnel struct {
	Key  TunnelKey
	Mode TunnelMode
}

func (x *Tunnel) Width() int {
	if x.Key == TunnelPath {
		return 1
	}
	return 4
}

// Eval follows nft_tunnel_get_eval: without metadata there is no id.
func (x *Tunnel) Eval(*Packet) Value {
	v := UnknownBytes(x.Width(), FromTunnel)
	if x.Key != TunnelPath {
		v.Absent, v.AbsentBy = Unknown, Of(FromTunnel)
	}
	return v
}
