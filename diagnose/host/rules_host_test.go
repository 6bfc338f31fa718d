package host

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/ntdiag/ntdiag/rules"
)

func ip(s string) netip.Addr { return netip.MustParseAddr(s) }

func route(table uint32, dst string, typ rules.AddrType, oif uint32, gw string) RouteEntry {
	p := netip.MustParsePrefix(dst)
	r := RouteEntry{Family: family(p.Addr()), Table: table, Dst: p, Type: typ, Oif: oif}
	if gw != "" {
		r.Gateway = ip(gw)
	}
	return r
}

func addr(index uint32, p string, scope uint8, secondary bool) Addr {
	return Addr{Index: index, Prefix: netip.MustParsePrefix(p), Scope: scope, Secondary: secondary}
}

func machine() *Snapshot {
	return &Snapshot{
		Links: []rules.Link{{Index: 1, Name: "lo"}, {Index: 2, Name: "lan0"}, {Index: 3, Name: "wan0"}, {Index: 4, Name: "bare0"}},
		Addrs: []Addr{
			addr(1, "127.0.0.1/8", 254, false), addr(2, "10.0.0.1/24", 0, false), addr(2, "10.0.0.2/24", 0, true),
			addr(2, "10.9.0.1/16", 0, false), addr(3, "169.254.1.1/16", 253, false), addr(3, "192.0.2.2/24", 0, false),
			addr(2, "fe80::1/64", 253, false), addr(2, "2001:db8::1/64", 0, false), addr(2, "2001:db8:0:1::1/64", 0, false),
			addr(3, "fe80::2/64", 253, false),
		},
		Routes: []RouteEntry{
			route(tableLocal, "127.0.0.0/8", rules.AddrLocal, 1, ""), route(tableLocal, "10.0.0.1/32", rules.AddrLocal, 2, ""),
			route(tableLocal, "10.0.0.255/32", rules.AddrBroadcast, 2, ""), route(tableLocal, "192.0.2.2/32", rules.AddrLocal, 3, ""),
			route(tableMain, "10.0.0.0/24", rules.AddrUnicast, 2, ""), route(tableMain, "0.0.0.0/0", rules.AddrUnicast, 3, "192.0.2.1"),
			route(100, "0.0.0.0/0", rules.AddrUnicast, 2, "10.0.0.9"), route(tableMain, "2001:db8::/64", rules.AddrUnicast, 2, ""),
			route(tableLocal, "2001:db8::1/128", rules.AddrLocal, 2, ""),
		},
		Sysctls: map[string]Fact[string]{
			"net.ipv4.conf.all.rp_filter": Known("0"), "net.ipv4.conf.wan0.rp_filter": Known("2"),
			"net.ipv4.conf.lan0.rp_filter": Absent[string]("gone"),
		},
	}
}

func TestAddrType(t *testing.T) {
	s := machine()
	tests := []struct {
		addr string
		dev  uint32
		want rules.AddrType
	}{
		{"10.0.0.1", 0, rules.AddrLocal},
		{"10.0.0.1", 2, rules.AddrLocal},
		{"10.0.0.1", 3, rules.AddrUnicast},
		{"127.3.2.1", 0, rules.AddrLocal},
		{"10.0.0.255", 0, rules.AddrBroadcast},
		{"255.255.255.255", 0, rules.AddrBroadcast},
		{"0.0.0.0", 0, rules.AddrBroadcast},
		{"224.0.0.5", 0, rules.AddrMulticast},
		{"8.8.8.8", 0, rules.AddrUnicast},
		{"2001:db8::1", 0, rules.AddrLocal},
		{"2001:db8::1", 2, rules.AddrLocal},
		{"2001:db8::2", 0, rules.AddrUnicast},
		{"ff02::1", 0, rules.AddrMulticast},
		{"2001:4860::1", 0, rules.AddrUnreachable},
	}
	for _, tt := range tests {
		if got, ok := s.AddrType(ip(tt.addr), tt.dev); !ok || got != tt.want {
			t.Errorf("%s on %d: %d (%v), want %d", tt.addr, tt.dev, got, ok, tt.want)
		}
	}
	if s.IsLocal(ip("10.0.0.1")) != rules.Yes || s.IsLocal(ip("10.0.0.7")) != rules.No {
		t.Error("IsLocal")
	}
}

