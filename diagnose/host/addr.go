package host

import (
	"math/bits"
	"net/netip"
	"slices"
	"strconv"

	"github.com/ntdiag/ntdiag/rules"
)

// IFA_F_* and RT_SCOPE_*.
const (
	ifaOptimistic = 0x04
	ifaDADFailed  = 0x08
	ifaDeprecated = 0x20
	ifaTentative  = 0x40

	scopeUniverse = 0
	scopeLink     = 253
)

// masqueradeIPv4 follows inet_select_addr at scope universe: the first primary
// address of the device whose subnet holds the next hop, else its first
// primary one, else one of another device.
func (s *Snapshot) masqueradeIPv4(oif uint32, nexthop netip.Addr) []netip.Addr {
	var first netip.Addr
	var elsewhere []netip.Addr
	ix := s.ix()
	for i := range s.Addrs {
		a := &s.Addrs[i]
		if !a.Prefix.Addr().Is4() || a.Secondary || a.Scope != scopeUniverse {
			continue
		}
		switch {
		case a.Index != oif:
			if ix.vrfOf(a.Index) == ix.vrfOf(oif) {
				elsewhere = append(elsewhere, a.Prefix.Addr())
			}
		case a.subnet().Contains(nexthop):
			return []netip.Addr{a.Prefix.Addr()}
		case !first.IsValid():
			first = a.Prefix.Addr()
		}
	}
	if first.IsValid() {
		return []netip.Addr{first}
	}
	// the kernel takes the devices in the order of their creation
	return elsewhere
}

// subnet is what an address is compared by: that of the peer where it has one
// (inet_ifa_match).
func (a *Addr) subnet() netip.Prefix {
	if a.Peer.IsValid() {
		return a.Peer.Masked()
	}
	return a.Prefix.Masked()
}

// vrfOf is the index of the VRF above a device, 0 for none.
func (ix *index) vrfOf(index uint32) uint32 {
	if m := ix.byIndex[index].Master; ix.byIndex[m].Kind == "vrf" {
		return m
	}
	return 0
}

// candidate6 is an address with how ipv6_dev_get_saddr ranks it.
type candidate6 struct {
	addr   netip.Addr
	rank   [3]int // scope, deprecated, device: lower is better
	common int    // leading bits shared with the destination
}

// masqueradeIPv6 follows ipv6_dev_get_saddr: rules 2 (scope), 3 (deprecated),
// 5 (device); labels and temporary addresses are not decided, so that every
// address that these rules leave is given, rule 8 (longest prefix) first.
func (s *Snapshot) masqueradeIPv6(oif uint32, dst netip.Addr) []netip.Addr {
	var all []candidate6
	for i := range s.Addrs {
		a := &s.Addrs[i]
		addr := a.Prefix.Addr()
		if !addr.Is6() || !usable6(a) || addr.IsLoopback() && a.Index != oif {
			continue
		}
		if dst.IsLinkLocalUnicast() && a.Index != oif {
			continue // the kernel looks at no other device then
		}
		c := candidate6{addr: addr, common: commonBits(addr, dst)}
		c.rank[0] = scopeRank(scope6(addr), scope6(dst))
		if a.Flags&(ifaDeprecated|ifaOptimistic) != 0 {
			c.rank[1] = 1
		}
		if a.Index != oif {
			c.rank[2] = 1
		}
		all = append(all, c)
	}
	slices.SortStableFunc(all, func(a, b candidate6) int {
		if c := slices.Compare(a.rank[:], b.rank[:]); c != 0 {
			return c
		}
		return b.common - a.common
	})
	var out []netip.Addr
	for _, c := range all {
		if c.rank == all[0].rank {
			out = append(out, c.addr)
		}
	}
	return out
}

func usable6(a *Addr) bool {
	return a.Flags&ifaDADFailed == 0 && (a.Flags&ifaTentative == 0 || a.Flags&ifaOptimistic != 0)
}

