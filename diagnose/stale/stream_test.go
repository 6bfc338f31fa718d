package stale_test

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/stale"
	"github.com/ntdiag/ntdiag/rules"
)

// router is a host between c0, 10.0.0.0/24, and s0, with 192.0.2.1 and the
// default route. Port 80 goes to 192.0.2.80, and what leaves by s0 is
// masqueraded.
func router() *host.Snapshot {
	table := &rules.Table{Backend: rules.BackendNft, Family: rules.FamilyIPv4, Name: "nat", Handle: 1}
	chain := func(name string, hook rules.Hook, prio int32, handle uint64, ss ...rules.Statement) {
		c := &rules.Chain{Table: table, Name: name, Base: &rules.BaseChain{Type: rules.ChainNAT, Hook: hook, Priority: prio, Policy: rules.VerdictAccept}}
		c.Rules = []*rules.Rule{{Chain: c, Handle: handle, Position: 1, Statements: ss}}
		table.Chains = append(table.Chains, c)
	}
	chain("prerouting", rules.Prerouting, -100, 4,
		&rules.Match{Left: &rules.Payload{Base: rules.PayloadTransport, Off: 2, Len: 2}, Right: binary.BigEndian.AppendUint16(nil, 80)},
		&rules.NAT{Kind: rules.DNAT, Family: rules.FamilyIPv4, AddrMin: &rules.Const{Data: []byte{192, 0, 2, 80}}})
	chain("postrouting", rules.Postrouting, 100, 5, &rules.NAT{Kind: rules.Masquerade})
	s := &host.Snapshot{Order: binary.LittleEndian, Rules: &rules.Ruleset{Order: binary.LittleEndian, Tables: []*rules.Table{table}}, Sysctls: map[string]host.Fact[string]{}}
	s.Links = []rules.Link{{Index: 1, Name: "lo", Type: 772}, {Index: 2, Name: "c0", Type: 1}, {Index: 3, Name: "s0", Type: 1}}
	route := func(table uint32, dst string, typ rules.AddrType, oif uint32) {
		s.Routes = append(s.Routes, host.RouteEntry{Family: rules.FamilyIPv4, Table: table, Dst: netip.MustParsePrefix(dst), Type: typ, Oif: oif})
	}
	for i, a := range []string{"127.0.0.1/8", "10.0.0.1/24", "192.0.2.1/24"} {
		p := netip.MustParsePrefix(a)
		s.Addrs = append(s.Addrs, host.Addr{Index: uint32(i + 1), Prefix: p})
		route(255, p.Addr().String()+"/32", rules.AddrLocal, uint32(i+1))
		route(254, p.Masked().String(), rules.AddrUnicast, uint32(i+1))
	}
	route(254, "0.0.0.0/0", rules.AddrUnicast, 3)
	for _, dev := range []string{"all", "lo", "c0", "s0"} {
		for k, v := range map[string]string{"rp_filter": "0", "route_localnet": "0", "accept_local": "0", "forwarding": "1", "src_valid_mark": "0"} {
			s.Sysctls["net.ipv4.conf."+dev+"."+k] = host.Known(v)
		}
	}
	s.Prepare()
	return s
}

// flows are n flows to the router: of five one to another server than the rule
// has, one without its masquerade, and one that a helper expects.
func flows(n int) []host.Flow {
	var out []host.Flow
	for i := range n {
		client := netip.AddrFrom4([4]byte{10, 0, 0, byte(10 + i%200)})
		f := host.Flow{
			Family: rules.FamilyIPv4, ID: uint32(i + 1), Has: host.HasID | host.HasStart, Start: int64(i),
			Status:   host.StatusConfirmed | host.StatusSeenReply | host.StatusSrcNATDone | host.StatusDstNATDone | host.StatusSrcNAT | host.StatusDstNAT,
			Original: rules.Tuple{Proto: host.ProtoUDP, Src: client, Dst: netip.MustParseAddr("192.0.2.1"), SrcPort: uint16(1024 + i), DstPort: 80},
		}
		f.Reply = rules.Tuple{Proto: host.ProtoUDP, Src: netip.MustParseAddr("192.0.2.80"), Dst: netip.MustParseAddr("192.0.2.1"), SrcPort: 80, DstPort: f.Original.SrcPort}
		switch i % 5 {
		case 1:
			f.Reply.Src = netip.MustParseAddr("192.0.2.81")
		case 2:
			f.Reply.Dst, f.Status = client, f.Status&^host.StatusSrcNAT
		case 3:
			f.Status |= host.StatusExpected
		}
		out = append(out, f)
	}
	return out
}

