package history

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

// ruleset makes a table of one chain with the rules "HANDLE TEXT # COMMENT".
func ruleset(backend rules.Backend, tableHandle uint64, lines ...string) *rules.Ruleset {
	rs := &rules.Ruleset{Order: binary.NativeEndian}
	t := &rules.Table{Ruleset: rs, Backend: backend, Family: rules.FamilyIPv4, Name: "nat", Handle: tableHandle}
	c := &rules.Chain{Table: t, Name: "pre"}
	t.Chains, rs.Tables = []*rules.Chain{c}, []*rules.Table{t}
	for i, line := range lines {
		r := &rules.Rule{Chain: c, Position: i + 1}
		handle, text, _ := strings.Cut(line, " ")
		fmt.Sscan(handle, &r.Handle)
		r.Text, r.Comment, _ = strings.Cut(text, " # ")
		c.Rules = append(c.Rules, r)
	}
	return rs
}

// lines is a difference in short: one line a change.
func lines(d *RulesDiff) (out []string) {
	for _, o := range d.Objects {
		out = append(out, fmt.Sprintf("%s %s %s", o.Op, o.What, o.Name))
	}
	for i := range d.Rules {
		c := &d.Rules[i]
		line := fmt.Sprintf("%s %d@%d %s", c.Op, c.Handle, c.Position, c.Text)
		if c.Was != nil {
			line += fmt.Sprintf(" was %d@%d %s", c.Was.Handle, c.Was.Position, c.Was.Text)
		}
		out = append(out, line)
	}
	for _, r := range d.Reloaded {
		out = append(out, fmt.Sprintf("reloaded %d", r.Rules))
	}
	for i := range d.Sets {
		for _, e := range d.Sets[i].Elements {
			out = append(out, fmt.Sprintf("%s %s %s", d.Sets[i].Set, e.Op, e.Text))
		}
	}
	return out
}

