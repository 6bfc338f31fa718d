package explain

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

// portRules is a host with n rules `iifname "c0" tcp dport 1000+i dnat to …`
// and one masquerade.
func portRules(n int) *host.Snapshot {
	o := binary.LittleEndian
	t := &rules.Table{Backend: rules.BackendNft, Family: rules.FamilyIPv4, Name: "nat", Handle: 1}
	pre := &rules.Chain{Table: t, Name: "pre", Handle: 1, Base: &rules.BaseChain{Type: rules.ChainNAT, Hook: rules.Prerouting, Priority: -100, Policy: rules.VerdictAccept}}
	post := &rules.Chain{Table: t, Name: "post", Handle: 2, Base: &rules.BaseChain{Type: rules.ChainNAT, Hook: rules.Postrouting, Priority: 100, Policy: rules.VerdictAccept}}
	t.Chains = []*rules.Chain{pre, post}
	name := make([]byte, 16)
	copy(name, "c0")
	for i := range n {
		pre.Rules = append(pre.Rules, &rules.Rule{Chain: pre, Handle: uint64(10 + i), Position: i + 1, Statements: []rules.Statement{
			&rules.Match{Left: &rules.Meta{Key: rules.MetaIifname}, Op: rules.CmpEq, Right: name},
			&rules.Match{Left: &rules.Payload{Base: rules.PayloadTransport, Off: 2, Len: 2}, Op: rules.CmpEq, Right: binary.BigEndian.AppendUint16(nil, uint16(1000+i))},
			&rules.NAT{Kind: rules.DNAT, Family: rules.FamilyIPv4, AddrMin: &rules.Const{Data: []byte{192, 168, 1, byte(i)}}},
		}})
	}
	post.Rules = []*rules.Rule{{Chain: post, Handle: 5, Position: 1, Statements: []rules.Statement{&rules.NAT{Kind: rules.Masquerade}}}}
	s := &host.Snapshot{Order: o, Rules: &rules.Ruleset{Order: o, Tables: []*rules.Table{t}}}
	for i, l := range []struct{ name, addr string }{{"c0", "10.0.0.1/24"}, {"s0", "192.168.1.1/24"}} {
		p := netip.MustParsePrefix(l.addr)
		index := uint32(i + 2)
		s.Links = append(s.Links, rules.Link{Index: index, Name: l.name})
		s.Addrs = append(s.Addrs, host.Addr{Index: index, Prefix: p})
		s.Routes = append(s.Routes,
			host.RouteEntry{Family: rules.FamilyIPv4, Table: 254, Dst: p.Masked(), Type: rules.AddrUnicast, Oif: index},
			host.RouteEntry{Family: rules.FamilyIPv4, Table: 255, Dst: netip.PrefixFrom(p.Addr(), 32), Type: rules.AddrLocal, Oif: index})
	}
	for i, table := range []uint32{255, 254} {
		s.RuleTable = append(s.RuleTable, host.PolicyRule{Family: rules.FamilyIPv4, Priority: uint32(i), Table: table, Action: 1, SuppressPrefix: -1})
	}
	s.Prepare()
	return s
}

func portFlow(i int) *host.Flow {
	a := netip.MustParseAddr
	server := netip.AddrFrom4([4]byte{192, 168, 1, byte(i)})
	return &host.Flow{
		Family: rules.FamilyIPv4, Status: host.StatusConfirmed | host.StatusSrcNAT | host.StatusDstNAT | host.StatusSrcNATDone | host.StatusDstNATDone,
		Original: rules.Tuple{Proto: 6, Src: a("10.0.0.10"), Dst: a("10.0.0.1"), SrcPort: 5536, DstPort: uint16(1000 + i)},
		Reply:    rules.Tuple{Proto: 6, Src: server, Dst: a("192.168.1.1"), SrcPort: uint16(1000 + i), DstPort: 5536},
	}
}

// The last of a thousand rules is found, and both rewrites are exact.
func TestExplainFarRule(t *testing.T) {
	x := New(portRules(200)).Explain(portFlow(199), Options{Not: true, Path: true})
	if len(x.Rewrites) != 2 {
		t.Fatalf("%d rewrites", len(x.Rewrites))
	}
	for i, handle := range []uint64{209, 5} {
		rw := x.Rewrites[i]
		if rw.Grade != GradeExact || len(rw.Rules) != 1 || rw.Rules[0].Handle != handle {
			t.Errorf("rewrite %d: %s %v", i, rw.Grade, rw.Rules)
		}
	}
	if n := len(x.Rewrites[0].Not); n != 199 {
		t.Errorf("%d rules came before, want 199", n)
	}
}

func BenchmarkExplain(b *testing.B) {
	e := New(portRules(1000))
	f := portFlow(999)
	b.ReportAllocs()
	for b.Loop() {
		e.Explain(f, Options{})
	}
}
