package rules

import "net/netip"

// Eval follows nft_fib4_eval, nft_fib6_eval and their eval_type forms: the
// answer is that of the routing tables as they are now, so it is assumed.
func (x *Fib) Eval(p *Packet) Value {
	addr, ok := p.Addr(x.Flags&FibDaddr != 0)
	if !ok || p.Host == nil || p.RoutesOpen {
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
	bound := x.Flags&(FibIif|FibOifFlag) != 0
	if bound && dev.State == IfaceUnknown {
		return x.unknown()
	}
	r, found := p.Host.Route(q)
	if found && r.Multipath {
		return x.unknown()
	}
	// only a unicast route answers, and a device that is asked for has to be
	// the one it leaves by; the lookup itself is not bound to the device
	link, there := p.Host.LinkByIndex(r.Oif)
	found = found && there && r.Type == AddrUnicast && (!bound || r.Oif == dev.Link.Index)
	v := x.result(p, link, found)
	v.AssumedBy |= x.boundBy(p)
	return v
}

// boundBy is what the device rests on that the answer is bound to.
func (x *Fib) boundBy(p *Packet) Sources {
	switch {
	case x.Flags&FibIif != 0 && p.Iif.State == IfaceAssumed:
		return Of(FromIif)
	case x.Flags&(FibIif|FibOifFlag) == FibOifFlag && p.Oif.State == IfaceAssumed:
		return Of(FromOif)
	}
	return 0
}

// result is nft_fib_store_result; without a route it is 0 or no name.
func (x *Fib) result(p *Packet, link Link, found bool) Value {
	if !found {
		link = Link{}
	}
	v := ifname(link.Name)
	switch {
	case x.Flags&FibPresent != 0 && found:
		v = KnownBytes([]byte{1})
	case x.Flags&FibPresent != 0:
		v = KnownBytes([]byte{0})
	case x.Result == FibOif:
		v = KnownUint(p.order(), 4, uint64(link.Index))
	}
	return v.AssumedFrom(FromRoute)
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
	v := KnownUint(p.order(), 4, uint64(t)).AssumedFrom(FromRoute)
	v.AssumedBy |= x.boundBy(p)
	return v
}

func (x *Fib) unknown() Value { return UnknownBytes(x.Width(), FromRoute) }

// ifname is a device name as registers hold it: 16 bytes padded with zeros.
func ifname(s string) Value {
	b := make([]byte, 16)
	copy(b, s)
	return KnownBytes(b)
}