// scope6 is IPV6_ADDR_SCOPE_*: 2 link-local, 5 site-local, 14 global; that of
// a multicast address stands in it.
func scope6(a netip.Addr) int {
	b := a.As16()
	switch {
	case b[0] == 0xff:
		return int(b[1] & 0x0f)
	case a.IsLinkLocalUnicast(), a.IsLoopback():
		return 2
	case b[0] == 0xfe && b[1]&0xc0 == 0xc0:
		return 5
	}
	return 14
}

// scopeRank prefers the smallest scope that reaches the destination's.
func scopeRank(src, dst int) int {
	if src >= dst {
		return src - dst
	}
	return 128 - src
}

func commonBits(a, b netip.Addr) int {
	x, y := a.As16(), b.As16()
	for i := range x {
		if d := x[i] ^ y[i]; d != 0 {
			return i*8 + bits.LeadingZeros8(d)
		}
	}
	return 128
}

// redirectIPv4 is the first address in the device's list, whatever its kind
// (nf_nat_redirect_ipv4).
func (s *Snapshot) redirectIPv4(iif uint32) []netip.Addr {
	for i := range s.Addrs {
		if a := &s.Addrs[i]; a.Index == iif && a.Prefix.Addr().Is4() {
			return []netip.Addr{a.Prefix.Addr()}
		}
	}
	return nil
}

// redirectIPv6 are the addresses of the device: which one depends on the scope
// of the packet's destination (nf_nat_redirect_ipv6). Global ones first.
func (s *Snapshot) redirectIPv6(iif uint32) []netip.Addr {
	var global, link []netip.Addr
	for i := range s.Addrs {
		a := &s.Addrs[i]
		addr := a.Prefix.Addr()
		if a.Index != iif || !addr.Is6() || a.Flags&(ifaTentative|ifaDADFailed) != 0 {
			continue
		}
		if a.Scope == scopeLink {
			link = append(link, addr)
		} else {
			global = append(global, addr)
		}
	}
	return append(global, link...)
}

// sysctlInt is the number in a sysctl, false when it is missing.
func (s *Snapshot) sysctlInt(key string) (int, bool) {
	f, ok := s.Sysctls[key]
	if !ok || !f.OK {
		return 0, false
	}
	n, err := strconv.Atoi(f.Value)
	return n, err == nil
}

// maxConf follows IN_DEV_ORCONF: the setting of all or of the device.
func (s *Snapshot) maxConf(dev, setting string) bool {
	all, _ := s.sysctlInt("net.ipv4.conf.all." + setting)
	own, _ := s.sysctlInt("net.ipv4.conf." + dev + "." + setting)
	return max(all, own) > 0
}

// DevConf is a setting of net.ipv4.conf as it counts for a device where all or
// its own is enough (IN_DEV_ORCONF): 0 or 1, -1 when not known.
func (s *Snapshot) DevConf(ifname, setting string) int {
	if s == nil {
		return -1
	}
	all, okAll := s.sysctlInt("net.ipv4.conf.all." + setting)
	own, okOwn := s.sysctlInt("net.ipv4.conf." + ifname + "." + setting)
	switch {
	case okAll && all > 0 || okOwn && own > 0:
		return 1
	case okAll && okOwn:
		return 0
	}
	return -1
}

// RoutesByMark tells whether a policy rule looks at the packet's mark.
func (s *Snapshot) RoutesByMark(f rules.Family) bool {
	for _, p := range s.ix().policy[f] {
		if p.Mark != 0 || p.Mask != 0 {
			return true
		}
	}
	return false
}

// RPFilter is net.ipv4.conf.*.rp_filter as it counts for a device
// (IN_DEV_RPFILTER): the larger of all and its own; -1 when not known.
func (s *Snapshot) RPFilter(ifname string) int {
	if s == nil {
		return -1
	}
	all, okAll := s.sysctlInt("net.ipv4.conf.all.rp_filter")
	own, okOwn := s.sysctlInt("net.ipv4.conf." + ifname + ".rp_filter")
	if !okAll || !okOwn {
		return -1
	}
	return max(all, own)
}

var _ rules.Host = (*Snapshot)(nil)
