package redact

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/walk"
)

var (
	saddr4 = &rules.Payload{Base: rules.PayloadNetwork, Off: 12, Len: 4}
	daddr4 = &rules.Payload{Base: rules.PayloadNetwork, Off: 16, Len: 4}
	saddr6 = &rules.Payload{Base: rules.PayloadNetwork, Off: 8, Len: 16}
)

func raw(s string) []byte { return netip.MustParseAddr(s).AsSlice() }

func behind(x rules.Expr, mask, xor string) rules.Expr {
	return &rules.Bitwise{X: x, Mask: raw(mask), Xor: raw(xor)}
}

func setOf(typ uint32, n int, e ...rules.Element) *rules.Set {
	return &rules.Set{Flags: rules.SetAnonymous | rules.SetConstant, KeyType: typ, KeyLen: n, Elements: e}
}

// asked are conditions that look at addresses in every way there is, each with
// addresses that it tells apart.
var asked = []struct {
	name   string
	family rules.Family
	list   []rules.Statement
	near   []string
}{
	{"an address", rules.FamilyIPv4, []rules.Statement{&rules.Match{Left: saddr4, Right: raw("10.7.8.9")}}, []string{"10.7.8.9", "10.7.8.8"}},
	{"a prefix of whole bytes", rules.FamilyIPv4, []rules.Statement{&rules.Match{Left: &rules.Payload{Base: rules.PayloadNetwork, Off: 12, Len: 3}, Right: []byte{10, 7, 8}}}, []string{"10.7.8.200", "10.7.9.0"}},
	{"a prefix behind a mask", rules.FamilyIPv4, []rules.Statement{&rules.Match{Left: behind(saddr4, "255.255.240.0", "0.0.0.0"), Right: raw("10.7.16.0")}}, []string{"10.7.31.255", "10.7.32.0"}},
	{"a constant that nothing is equal to", rules.FamilyIPv4, []rules.Statement{&rules.Match{Left: behind(saddr4, "255.255.255.0", "0.0.0.0"), Op: rules.CmpNeq, Right: raw("10.7.8.9")}}, []string{"10.7.8.9"}},
	{"bits in the middle", rules.FamilyIPv4, []rules.Statement{&rules.Match{Left: behind(saddr4, "0.15.0.3", "0.0.0.0"), Right: raw("0.7.0.1")}}, []string{"10.7.8.9", "10.23.4.5"}},
	{"bits, and others turned", rules.FamilyIPv4, []rules.Statement{&rules.Match{Left: behind(saddr4, "0.0.0.7", "0.0.0.2"), Right: raw("0.0.0.3")}}, []string{"10.7.8.9"}},
	{"the end of an address", rules.FamilyIPv4, []rules.Statement{&rules.Match{Left: &rules.Payload{Base: rules.PayloadNetwork, Off: 15, Len: 1}, Right: []byte{9}}}, []string{"10.7.8.9", "192.0.2.9"}},
	{"at least", rules.FamilyIPv4, []rules.Statement{&rules.Match{Left: saddr4, Op: rules.CmpGte, Right: raw("10.7.8.9")}}, []string{"10.7.8.9", "10.7.8.8", "10.7.8.10"}},
	{"above", rules.FamilyIPv4, []rules.Statement{&rules.Match{Left: saddr4, Op: rules.CmpGt, Right: raw("10.7.8.9")}}, []string{"10.7.8.9", "10.7.8.8", "10.7.8.10"}},
	{"below", rules.FamilyIPv4, []rules.Statement{&rules.Match{Left: saddr4, Op: rules.CmpLt, Right: raw("10.7.8.9")}}, []string{"10.7.8.9", "10.7.8.8"}},
	{"at most", rules.FamilyIPv4, []rules.Statement{&rules.Match{Left: saddr4, Op: rules.CmpLte, Right: raw("172.16.3.255")}}, []string{"172.16.3.255", "172.16.4.0"}},
	{"from and to", rules.FamilyIPv4, []rules.Statement{
		&rules.Match{Left: saddr4, Op: rules.CmpGte, Right: raw("10.7.8.9")}, &rules.Match{Left: saddr4, Op: rules.CmpLte, Right: raw("10.7.9.100")},
	}, []string{"10.7.8.9", "10.7.8.8", "10.7.9.100", "10.7.9.101"}},
	{"a range", rules.FamilyIPv4, []rules.Statement{&rules.MatchRange{Left: saddr4, Lo: raw("9.255.255.250"), Hi: raw("10.0.0.7")}}, []string{"9.255.255.249", "9.255.255.250", "10.0.0.7", "10.0.0.8"}},
	{"a range of networks", rules.FamilyIPv4, []rules.Statement{&rules.MatchRange{Left: &rules.Payload{Base: rules.PayloadNetwork, Off: 12, Len: 3}, Lo: []byte{10, 7, 3}, Hi: []byte{10, 7, 9}}}, []string{"10.7.2.255", "10.7.3.0", "10.7.9.255", "10.7.10.0"}},
	{"a range of IPv6", rules.FamilyIPv6, []rules.Statement{&rules.MatchRange{Left: saddr6, Lo: raw("2001:4d58::5"), Hi: raw("2001:4d58:1::7")}}, []string{"2001:4d58::4", "2001:4d58::5", "2001:4d58:1::7", "2001:4d58:1::8"}},
	{"a set of networks, of any type", rules.FamilyIPv4, []rules.Statement{&rules.InSet{Key: behind(saddr4, "255.255.255.0", "0.0.0.0"), Set: setOf(7, 4, rules.Element{Key: raw("10.7.8.0")}, rules.Element{Key: raw("10.7.9.0")})}}, []string{"10.7.8.77", "10.7.10.1"}},
	{"a set of numbers", rules.FamilyIPv4, []rules.Statement{&rules.InSet{Key: saddr4, Set: setOf(4, 4, rules.Element{Key: raw("10.7.8.1")})}}, []string{"10.7.8.1", "10.7.8.2"}},
	{"bits in a set", rules.FamilyIPv4, []rules.Statement{&rules.InSet{Key: behind(saddr4, "0.0.0.15", "0.0.0.0"), Set: setOf(7, 4, rules.Element{Key: raw("0.0.0.9")})}}, []string{"10.7.8.9", "10.99.1.25"}},
	{"intervals", rules.FamilyIPv4, []rules.Statement{&rules.InSet{Key: saddr4, Set: setOf(7, 4, rules.Element{Key: raw("10.7.8.3"), KeyEnd: raw("10.7.8.9")}, rules.Element{Key: raw("10.7.16.0"), KeyEnd: raw("10.7.31.255")})}}, []string{"10.7.8.2", "10.7.8.3", "10.7.8.9", "10.7.8.10", "10.7.16.0", "10.7.31.255", "10.7.32.0"}},
	{"two addresses", rules.FamilyIPv4, []rules.Statement{&rules.InSet{Key: &rules.Concat{Parts: []rules.Expr{saddr4, daddr4}}, Set: &rules.Set{Flags: rules.SetAnonymous, KeyType: 7<<6 | 7, KeyLen: 8, FieldLens: []int{4, 4},
		Elements: []rules.Element{{Key: append(raw("10.7.8.3"), raw("0.0.0.0")...), KeyEnd: append(raw("10.7.8.9"), raw("255.255.255.255")...)}}}}}, []string{"10.7.8.2", "10.7.8.3", "10.7.8.9"}},
	{"a number made of an address", rules.FamilyIPv4, []rules.Statement{&rules.Match{
		Left: &rules.Byteorder{X: behind(saddr4, "0.0.0.255", "0.0.0.0"), Size: 4, Len: 4}, Right: []byte{9, 0, 0, 0},
	}}, []string{"10.7.8.9", "192.0.2.9"}},
	{"one of two ways", rules.FamilyIPv4, []rules.Statement{&rules.AnyOf{Invert: true, Parts: []rules.Condition{
		&rules.Match{Left: saddr4, Right: raw("10.7.8.9")}, &rules.NotOf{Part: &rules.MatchRange{Left: saddr4, Lo: raw("10.0.0.1"), Hi: raw("10.200.0.9")}},
	}}}, []string{"10.7.8.9", "10.0.0.0", "10.0.0.1", "10.200.0.9", "10.200.0.10"}},
}

