package alike

import (
	"net/netip"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/cuts"
)

// special are the addresses that stand for something, whatever the routes.
var special = prefixes(
	"0.0.0.0/32", "0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/24", "224.0.0.0/4", "255.255.255.255/32",
	"::/128", "::1/128", "fe80::/10", "fec0::/10", "ff00::/8",
)

func prefixes(texts ...string) (out []netip.Prefix) {
	for _, t := range texts {
		out = append(out, netip.MustParsePrefix(t))
	}
	return out
}

// maxNear bounds the IPv6 addresses of the host that others are compared with
// bit by bit.
const maxNear = 64

// hostCuts adds what the host tells apart: what its routes and policy rules lead
// to, its own addresses and those on its links.
func hostCuts(b *cuts.Builder, s *host.Snapshot, f rules.Family) {
	all := cuts.Addresses
	for _, p := range special {
		b.Prefix(all, p)
	}
	for i := range s.Routes {
		b.Prefix(all, s.Routes[i].Dst)
	}
	for i := range s.RuleTable {
		b.Prefix(all, s.RuleTable[i].Src)
		b.Prefix(all, s.RuleTable[i].Dst)
	}
	near := 0
	for i := range s.Addrs {
		a := &s.Addrs[i]
		own := a.Prefix.Addr()
		b.Prefix(all, netip.PrefixFrom(own, own.BitLen()))
		b.Prefix(all, a.Prefix)
		b.Prefix(all, a.Peer)
		if f != rules.FamilyIPv6 || !own.Is6() {
			continue
		}
		// of several addresses the one is taken that shares the longest prefix
		// with the destination (ipv6_dev_get_saddr, rule 8)
		if near++; near > maxNear {
			b.Raw(all)
			continue
		}
		for n := range own.BitLen() {
			b.Prefix(all, netip.PrefixFrom(own, n))
		}
	}
	for _, p := range []uint64{512, 1024} { // what nf_nat_l4proto_unique_tuple chooses a port of
		b.Add(cuts.Ports, cuts.Word{Lo: p}, cuts.Word{Lo: p})
	}
	b.Add(cuts.Ports, cuts.Word{}, cuts.Word{})
}