func TestRouteLeftOpen(t *testing.T) {
	from := PolicyRule{Family: rules.FamilyIPv4, Priority: 10, Action: actTable, Table: 100, Src: netip.MustParsePrefix("10.0.0.0/24"), SuppressPrefix: -1}
	marked := PolicyRule{Family: rules.FamilyIPv4, Priority: 10, Action: actTable, Table: 100, Mark: 1, Mask: 1, SuppressPrefix: -1}
	uid := PolicyRule{Family: rules.FamilyIPv4, Priority: 10, Action: actTable, Table: 100, Other: []string{"uidrange"}, SuppressPrefix: -1}
	harmless := PolicyRule{Family: rules.FamilyIPv4, Priority: 10, Action: actTable, Table: 200, Other: []string{"uidrange"}, SuppressPrefix: -1}
	same := PolicyRule{Family: rules.FamilyIPv4, Priority: 10, Action: actTable, Table: tableMain, Other: []string{"dport"}, SuppressPrefix: -1}
	tests := []struct {
		name string
		rule PolicyRule
		q    rules.RouteQuery
		want rules.Truth
		oif  uint32
	}{
		{"source open", from, rules.RouteQuery{Dst: ip("8.8.8.8")}, rules.Unknown, 0},
		{"source inside", from, rules.RouteQuery{Dst: ip("8.8.8.8"), Src: ip("10.0.0.7")}, rules.Yes, 2},
		{"source outside", from, rules.RouteQuery{Dst: ip("8.8.8.8"), Src: ip("10.1.0.7")}, rules.Yes, 3},
		{"mark open", marked, rules.RouteQuery{Dst: ip("8.8.8.8")}, rules.Unknown, 0},
		{"mark known", marked, rules.RouteQuery{Dst: ip("8.8.8.8"), MarkKnown: true}, rules.Yes, 3},
		{"mark set", marked, rules.RouteQuery{Dst: ip("8.8.8.8"), MarkKnown: true, Mark: 3}, rules.Yes, 2},
		{"mark known where it is asked for", marked, rules.RouteQuery{Dst: ip("8.8.8.8"), MarkBits: 1, Mark: 1}, rules.Yes, 2},
		{"mark known to differ", marked, rules.RouteQuery{Dst: ip("8.8.8.8"), MarkBits: 1}, rules.Yes, 3},
		{"mark known elsewhere", marked, rules.RouteQuery{Dst: ip("8.8.8.8"), MarkBits: 6, Mark: 2}, rules.Unknown, 0},
		{"selector not followed", uid, rules.RouteQuery{Dst: ip("8.8.8.8")}, rules.Unknown, 0},
		{"its table has no route", harmless, rules.RouteQuery{Dst: ip("8.8.8.8")}, rules.Yes, 3},
		{"the same both ways", same, rules.RouteQuery{Dst: ip("8.8.8.8")}, rules.Yes, 3},
		{"no route at all", from, rules.RouteQuery{Dst: ip("2001:4860::1")}, rules.No, 0},
	}
	for _, tt := range tests {
		s := machine()
		main := PolicyRule{Family: rules.FamilyIPv4, Priority: 32766, Action: actTable, Table: tableMain, SuppressPrefix: -1}
		s.RuleTable = []PolicyRule{tt.rule, main}
		r, known := s.Lookup(tt.q)
		if known != tt.want || r.Oif != tt.oif {
			t.Errorf("%s: %v %+v, want %v by %d", tt.name, known, r, tt.want, tt.oif)
		}
	}
}

func TestNextHops(t *testing.T) {
	s := machine()
	dead := route(tableMain, "10.7.0.0/16", rules.AddrUnicast, 2, "10.0.0.3")
	dead.Flags = hopDead
	down := route(tableMain, "10.8.0.0/16", rules.AddrUnicast, 2, "10.0.0.3")
	down.Flags = hopLinkdown
	s.Routes = append(s.Routes, dead, down)
	if r, _ := s.Route(rules.RouteQuery{Dst: ip("10.7.0.1")}); r.Oif != 3 {
		t.Errorf("a dead next hop was taken: %+v", r)
	}
	if r, _ := s.Route(rules.RouteQuery{Dst: ip("10.8.0.1")}); r.Oif != 2 {
		t.Errorf("a next hop without carrier was passed over: %+v", r)
	}
	s.Sysctls["net.ipv4.conf.lan0.ignore_routes_with_linkdown"] = Known("1")
	if r, _ := s.Route(rules.RouteQuery{Dst: ip("10.8.0.1")}); r.Oif != 3 {
		t.Errorf("a next hop without carrier was taken: %+v", r)
	}
}

