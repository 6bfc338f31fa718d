package host

import (
	"net/netip"

	"github.com/ntdiag/ntdiag/rules"
)

// LinkByName finds a device by its name.
func (s *Snapshot) LinkByName(name string) (rules.Link, bool) {
	if s == nil {
		return rules.Link{}, false
	}
	l, ok := s.ix().byName[name]
	return l, ok
}

// LinkByIndex finds a device by its index.
func (s *Snapshot) LinkByIndex(index uint32) (rules.Link, bool) {
	if s == nil {
		return rules.Link{}, false
	}
	l, ok := s.ix().byIndex[index]
	return l, ok
}

// AddrType is the type of an address as fib asks for it, on any device or, with
// ifindex, on one.
func (s *Snapshot) AddrType(a netip.Addr, ifindex uint32) (rules.AddrType, bool) {
	if s == nil || !a.IsValid() {
		return 0, false
	}
	a = a.Unmap().WithZone("")
	ix := s.ix()
	if ix.lacks[PartRoutes] || len(s.Routes) == 0 && len(s.Links) == 0 {
		return 0, false
	}
	if ifindex != 0 && ix.vrfOf(ifindex) != 0 {
		return 0, false // asked in the VRF's table, which is not recorded
	}
	if a.Is4() {
		return ix.type4(a, ifindex), true
	}
	return s.type6(a, ifindex)
}

// type4 follows inet_dev_addr_type: table local alone tells.
func (ix *index) type4(a netip.Addr, ifindex uint32) rules.AddrType {
	switch {
	case a.IsUnspecified(), a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return rules.AddrBroadcast
	case a.IsMulticast():
		return rules.AddrMulticast
	}
	t := ix.tables[tableKey{rules.FamilyIPv4, tableLocal}]
	if t == nil {
		return rules.AddrUnicast
	}
	for _, n := range t.bits {
		prefix, err := a.Prefix(n)
		if err != nil {
			continue
		}
		for _, e := range t.routes[prefix] {
			if ifindex == 0 || e.Oif == ifindex {
				return e.Type
			}
			return rules.AddrUnicast // the kernel looks at the first one only
		}
	}
	return rules.AddrUnicast
}

// type6 follows nft_fib6_eval_type: a route, and with a device that device's
// own addresses.
func (s *Snapshot) type6(a netip.Addr, ifindex uint32) (rules.AddrType, bool) {
	if a.IsMulticast() {
		return rules.AddrMulticast, true
	}
	if ifindex != 0 {
		if s.ix().lacks[PartAddrs] {
			return 0, false
		}
		for i := range s.Addrs {
			if s.Addrs[i].Index == ifindex && s.Addrs[i].Prefix.Addr() == a {
				return rules.AddrLocal, true
			}
		}
	}
	r, known := s.Lookup(rules.RouteQuery{Dst: a, Oif: ifindex, MarkKnown: true})
	switch {
	case known == rules.Unknown:
		return 0, false
	case known == rules.No:
		return rules.AddrUnreachable, true
	case r.Type == rules.AddrLocal && ifindex != 0:
		return rules.AddrUnicast, true
	}
	return r.Type, true
}

// IsLocal tells whether the host has the address, or delivers it locally.
func (s *Snapshot) IsLocal(a netip.Addr) rules.Truth {
	t, ok := s.AddrType(a, 0)
	if !ok {
		return rules.Unknown
	}
	return rules.TruthOf(t == rules.AddrLocal)
}

// MasqueradeAddrs are the addresses that masquerade can take on device oif for
// nexthop: with IPv4 the one, with IPv6 what the address selection leaves, the
// likeliest first. An invalid nexthop stands for any: every address then.
func (s *Snapshot) MasqueradeAddrs(oif uint32, nexthop netip.Addr) []netip.Addr {
	switch {
	case s == nil || oif == 0 || s.ix().lacks[PartAddrs]:
		return nil
	case !nexthop.IsValid():
		return s.primaries(oif)
	case nexthop.Unmap().Is4():
		return s.masqueradeIPv4(oif, nexthop.Unmap())
	}
	return s.masqueradeIPv6(oif, nexthop.WithZone(""))
}

func (s *Snapshot) primaries(oif uint32) []netip.Addr {
	var out []netip.Addr
	for i := range s.Addrs {
		a := &s.Addrs[i]
		if a.Index == oif && (a.Prefix.Addr().Is6() || !a.Secondary && a.Scope == scopeUniverse) {
			out = append(out, a.Prefix.Addr())
		}
	}
	return out
}

// RedirectAddrs are the addresses that redirect can take for a packet that came
// in by iif; 0 is a packet that the host itself sends (nf_nat_redirect).
func (s *Snapshot) RedirectAddrs(iif uint32, f rules.Family) []netip.Addr {
	switch {
	case iif == 0 && f == rules.FamilyIPv6:
		return []netip.Addr{netip.IPv6Loopback()}
	case iif == 0:
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}
	case s == nil || s.ix().lacks[PartAddrs]:
		return nil
	case f == rules.FamilyIPv6:
		return s.redirectIPv6(iif)
	}
	return s.redirectIPv4(iif)
}