// TestConditionsHoldAlike asks every condition of packets with addresses near
// its constants, and of others, before and after.
func TestConditionsHoldAlike(t *testing.T) {
	for _, tc := range asked {
		t.Run(tc.name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(1, 2))
			seen := map[rules.Truth]int{}
			for k := range byte(20) {
				s := snapshotOf(tc.family, tc.list...)
				r := &model{m: New(Key{k}, Collect(s, nil)), notes: map[string]bool{}}
				hidden := r.snapshot(s).Rules.Tables[0].Chains[0].Rules[0].Statements
				for range 100 {
					a := someAddr(random, tc.family, tc.near)
					want, got := ask(tc.list, a), ask(hidden, r.m.Addr(a))
					if want != got {
						t.Fatalf("key %d: %s of %s, %s of %s\n%v", k, want, a, got, r.m.Addr(a), r.notes)
					}
					seen[want]++
				}
			}
			if seen[rules.Yes] == 0 && len(tc.near) > 1 || seen[rules.No] == 0 && tc.name != "a constant that nothing is equal to" {
				t.Errorf("it never holds, or always: %v", seen)
			}
		})
	}
}

func snapshotOf(f rules.Family, list ...rules.Statement) *host.Snapshot {
	rs := &rules.Ruleset{Order: binary.LittleEndian}
	table := &rules.Table{Ruleset: rs, Backend: rules.BackendNft, Family: f, Name: "t"}
	c := &rules.Chain{Table: table, Name: "c"}
	c.Rules = []*rules.Rule{{Chain: c, Position: 1, Statements: list}}
	for _, s := range list {
		if in, ok := s.(*rules.InSet); ok {
			table.Sets = append(table.Sets, in.Set)
		}
	}
	table.Chains, rs.Tables = []*rules.Chain{c}, []*rules.Table{table}
	return &host.Snapshot{Rules: rs, Order: rs.Order}
}