func TestMasqueradeAndRedirect(t *testing.T) {
	s := machine()
	tests := []struct {
		name string
		got  []netip.Addr
		want []string
	}{
		{"subnet of the next hop", s.MasqueradeAddrs(2, ip("10.9.3.4")), []string{"10.9.0.1"}},
		{"never a secondary", s.MasqueradeAddrs(2, ip("10.0.0.7")), []string{"10.0.0.1"}},
		{"first primary", s.MasqueradeAddrs(2, ip("8.8.8.8")), []string{"10.0.0.1"}},
		{"not of link scope", s.MasqueradeAddrs(3, ip("169.254.3.3")), []string{"192.0.2.2"}},
		{"of another device", s.MasqueradeAddrs(4, ip("8.8.8.8")), []string{"10.0.0.1", "10.9.0.1", "192.0.2.2"}},
		{"ipv6 longest prefix first", s.MasqueradeAddrs(2, ip("2001:db8:0:1::9")), []string{"2001:db8:0:1::1", "2001:db8::1"}},
		{"ipv6 to a link-local", s.MasqueradeAddrs(2, ip("fe80::9")), []string{"fe80::1"}},
		{"ipv6 of another device", s.MasqueradeAddrs(3, ip("2001:db8::9")), []string{"2001:db8::1", "2001:db8:0:1::1"}},
		{"redirect", s.RedirectAddrs(3, rules.FamilyIPv4), []string{"169.254.1.1"}},
		{"redirect ipv6", s.RedirectAddrs(2, rules.FamilyIPv6), []string{"2001:db8::1", "2001:db8:0:1::1", "fe80::1"}},
		{"redirect of own", s.RedirectAddrs(0, rules.FamilyIPv4), []string{"127.0.0.1"}},
		{"redirect of own ipv6", s.RedirectAddrs(0, rules.FamilyIPv6), []string{"::1"}},
	}
	for _, tt := range tests {
		var want []netip.Addr
		for _, w := range tt.want {
			want = append(want, ip(w))
		}
		if !slices.Equal(tt.got, want) {
			t.Errorf("%s: %v, want %v", tt.name, tt.got, want)
		}
	}
}

func TestRPFilter(t *testing.T) {
	s := machine()
	for dev, want := range map[string]int{"wan0": 2, "lan0": -1, "none": -1} {
		if got := s.RPFilter(dev); got != want {
			t.Errorf("%s: %d, want %d", dev, got, want)
		}
	}
}

func TestPartialSnapshots(t *testing.T) {
	noRoutes := machine()
	noRoutes.Missing = []Missing{{What: PartRoutes, Why: "permission denied"}}
	for name, s := range map[string]*Snapshot{"nil": nil, "empty": {}, "no routes": noRoutes} {
		if _, ok := s.Route(rules.RouteQuery{Dst: ip("8.8.8.8")}); ok {
			t.Errorf("%s: a route", name)
		}
		if _, known := s.Lookup(rules.RouteQuery{Dst: ip("8.8.8.8")}); known != rules.Unknown {
			t.Errorf("%s: lookup is %v", name, known)
		}
		if _, ok := s.AddrType(ip("8.8.8.8"), 0); ok || s.IsLocal(ip("8.8.8.8")) != rules.Unknown {
			t.Errorf("%s: an address type", name)
		}
		if s.RPFilter("x") != -1 {
			t.Errorf("%s: an rp_filter", name)
		}
	}
}

func TestBeneath(t *testing.T) {
	s := &Snapshot{
		Links: []rules.Link{
			{Index: 2, Name: "eth0"}, {Index: 3, Name: "br0", Kind: "bridge"}, {Index: 4, Name: "p0", Master: 3}, {Index: 5, Name: "p1", Master: 3},
			{Index: 6, Name: "eth0.5", Kind: "vlan", Parent: 2}, {Index: 7, Name: "br1", Kind: "bridge", CallIP: true},
		},
		Sysctls: map[string]Fact[string]{
			"net.bridge.bridge-nf-call-iptables":  Known("0"),
			"net.bridge.bridge-nf-call-ip6tables": Absent[string](NotThere),
		},
	}
	for _, tc := range []struct {
		index  uint32
		family rules.Family
		below  []string
		bridge bool
		calls  rules.Truth
	}{
		{2, rules.FamilyIPv4, nil, false, rules.No},
		{3, rules.FamilyIPv4, []string{"p0", "p1"}, true, rules.No},
		{6, rules.FamilyIPv4, []string{"eth0"}, false, rules.No},
		{7, rules.FamilyIPv4, nil, true, rules.Yes}, // its own setting
		{7, rules.FamilyIPv6, nil, true, rules.No},  // no such module
	} {
		b, ok := s.Beneath(tc.index, tc.family)
		var below []string
		for _, l := range b.Links {
			below = append(below, l.Name)
		}
		if !ok || !slices.Equal(below, tc.below) || b.Bridge != tc.bridge || b.CallsIP != tc.calls {
			t.Errorf("device %d: %q bridge %v calls %v (%v)", tc.index, below, b.Bridge, b.CallsIP, ok)
		}
	}
	s.Sysctls["net.bridge.bridge-nf-call-iptables"] = Absent[string]("permission denied")
	if b, _ := s.Beneath(3, rules.FamilyIPv4); b.CallsIP != rules.Unknown {
		t.Errorf("setting that could not be read: %v", b.CallsIP)
	}
	if _, ok := s.Beneath(99, rules.FamilyIPv4); ok {
		t.Error("a device that is not there")
	}
	s.Missing = []Missing{{What: PartLinks}}
	s.Prepare()
	if _, ok := s.Beneath(3, rules.FamilyIPv4); ok {
		t.Error("devices that could not be read")
	}
}
