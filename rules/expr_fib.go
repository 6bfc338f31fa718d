package rules

import "net/netip"

// Eval follows nft_fib4_eval, nft_fib6_eval and their eval_type forms: the
// answer is that of the routing tables as they are now, so it is assumed.
func (x *Fib) Eval(p *Packet) Value {
	addr, ok := p.Addr(x.Flags&FibDaddr != 0)
	if !ok || p.Host == nil {
		return x.unknown()
	}
	if x.Result == FibAddrType {
		return x.evalType(p, addr)
	}
	q := RouteQuery{Dst: addr, MarkKnown: x.Flags&FibMark == 0}
	if x.Flags&FibMark != 0 {
		if !p.Mark.IsKnown() {
			return x.unknown()
		}
		q.Mark, q.MarkKnown = uint32(p.Mark.Uint(p.order())), true
	}
	var dev Iface
	if x.Flags&FibIif != 0 {
		dev = p.Iif
	} else if x.Flags&FibOifFlag != 0 {
		dev = p.Oif
	}
	if x.Flags&(FibIif|FibOifFlag) != 0 {
		if dev.State == IfaceUnknown {
			return x.unknown()
		}
		q.Oif = dev.Link.Index
	}
	r, found := p.Host.Route(q)
	// a local route answers with the loopback device, or the input device
	// where that is asked for; reverse-path checks never see them differ
	var link Link
	if found {
		link, found = p.Host.LinkByIndex(r.Oif)
	}
	switch {
	case x.Flags&FibPresent != 0:
		b := byte(0)
		if found {
			b = 1
		}
		return KnownBytes([]byte{b}).AssumedFrom(FromRoute)
	case !found && x.Result == FibOif:
		return KnownUint(p.order(), 4, 0).AssumedFrom(FromRoute)
	case !found:
		return KnownBytes(make([]byte, 16)).AssumedFrom(FromRoute)
	case x.Result == FibOif:
		return KnownUint(p.order(), 4, uint64(link.Index)).AssumedFrom(FromRoute)
	}
	return ifname(link.Name).AssumedFrom(FromRoute)
}

func (x *Fib) evalType(p *Packet, addr netip.Addr) Value {
	var dev uint32
	switch {
	case x.Flags&FibIif != 0 && p.Iif.State == IfaceUnknown, x.Flags&FibOifFlag != 0 && p.Oif.State == IfaceUnknown:
		return x.unknown()
	case x.Flags&FibIif != 0:
		dev = p.Iif.Link.Index
	case x.Flags&FibOifFlag != 0:
		dev = p.Oif.Link.Index
	}
	t, ok := p.Host.AddrType(addr, dev)
	if !ok {
		return x.unknown()
	}
	return KnownUint(p.order(), 4, uint64(t)).AssumedFrom(FromRoute)
}

func (x *Fib) unknown() Value { return UnknownBytes(x.Width(), FromRoute) }

// ifname is a device name as registers hold it: 16 bytes padded with zeros.
func ifname(s string) Value {
	b := make([]byte, 16)
	copy(b, s)
	return KnownBytes(b)
}