// someAddr is near one of those given, or anywhere.
func someAddr(r *rand.Rand, f rules.Family, near []string) netip.Addr {
	n := r.IntN(3 * len(near))
	if n < len(near) {
		return netip.MustParseAddr(near[n])
	}
	b := netip.MustParseAddr(near[n%len(near)]).AsSlice()
	keep := r.IntN(len(b) * 8)
	for i := keep; i < len(b)*8; i++ {
		if r.IntN(2) == 0 {
			b[i/8] ^= 0x80 >> (i % 8)
		}
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// ask tests all conditions of a packet from a.
func ask(list []rules.Statement, a netip.Addr) rules.Truth {
	p := &rules.Packet{Order: binary.LittleEndian, Family: rules.FamilyIPv4}
	p.Net.N = 20
	if a.Is6() {
		p.Family, p.Net.N = rules.FamilyIPv6, 40
	}
	p.SetAddr(false, a)
	p.SetAddr(true, a)
	out := rules.Yes
	for _, s := range list {
		out = out.And(s.(rules.Condition).Test(p).Truth)
	}
	return out
}

// TestTargetsTakeAlike: what NAT can choose from a range, or make of an address,
// is the same before and after.
func TestTargetsTakeAlike(t *testing.T) {
	for _, tc := range []struct {
		name   string
		lo, hi string
		flags  rules.NATFlags
		near   []string
	}{
		{"IPv4", "10.7.8.9", "10.7.9.3", 0, []string{"10.7.8.8", "10.7.8.9", "10.7.9.3", "10.7.9.4"}},
		{"IPv6, one word", "2001:4d58::9", "2001:4d58::77", 0, []string{"2001:4d58::8", "2001:4d58::77", "2001:4d58::78"}},
		{"IPv6, several words", "2001:4d58::5:0:9", "2001:4d58::7:0:77", 0, []string{"2001:4d58::5:0:9", "2001:4d58::6:7:8", "2001:4d58::7:0:9", "2001:4d58::7:0:77", "2001:4d58::7:0:78", "2001:4d58::7:0:8"}},
		{"IPv6, round the end of a word", "2001:4d58::5:0:77", "2001:4d58::7:0:9", 0, []string{"2001:4d58::7:0:9", "2001:4d58::7:0:a", "2001:4d58::7:0:76", "2001:4d58::7:0:77", "2001:4d58::6:1:1"}},
		{"netmap", "10.7.8.0", "10.7.8.255", rules.NATNetmap, []string{"10.7.8.9", "10.7.8.10"}},
		{"netmap of no prefix", "10.7.8.4", "10.7.8.9", rules.NATNetmap, []string{"10.7.8.9", "10.7.8.12", "10.7.8.5"}},
		{"netmap of IPv6", "2001:4d58:77::", "2001:4d58:77:0:ffff:ffff:ffff:ffff", rules.NATNetmap, []string{"2001:4d58:77::9", "2001:4d58:77::8"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(3, 4))
			seen := map[bool]int{}
			from := netip.MustParseAddr("192.168.3.9")
			if netip.MustParseAddr(tc.lo).Is6() {
				from = netip.MustParseAddr("fd00:7::9")
			}
			for k := range byte(20) {
				nat := &rules.NAT{Kind: rules.DNAT, AddrMin: &rules.Const{Data: raw(tc.lo)}, AddrMax: &rules.Const{Data: raw(tc.hi)}, Flags: tc.flags}
				s := snapshotOf(rules.FamilyInet, nat)
				r := &model{m: New(Key{k, 1}, Collect(s, nil)), notes: map[string]bool{}}
				hidden := r.snapshot(s).Rules.Tables[0].Chains[0].Rules[0].Statements[0].(*rules.NAT)
				before, after := targetOf(nat), targetOf(hidden)
				for range 100 {
					to := someAddr(random, 0, tc.near)
					want, got := before.Makes(rules.ManipDst, from, to, 1, 1), after.Makes(rules.ManipDst, r.m.Addr(from), r.m.Addr(to), 1, 1)
					if want != got {
						t.Fatalf("key %d: %v of %s in %v, %v of %s in %v", k, want, to, before, got, r.m.Addr(to), after)
					}
					seen[want]++
				}
			}
			if seen[true] == 0 || seen[false] == 0 {
				t.Errorf("always the same: %v", seen)
			}
		})
	}
}

func targetOf(n *rules.NAT) walk.Target {
	lo, _ := netip.AddrFromSlice(n.AddrMin.(*rules.Const).Data)
	hi, _ := netip.AddrFromSlice(n.AddrMax.(*rules.Const).Data)
	return walk.Target{AddrMin: lo, AddrMax: hi, Netmap: n.Flags&rules.NATNetmap != 0}
}

// TestHostPartIsCarried: an address whose host part a rule puts into a network.
func TestHostPartIsCarried(t *testing.T) {
	carry := &rules.Assign{Target: rules.AssignPayload, Dest: daddr4, Value: behind(daddr4, "0.0.0.255", "172.16.9.0")}
	s := snapshotOf(rules.FamilyIPv4, carry)
	for k := range byte(20) {
		r := &model{m: New(Key{k, 2}, Collect(s, nil)), notes: map[string]bool{}}
		hidden := r.snapshot(s).Rules.Tables[0].Chains[0].Rules[0].Statements[0].(*rules.Assign)
		for _, a := range []string{"10.7.8.9", "192.168.1.77", "172.16.9.1"} {
			from := netip.MustParseAddr(a)
			want, got := loadedOf(carry.Value, from), loadedOf(hidden.Value, r.m.Addr(from))
			if r.m.Addr(want) != got {
				t.Errorf("key %d: %s becomes %s; %s becomes %s, not %s", k, from, want, r.m.Addr(from), got, r.m.Addr(want))
			}
		}
	}
}

func loadedOf(x rules.Expr, dst netip.Addr) netip.Addr {
	p := &rules.Packet{Order: binary.LittleEndian, Family: rules.FamilyIPv4}
	p.Net.N = 20
	p.SetAddr(true, dst)
	v := x.Eval(p)
	a, _ := netip.AddrFromSlice(slices.Clone(v.Bytes()))
	return a
}

// TestSetsOfIpset: membership is the same before and after, with a bitmask and
// in a bitmap too.
func TestSetsOfIpset(t *testing.T) {
	net := netip.MustParsePrefix
	for _, tc := range []struct {
		set  *rules.IPSet
		near []string
	}{
		{&rules.IPSet{Name: "h", Type: "hash:ip", Family: rules.FamilyIPv4, Elements: []rules.IPSetElement{{IP: net("10.7.8.9/32")}}}, []string{"10.7.8.9", "10.7.8.8"}},
		{&rules.IPSet{Name: "n", Type: "hash:net", Family: rules.FamilyIPv4, Elements: []rules.IPSetElement{{IP: net("10.7.8.0/22")}, {IP: net("10.7.9.4/30"), Nomatch: true}}}, []string{"10.7.8.9", "10.7.9.5", "10.7.12.1"}},
		{&rules.IPSet{Name: "m", Type: "hash:ip", Family: rules.FamilyIPv4, Netmask: 24, Elements: []rules.IPSetElement{{IP: net("10.7.8.0/32")}}}, []string{"10.7.8.9", "10.7.9.9"}},
		{&rules.IPSet{Name: "b", Type: "hash:ip", Family: rules.FamilyIPv4, Bitmask: netip.MustParseAddr("255.0.0.255"), Elements: []rules.IPSetElement{{IP: net("10.0.0.9/32")}}}, []string{"10.7.8.9", "10.9.1.9", "10.9.1.8"}},
		{&rules.IPSet{Name: "r", Type: "bitmap:ip", Family: rules.FamilyIPv4, From: netip.MustParseAddr("10.7.8.3"), To: netip.MustParseAddr("10.7.8.90"), Elements: []rules.IPSetElement{{IP: net("10.7.8.9/32")}}}, []string{"10.7.8.9", "10.7.8.3"}},
	} {
		t.Run(tc.set.Name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(5, 6))
			seen := map[rules.Truth]int{}
			for k := range byte(20) {
				s := snapshotOf(rules.FamilyIPv4)
				s.Rules.IPSets = []*rules.IPSet{tc.set}
				r := &model{m: New(Key{k, 3}, Collect(s, nil)), notes: map[string]bool{}}
				hidden := r.snapshot(s).Rules.IPSets[0]
				in := func(set *rules.IPSet) []rules.Statement {
					return []rules.Statement{&rules.InIPSet{IPSetRef: rules.IPSetRef{Set: set, Dims: []rules.IPSetDir{rules.IPSetSrc}}}}
				}
				for range 50 {
					a := someAddr(random, rules.FamilyIPv4, tc.near)
					if want, got := ask(in(tc.set), a), ask(in(hidden), r.m.Addr(a)); want != got {
						t.Fatalf("key %d: %s of %s, %s of %s in %s", k, want, a, got, r.m.Addr(a), hidden.Save())
					} else {
						seen[want]++
					}
				}
			}
			if seen[rules.Yes] == 0 || seen[rules.No] == 0 {
				t.Errorf("always the same: %v", seen)
			}
		})
	}
}
