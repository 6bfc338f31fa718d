package rules

// Dup sends a copy of the packet elsewhere (nft_dup_ipv4, nft_dup_ipv6,
// nft_dup_netdev). The packet goes on; its copy is not tracked.
type Dup struct {
	Span
	Addr   Expr // nil in the netdev family
	Device Expr // an index; nil where the route decides
}

func (s *Dup) Test(p *Packet) Answer { return Present(p, s.Addr, s.Device) }

// Fwd sends the packet out by another device, with Addr to that neighbour
// (nft_fwd_netdev, nft_fwd_neigh).
type Fwd struct {
	Span
	Device Expr   // an index
	Addr   Expr   // nil: the frame as it is
	Family Family // of Addr
}

// Test tells whether the packet is taken away: what comes in by the other
// device is another packet. nft_fwd_neigh_eval leaves it where it is of
// another family, and where there is no such device.
func (s *Fwd) Test(p *Packet) Answer {
	a := Present(p, s.Device, s.Addr)
	if s.Addr == nil || a.Truth == No {
		return a
	}
	if s.Family != p.Family {
		return Decided(false)
	}
	if v := s.Device.Eval(p); v.IsKnown() && p.Host != nil {
		if _, ok := p.Host.LinkByIndex(uint32(v.Uint(p.order()))); ok {
			return a
		}
	}
	return Answer{Unknown: a.Unknown | Of(FromOif)}
}