// TestStream judges flows on several cores, and one by one.
func TestStream(t *testing.T) {
	j := stale.New(router())
	all := flows(10000)
	i := 0
	fates := map[stale.Fate]int{}
	s := j.Stream(8, func(got *stale.Verdict) error {
		want := j.Judge(&all[i])
		if got.Flow != want.Flow || got.Fate != want.Fate || got.Why != want.Why || got.Change != want.Change || !cmp.Equal(got.Risks, want.Risks) {
			t.Fatalf("flow %d: %+v, by itself %+v", i, got, want)
		}
		fates[got.Fate]++
		i++
		return nil
	})
	for k := range all {
		f := all[k] // the struct is reused, as a dump does
		if err := s.Add(&f); err != nil {
			t.Fatal(err)
		}
		f = host.Flow{}
	}
	if err := s.Close(); err != nil || i != len(all) {
		t.Fatalf("%d of %d verdicts, %v", i, len(all), err)
	}
	want := map[stale.Fate]int{stale.Fresh: 4000, stale.Stale: 4000, stale.Undecided: 2000}
	if d := cmp.Diff(want, fates); d != "" {
		t.Error(d)
	}
}

// TestStreamStops ends at the first error, however many flows come after.
func TestStreamStops(t *testing.T) {
	enough := errors.New("enough")
	n := 0
	s := stale.New(router()).Stream(2, func(*stale.Verdict) error {
		if n++; n == 100 {
			return enough
		}
		return nil
	})
	all := flows(1)
	var err error
	for range 100000 {
		if err = s.Add(&all[0]); err != nil {
			break
		}
	}
	if !errors.Is(err, enough) {
		t.Errorf("add: %v", err)
	}
	if err := s.Close(); !errors.Is(err, enough) || n != 100 {
		t.Errorf("close: %v, after %d verdicts", err, n)
	}
	if err := stale.New(router()).Stream(1, nil).Close(); err != nil {
		t.Errorf("without flows: %v", err)
	}
}

// TestTally counts all and keeps few.
func TestTally(t *testing.T) {
	j := stale.New(router())
	tally := stale.NewTally(3, 4)
	for _, f := range flows(1000) {
		v := j.Judge(&f)
		tally.Add(&v)
	}
	if tally.Checked != 1000 || tally.Fresh != 400 || tally.Undecided != 200 || tally.Stale() != 400 {
		t.Errorf("counted %+v", tally)
	}
	want := map[string]int{"expected by a connection tracking helper: its rewrite follows the master connection": 200}
	if d := cmp.Diff(want, tally.Reasons); d != "" {
		t.Error(d)
	}
	groups := tally.Groups()
	if len(groups) != 2 {
		t.Fatalf("%d groups", len(groups))
	}
	for i, want := range []struct {
		class    stale.Class
		to       string
		examples int
		before   int
	}{
		{stale.RuleAdded, "invalid IP", 3, 20},
		{stale.TargetChanged, "192.0.2.81", 3, 20},
	} {
		g := groups[i]
		if g.Class != want.class || g.Flows != 200 || g.To.Addr.String() != want.to || len(g.Examples) != want.examples || len(g.Now) != 1 || g.Before(100) != want.before {
			t.Errorf("group %d: %+v, %d examples, %d targets, %d before", i, g.Change, len(g.Examples), len(g.Now), g.Before(100))
		}
	}
}