func TestDiffRules(t *testing.T) {
	const nft, legacy = rules.BackendNft, rules.BackendIptablesLegacy
	for _, tc := range []struct {
		name          string
		backend       rules.Backend
		tables        [2]uint64 // handles of the table
		before, after []string
		want          []string
	}{
		{"the same", nft, [2]uint64{1, 1}, []string{"4 a", "5 b"}, []string{"4 a", "5 b"}, nil},
		{"added at the end", nft, [2]uint64{1, 1}, []string{"4 a"}, []string{"4 a", "5 b"}, []string{"added 5@2 b"}},
		{"inserted", nft, [2]uint64{1, 1}, []string{"4 a", "5 b"}, []string{"6 c", "4 a", "5 b"}, []string{"added 6@1 c"}},
		{"removed", nft, [2]uint64{1, 1}, []string{"4 a", "5 b"}, []string{"5 b"}, []string{"removed 4@1 a"}},
		{"replaced", nft, [2]uint64{1, 1},
			[]string{"4 tcp dport 80 dnat to 10.0.0.1", "5 b"}, []string{"6 tcp dport 80 dnat to 10.0.0.2", "5 b"},
			[]string{"replaced 6@1 tcp dport 80 dnat to 10.0.0.2 was 4@1 tcp dport 80 dnat to 10.0.0.1"}},
		{"replaced by nft, which keeps the handle", nft, [2]uint64{1, 1},
			[]string{"4 tcp dport 80 accept", "5 b"}, []string{"4 masquerade", "5 b"},
			[]string{"replaced 4@1 masquerade was 4@1 tcp dport 80 accept"}},
		{"one for quite another", nft, [2]uint64{1, 1},
			[]string{"4 tcp dport 80 accept", "5 b"}, []string{"6 masquerade", "5 b"},
			[]string{"removed 4@1 tcp dport 80 accept", "added 6@1 masquerade"}},
		{"one of two alike replaced, one removed", nft, [2]uint64{1, 1},
			[]string{"4 udp dport 53 dnat to 10.0.0.1", "5 udp dport 53 dnat to 10.0.0.2"}, []string{"6 udp dport 53 dnat to 10.0.0.2 random"},
			[]string{"removed 4@1 udp dport 53 dnat to 10.0.0.1", "replaced 6@1 udp dport 53 dnat to 10.0.0.2 random was 5@2 udp dport 53 dnat to 10.0.0.2"}},
		{"a comment alone", nft, [2]uint64{1, 1}, []string{"4 a # x"}, []string{"5 a # y"}, []string{"replaced 5@1 a was 4@1 a"}},
		{"written again in place", nft, [2]uint64{1, 1}, []string{"4 a", "5 b", "6 c"}, []string{"4 a", "9 b", "6 c"}, []string{"reloaded 1"}},
		{"chain flushed and filled again", nft, [2]uint64{1, 1}, []string{"4 a", "5 b"}, []string{"7 a", "8 b"}, []string{"reloaded 2"}},
		{"table made anew, handles alike", nft, [2]uint64{1, 2}, []string{"4 a", "5 b"}, []string{"4 a", "5 b"}, []string{"reloaded 2"}},
		{"made anew with another rule of the same handle", nft, [2]uint64{1, 2},
			[]string{"4 tcp dport 80 dnat to 10.0.0.1", "5 b"}, []string{"4 tcp dport 80 dnat to 10.0.0.2", "5 b"},
			[]string{"replaced 4@1 tcp dport 80 dnat to 10.0.0.2 was 4@1 tcp dport 80 dnat to 10.0.0.1", "reloaded 1"}},
		{"moved", nft, [2]uint64{1, 1}, []string{"4 a", "5 b", "6 c"}, []string{"5 b", "6 c", "9 a"}, []string{"moved 9@3 a was 4@1 a"}},
		{"twins", nft, [2]uint64{1, 1}, []string{"4 a", "5 a", "6 b"}, []string{"5 a", "6 b"}, []string{"removed 4@1 a"}},
		{"legacy inserted", legacy, [2]uint64{}, []string{"0 -j A", "0 -j B"}, []string{"0 -j C", "0 -j A", "0 -j B"}, []string{"added 0@1 -j C"}},
		{"legacy swapped", legacy, [2]uint64{}, []string{"0 -j A", "0 -j B"}, []string{"0 -j B", "0 -j A"}, []string{"moved 0@1 -j B was 0@2 -j B"}},
		{"legacy twins", legacy, [2]uint64{}, []string{"0 -j A", "0 -j A", "0 -j B"}, []string{"0 -j A", "0 -j B", "0 -j B"},
			[]string{"replaced 0@2 -j B was 0@2 -j A"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := lines(Diff(ruleset(tc.backend, tc.tables[0], tc.before...), ruleset(tc.backend, tc.tables[1], tc.after...)))
			want := slices.Clone(tc.want)
			slices.Sort(got)
			slices.Sort(want)
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}
}

// Whatever the change, the difference applied to what was there gives what is
// there: nothing is forgotten, nothing is told twice.
func TestDiffIsWhole(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	texts := strings.Fields("tcp80 tcp81 udp53 udp54 icmp masq snat dnat drop accept")
	for round := range 3000 {
		backend, remade := rules.BackendNft, round%5 == 0
		if round%3 == 0 {
			backend = rules.BackendIptablesLegacy
		}
		handle := 3
		line := func() string {
			handle++
			h := handle
			if backend == rules.BackendIptablesLegacy {
				h = 0
			}
			return fmt.Sprintf("%d x %s %s", h, texts[rng.IntN(len(texts))], texts[rng.IntN(3)])
		}
		var before []string
		for range rng.IntN(9) {
			before = append(before, line())
		}
		after := slices.Clone(before)
		for range rng.IntN(5) {
			switch at := rng.IntN(len(after) + 1); {
			case at == len(after) || rng.IntN(3) == 0:
				after = slices.Insert(after, at, line())
			case rng.IntN(2) == 0:
				after = slices.Delete(after, at, at+1)
			default:
				after[at] = line()
			}
		}
		tables := [2]uint64{1, 1}
		if remade {
			tables[1] = 2
		}
		a, b := ruleset(backend, tables[0], before...), ruleset(backend, tables[1], after...)
		d := Diff(a, b)
		left, right := map[string]int{}, map[string]int{}
		for _, r := range a.Tables[0].Chains[0].Rules {
			left[r.Text]++
		}
		for _, r := range b.Tables[0].Chains[0].Rules {
			right[r.Text]++
		}
		for i := range d.Rules {
			c := &d.Rules[i]
			switch c.Op {
			case Added:
				left[c.Text]++
			case Removed:
				left[c.Text]--
			case Replaced:
				left[c.Was.Text]--
				left[c.Text]++
			case Moved:
				if c.Was.Text != c.Text {
					t.Fatalf("moved %q as %q", c.Was.Text, c.Text)
				}
			}
		}
		for _, m := range []map[string]int{left, right} {
			for k, n := range m {
				if n == 0 {
					delete(m, k)
				}
			}
		}
		if x := cmp.Diff(right, left); x != "" {
			t.Fatalf("round %d\nbefore %q\nafter %q\ngot %q\n%s", round, before, after, lines(d), x)
		}
		if !remade && slices.Equal(before, after) && !d.Empty() {
			t.Fatalf("round %d: a difference of nothing: %q", round, lines(d))
		}
	}
}

func mapOf(rs *rules.Ruleset, elements ...[2]string) *rules.Set {
	t := rs.Tables[0]
	s := &rules.Set{Table: t, Name: "m", Flags: rules.SetMap, KeyType: nftService, DataType: nftIPAddr, KeyLen: 2, DataLen: 4}
	for _, e := range elements {
		var port uint16
		fmt.Sscan(e[0], &port)
		s.Elements = append(s.Elements, rules.Element{Key: binary.BigEndian.AppendUint16(nil, port), Data: netip.MustParseAddr(e[1]).AsSlice()})
	}
	t.Sets = append(t.Sets, s)
	return s
}

func TestDiffElements(t *testing.T) {
	a, b := ruleset(rules.BackendNft, 1), ruleset(rules.BackendNft, 1)
	mapOf(a, [2]string{"53", "10.0.0.1"}, [2]string{"80", "10.0.0.2"}, [2]string{"81", "10.0.0.3"})
	mapOf(b, [2]string{"81", "10.0.0.3"}, [2]string{"80", "10.0.0.9"}, [2]string{"443", "10.0.0.4"})
	d := Diff(a, b)
	want := []string{"m replaced 80 : 10.0.0.9", "m added 443 : 10.0.0.4", "m removed 53 : 10.0.0.1"}
	if x := cmp.Diff(want, lines(d)); x != "" {
		t.Error(x)
	}
	e := d.Sets[0].Elements[0]
	if e.Was != "80 : 10.0.0.2" || e.To.Addr != netip.MustParseAddr("10.0.0.9") || e.WasTo.Addr != netip.MustParseAddr("10.0.0.2") || *e.Key.Port != 80 {
		t.Errorf("%+v", e)
	}
	if d.Sets[0].Added != 1 || d.Sets[0].Removed != 1 || d.Sets[0].Replaced != 1 {
		t.Errorf("%+v", d.Sets[0])
	}
	// the order of the listing says nothing
	c := ruleset(rules.BackendNft, 1)
	mapOf(c, [2]string{"80", "10.0.0.9"}, [2]string{"443", "10.0.0.4"}, [2]string{"81", "10.0.0.3"})
	if d := Diff(b, c); !d.Empty() {
		t.Errorf("another order: %q", lines(d))
	}
}

func TestDiffBounds(t *testing.T) {
	var all []string
	for i := range maxRules + 50 {
		all = append(all, fmt.Sprintf("%d rule %d", i+4, i))
	}
	b := ruleset(rules.BackendNft, 1, all...)
	last := b.Tables[0].Chains[0].Rules[len(all)-1]
	last.Statements = []rules.Statement{&rules.NAT{Kind: rules.DNAT, AddrMin: &rules.Const{Data: []byte{10, 0, 0, 1}}}}
	var elements [][2]string
	for i := range maxElements + 7 {
		elements = append(elements, [2]string{fmt.Sprint(i), "10.0.0.1"})
	}
	mapOf(b, elements...)
	d := Diff(ruleset(rules.BackendNft, 1), b)
	if len(d.Rules) != maxRules || d.Omitted != 50 {
		t.Errorf("%d rules, %d omitted", len(d.Rules), d.Omitted)
	}
	if c := d.Rules[maxRules-1]; c.NAT == nil || c.NAT.String() != "dnat to 10.0.0.1" {
		t.Errorf("the rule with NAT was not kept: %+v", c)
	}
	if s := d.Sets[0]; s.Added != maxElements+7 || len(s.Elements) != maxElements {
		t.Errorf("%d elements added, %d listed", s.Added, len(s.Elements))
	}
}

func TestDiffHost(t *testing.T) {
	p := netip.MustParsePrefix
	before := &host.Snapshot{
		Links: []rules.Link{{Index: 2, Name: "wan1", Up: true}, {Index: 3, Name: "wan2", Up: true}, {Index: 4, Name: "tun0"}},
		Addrs: []host.Addr{{Index: 2, Prefix: p("203.0.113.5/24")}, {Index: 3, Prefix: p("198.51.100.7/24")}},
		Routes: []host.RouteEntry{
			{Family: rules.FamilyIPv4, Table: 254, Dst: p("0.0.0.0/0"), Oif: 2, Gateway: ip("203.0.113.1"), Type: 1, Proto: 4},
			{Family: rules.FamilyIPv4, Table: 255, Dst: p("203.0.113.5/32"), Oif: 2, Type: 2, Proto: 2},
			{Family: rules.FamilyIPv4, Table: 254, Dst: p("10.0.0.0/8"), Oif: 2, Type: 1, Multipath: true},
			{Family: rules.FamilyIPv4, Table: 254, Dst: p("10.0.0.0/8"), Oif: 3, Type: 1, Multipath: true},
		},
		RuleTable: []host.PolicyRule{{Family: rules.FamilyIPv4, Priority: 32766, Table: 254, Action: 1, SuppressPrefix: -1}},
	}
	after := &host.Snapshot{
		Links: []rules.Link{{Index: 2, Name: "wan1"}, {Index: 3, Name: "uplink", Up: true}},
		Addrs: []host.Addr{{Index: 3, Prefix: p("198.51.100.7/24")}, {Index: 3, Prefix: p("198.51.100.8/24")}},
		Routes: []host.RouteEntry{
			{Family: rules.FamilyIPv4, Table: 254, Dst: p("10.0.0.0/8"), Oif: 3, Type: 1, Multipath: true},
			{Family: rules.FamilyIPv4, Table: 254, Dst: p("10.0.0.0/8"), Oif: 2, Type: 1, Multipath: true},
			{Family: rules.FamilyIPv4, Table: 254, Dst: p("0.0.0.0/0"), Oif: 3, Gateway: ip("198.51.100.1"), Type: 1, Proto: 4},
		},
		RuleTable: []host.PolicyRule{
			{Family: rules.FamilyIPv4, Priority: 100, Src: p("10.0.0.0/8"), Mark: 1, Mask: 0xff, Table: 7, Action: 1, SuppressPrefix: -1},
			{Family: rules.FamilyIPv4, Priority: 32766, Table: 254, Action: 1, SuppressPrefix: -1},
		},
	}
	d := DiffHost(before, after)
	var got []string
	for i := range d.Addrs {
		got = append(got, d.Addrs[i].String())
	}
	for i := range d.Links {
		got = append(got, d.Links[i].String())
	}
	for i := range d.Routes {
		got = append(got, d.Routes[i].String())
	}
	for i := range d.Policies {
		got = append(got, d.Policies[i].String())
	}
	want := []string{
		"203.0.113.5/24 was removed from wan1",
		"198.51.100.8/24 was added to uplink",
		"device wan1 up became wan1 down",
		"device wan2 up became uplink up",
		"device tun0 down was removed",
		"the route to 10.0.0.0/8 moved from wan1, wan2 to uplink, wan1",
		"the route to 0.0.0.0/0 moved from wan1 to uplink",
		"policy rule 100: from 10.0.0.0/8 fwmark 0x1/0xff lookup 7 was added",
	}
	if x := cmp.Diff(want, got); x != "" {
		t.Error(x)
	}
}

// BenchmarkDiff compares 40,000 rules in 5,001 chains: with one that is
// replaced, and with all of them written again in a table made anew.
func BenchmarkDiff(b *testing.B) {
	make := func(table, first uint64, last string) *rules.Ruleset {
		rs := ruleset(rules.BackendNft, table)
		t := rs.Tables[0]
		for i := range 5000 {
			c := &rules.Chain{Table: t, Name: fmt.Sprintf("c%d", i)}
			t.Chains = append(t.Chains, c)
		}
		for i := range 40000 {
			c := t.Chains[0]
			if i >= 20000 {
				c = t.Chains[1+i%5000]
			}
			text := fmt.Sprintf("ip daddr 10.%d.%d.1 udp dport 53 dnat to 10.244.1.%d:53", i/256, i%256, i%250)
			if i == 39999 {
				text += last
			}
			c.Rules = append(c.Rules, &rules.Rule{Chain: c, Handle: first + uint64(i), Position: len(c.Rules) + 1, Text: text})
		}
		return rs
	}
	old := make(1, 4, "")
	same := make(1, 4, "")
	same.Tables[0].Chains[1].Rules[0].Handle = 99999
	same.Tables[0].Chains[1].Rules[0].Text = "ip daddr 10.0.0.1 udp dport 53 dnat to 10.244.9.9:53"
	for name, new := range map[string]*rules.Ruleset{"replaced": same, "reloaded": make(2, 4, "0")} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if d := Diff(old, new); len(d.Rules) != 1 {
					b.Fatal(lines(d))
				}
			}
		})
	}
}

func ip(s string) netip.Addr { return netip.MustParseAddr(s) }

// TestHidden: rules of which neither bytes nor text of an expression are there
// are told apart by what they say.
func TestHidden(t *testing.T) {
	rule := func(port byte) *rules.Rule {
		return &rules.Rule{Handle: 3, Position: 1, Raw: []rules.RawExpr{{Name: "payload"}, {Name: "cmp"}}, Statements: []rules.Statement{
			&rules.Match{Left: &rules.Payload{Base: rules.PayloadTransport, Off: 2, Len: 2}, Right: []byte{0, port}}}}
	}
	if !unchanged(rule(80), rule(80)) || unchanged(rule(80), rule(81)) {
		t.Error("hidden rules are taken for others than they are")
	}
}
