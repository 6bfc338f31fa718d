package walk

import (
	"net/netip"
	"testing"

	"github.com/ntdiag/ntdiag/rules"
)

// TestShiftedPorts follows nf_nat_l4proto_unique_tuple with
// NF_NAT_RANGE_PROTO_OFFSET: the port keeps its distance from the base, and
// goes round at the end of the range.
func TestShiftedPorts(t *testing.T) {
	a := netip.MustParseAddr("10.0.0.5")
	target := Target{AddrMin: a, AddrMax: a, PortMin: 3000, PortMax: 3099, HasPort: true, Offset: true, Base: 2000}
	for _, tt := range []struct {
		m            rules.Manip
		from, to     uint16
		makes, clash bool
	}{
		{rules.ManipDst, 2000, 3000, true, false},
		{rules.ManipDst, 2042, 3042, true, false},
		{rules.ManipDst, 2042, 3043, true, true},
		{rules.ManipDst, 2142, 3042, true, false},
		{rules.ManipDst, 3042, 3042, true, false},
		{rules.ManipDst, 3043, 3043, true, false},
		{rules.ManipDst, 1999, 3000 + 65535%100, true, false},
		{rules.ManipDst, 2042, 3100, false, true},
		{rules.ManipSrc, 3050, 3050, true, false},
	} {
		if got := target.Makes(tt.m, netip.MustParseAddr("10.0.0.1"), a, tt.from, tt.to); got != tt.makes {
			t.Errorf("%s %d > %d: makes %v", tt.m, tt.from, tt.to, got)
		}
		if got := target.ByClash(tt.m, tt.from, tt.to); got != tt.clash {
			t.Errorf("%s %d > %d: by clash %v", tt.m, tt.from, tt.to, got)
		}
	}
}

// TestForwarded: a hop limit that a rule has set is one less at forward.
func TestForwarded(t *testing.T) {
	for _, tt := range []struct {
		family     rules.Family
		off        int
		known      byte
		before     byte
		want       byte
		stillKnown bool
	}{
		{rules.FamilyIPv4, 8, 0xff, 64, 63, true},
		{rules.FamilyIPv4, 8, 0x0f, 4, 0, false},
		{rules.FamilyIPv4, 8, 0, 0, 0, false},
		{rules.FamilyIPv6, 7, 0xff, 2, 1, true},
		{rules.FamilyIPv6, 7, 0xff, 1, 0, false}, // it never gets there
	} {
		p := rules.Packet{Family: tt.family}
		p.Net.N = 40
		p.Net.Bits[tt.off], p.Net.Known[tt.off] = tt.before, tt.known
		forwarded(&p)
		if v := p.Net.Read(tt.off, 1); v.IsKnown() != tt.stillKnown || tt.stillKnown && v.Bits[0] != tt.want {
			t.Errorf("%s, %d of which %#x is known: %v", tt.family, tt.before, tt.known, v)
		}
	}
}

// TestPicked follows find_best_ips_proto: word by word.
func TestPicked(t *testing.T) {
	for _, tt := range []struct {
		lo, hi, to string
		makes      bool
	}{
		{"10.0.0.1", "10.0.0.9", "10.0.0.9", true},
		{"10.0.0.1", "10.0.0.9", "10.0.0.10", false},
		{"10.0.0.9", "10.0.0.1", "10.0.0.5", false}, // goes round
		{"10.0.0.9", "10.0.0.1", "10.0.0.200", true},
		{"0.0.0.0", "255.255.255.255", "10.0.0.200", true}, // kept
		{"fd00::1", "fd00::9", "fd00::5", true},
		{"fd00::1", "fd00::9", "fd00::1:0:0:5", false},
		{"fd00::ffff:ffff:0:1", "fd00:0:0:1::", "fd00::7d7a:0:1", true}, // below
		{"fd00::ffff:ffff:0:1", "fd00:0:0:1::", "fd00:0:0:1:ffff:ffff::7", true},
		{"fd00::ffff:ffff:0:1", "fd00:0:0:1::", "fd00:0:0:1:1::", false},
		{"fd00::ffff:ffff:0:1", "fd00:0:0:1::", "fd00:0:0:2::", false},
	} {
		target := Target{AddrMin: netip.MustParseAddr(tt.lo), AddrMax: netip.MustParseAddr(tt.hi)}
		from, to := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr(tt.to)
		if got := target.Makes(rules.ManipSrc, from, to, 1, 1); got != tt.makes {
			t.Errorf("%s-%s: %s %v", tt.lo, tt.hi, tt.to, got)
		}
		if lo, hi := target.Range(from); tt.makes && lo.IsValid() && (to.Less(lo) || hi.Less(to)) {
			t.Errorf("%s-%s: %s lies outside of %s-%s", tt.lo, tt.hi, tt.to, lo, hi)
		}
	}
}

// TestMasqueradeNobody: what is sent from 0.0.0.0 is not masqueraded, and the
// other nat chains are asked.
func TestMasqueradeNobody(t *testing.T) {
	for _, tt := range []struct{ src, want string }{{"0.0.0.0", "must 21"}, {"10.0.0.10", "must 11"}, {"::", "must 11"}} {
		tb := newTable()
		tb.chain(natBase(rules.Postrouting, 100), do(&rules.NAT{Kind: rules.Masquerade}), do(snat("192.0.2.1")))
		tb.chain(natBase(rules.Postrouting, 101), do(snat("192.0.2.2")))
		p := packet(rules.KnownUint(le, 4, 0))
		p.Tracked, p.Ct.Original.Src = rules.Yes, netip.MustParseAddr(tt.src)
		res := New(&rules.Ruleset{Order: le, Tables: []*rules.Table{tb.Table}}).Hook(p, rules.Postrouting, Options{})
		if got := outline(res); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.src, got, tt.want)
		}
	}
}
