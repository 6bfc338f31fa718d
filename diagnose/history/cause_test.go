package history

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

var noon = time.Date(2026, 11, 27, 12, 0, 0, 0, time.Local)

func clock(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }

func port(n uint16) *uint16 { return &n }

func dnat(addr string, ports ...uint16) *Target {
	r := Range{Addr: ip(addr)}
	if len(ports) > 0 {
		r.Port = port(ports[0])
	}
	return &Target{Kind: "dnat", To: []Range{r}}
}

// told makes a history of changes a minute apart, from noon on.
func told(changes ...*Change) *History {
	h := &History{Recording: true, Alive: clock(60)}
	for i, c := range changes {
		c.V, c.Seq, c.Netns = Version, uint64(i+1), here
		if c.At.IsZero() {
			c.At = clock(i)
		}
		h.Changes = append(h.Changes, c)
	}
	return h
}

func ruleChange(op Op, v RuleVersion, was *RuleVersion, by ...Author) *Change {
	return &Change{Kind: KindRules, By: by, Rules: &RulesDiff{Rules: []RuleChange{{
		Op: op, Place: Place{Backend: "nft", Family: "ip", Table: "nat", Chain: "pre"}, RuleVersion: v, Was: was}}}}
}

func elementChange(e ElementChange, by ...Author) *Change {
	return &Change{Kind: KindRules, By: by, Rules: &RulesDiff{Sets: []SetChange{{
		Place: Place{Backend: "nft", Family: "ip", Table: "kube-system", Set: "kube-dns"}, What: "map", Elements: []ElementChange{e}}}}}
}

func start() *Change { return &Change{Kind: KindStart, Start: &Start{}} }

func rewrite(m rules.Manip, from, to string) *host.Rewrite {
	f, t := netip.MustParseAddrPort(from), netip.MustParseAddrPort(to)
	return &host.Rewrite{Manip: m, From: host.Endpoint{Addr: f.Addr(), Port: f.Port()}, To: host.Endpoint{Addr: t.Addr(), Port: t.Port()}}
}

func TestCause(t *testing.T) {
	firewalld := Author{Generation: 41, PID: 812, Program: "firewalld"}
	toSeven := CauseQuery{Rewrite: rewrite(rules.ManipDst, "10.96.0.10:53", "10.244.1.7:53"), Family: rules.FamilyIPv4, Proto: 17}
	old := RuleVersion{Handle: 7, Position: 1, Text: "udp dport 53 dnat to 10.244.1.7:53", NAT: dnat("10.244.1.7", 53)}
	fresh := RuleVersion{Handle: 7, Position: 1, Text: "udp dport 53 dnat to 10.244.1.8:53", NAT: dnat("10.244.1.8", 53)}
	tcp := uint8(6)
	withTuple := toSeven
	withTuple.Original = rules.Tuple{Src: ip("10.0.0.1"), Dst: ip("10.96.0.10"), SrcPort: 4000, DstPort: 53, Proto: 17}
	for _, tc := range []struct {
		name string
		h    *History
		q    CauseQuery
		want string
		sure bool
	}{
		{"replaced", told(start(), ruleChange(Replaced, fresh, &old, firewalld)), toSeven,
			"rule handle 7 of ip nat pre (dnat to 10.244.1.7:53) was replaced by one with dnat to 10.244.1.8:53 at 12:01:00 by firewalld (pid 812)", true},
		{"removed, by one of two", told(start(), ruleChange(Removed, old, nil, firewalld, Author{PID: 900, Program: "nft", Parent: "bash"})), toSeven,
			"rule handle 7 of ip nat pre (dnat to 10.244.1.7:53) was removed at 12:01:00 by firewalld (pid 812) or nft (pid 900) of bash", true},
		{"the newest", told(start(), ruleChange(Removed, old, nil), ruleChange(Added, old, nil), ruleChange(Removed, old, nil)), toSeven,
			"rule handle 7 of ip nat pre (dnat to 10.244.1.7:53) was removed at 12:03:00", true},
		{"added only", told(start(), ruleChange(Added, old, nil)), toSeven, "", false},
		{"another port", told(start(), ruleChange(Removed, RuleVersion{Handle: 7, NAT: dnat("10.244.1.7", 54)}, nil)), toSeven, "", false},
		{"another address", told(start(), ruleChange(Removed, RuleVersion{Handle: 7, NAT: dnat("10.244.1.9", 53)}, nil)), toSeven, "", false},
		{"the port kept", told(start(), ruleChange(Removed, RuleVersion{Handle: 7, NAT: dnat("10.244.1.7")}, nil)), toSeven,
			"rule handle 7 of ip nat pre (dnat to 10.244.1.7) was removed at 12:01:00", true},
		{"a range", told(start(), ruleChange(Removed, RuleVersion{Handle: 7, NAT: &Target{Kind: "dnat", To: []Range{{Addr: ip("10.244.1.1"), AddrMax: ip("10.244.1.9"), Port: port(1), PortMax: port(99)}}}}, nil)), toSeven,
			"rule handle 7 of ip nat pre (dnat to 10.244.1.1-10.244.1.9:1-99) was removed at 12:01:00", true},
		{"snat is no dnat", told(start(), ruleChange(Removed, RuleVersion{Handle: 7, NAT: &Target{Kind: "snat", To: []Range{{Addr: ip("10.244.1.7"), Port: port(53)}}}}, nil)), toSeven, "", false},
		{"found by comparing", told(start(), &Change{Kind: KindRules, At: clock(3), After: clock(1), Rules: ruleChange(Removed, old, nil).Rules}), toSeven,
			"rule handle 7 of ip nat pre (dnat to 10.244.1.7:53) was removed between 12:01:00 and 12:03:00", true},
		{"element removed", told(start(), elementChange(ElementChange{Op: Removed, Text: "53 : 10.244.1.7", To: &Range{Addr: ip("10.244.1.7")}}, firewalld)), toSeven,
			"element 53 : 10.244.1.7 was removed from map ip kube-system kube-dns at 12:01:00 by firewalld (pid 812)", true},
		{"element replaced", told(start(), elementChange(ElementChange{Op: Replaced, Text: "53 : 10.244.1.8", Was: "53 : 10.244.1.7", To: &Range{Addr: ip("10.244.1.8")}, WasTo: &Range{Addr: ip("10.244.1.7")}})), toSeven,
			"element 53 : 10.244.1.7 of map ip kube-system kube-dns was replaced by 53 : 10.244.1.8 at 12:01:00", true},
		{"a set of destinations", told(start(), elementChange(ElementChange{Op: Removed, Text: "10.96.0.10", Key: &Range{Addr: ip("10.96.0.10")}})),
			CauseQuery{Rewrite: toSeven.Rewrite, Family: rules.FamilyIPv4, Original: rules.Tuple{Src: ip("10.0.0.1"), Dst: ip("10.96.0.10"), SrcPort: 5, DstPort: 53}},
			"element 10.96.0.10 was removed from map ip kube-system kube-dns at 12:01:00", false},
		{"what is sure before what may be", told(start(), ruleChange(Removed, old, nil), ruleChange(Removed, RuleVersion{Handle: 9, NAT: &Target{Kind: "redirect", Open: true}}, nil)), toSeven,
			"rule handle 7 of ip nat pre (dnat to 10.244.1.7:53) was removed at 12:01:00", true},
		{"masquerade can have been it", told(start(), ruleChange(Removed, RuleVersion{Handle: 9, NAT: &Target{Kind: "masquerade", Open: true}}, nil)),
			CauseQuery{Rewrite: rewrite(rules.ManipSrc, "10.0.0.1:5", "203.0.113.5:5"), Family: rules.FamilyIPv4},
			"rule handle 9 of ip nat pre (masquerade) was removed at 12:01:00", false},
		{"another port was asked for", told(start(), ruleChange(Removed, RuleVersion{Handle: 7, NAT: dnat("10.244.1.7", 53), Needs: &Needs{Dst: &Range{Port: port(54)}}}, nil)), withTuple, "", false},
		{"another protocol was asked for", told(start(), ruleChange(Removed, RuleVersion{Handle: 7, NAT: dnat("10.244.1.7", 53), Needs: &Needs{Proto: &tcp}}, nil)), withTuple, "", false},
		{"what the flow has was asked for", told(start(), ruleChange(Removed, RuleVersion{Handle: 7, NAT: dnat("10.244.1.7", 53), Needs: &Needs{Dst: &Range{Addr: ip("10.96.0.10"), Port: port(53)}}}, nil)), withTuple,
			"rule handle 7 of ip nat pre (dnat to 10.244.1.7:53) was removed at 12:01:00", true},
		{"one of two that led there", told(start(), ruleChange(Removed, old, nil), ruleChange(Removed, RuleVersion{Handle: 8, Text: "iif eth0 dnat to 10.244.1.7:53", NAT: dnat("10.244.1.7", 53)}, nil)), withTuple,
			"rule handle 8 of ip nat pre (dnat to 10.244.1.7:53) was removed at 12:02:00", false},
		{"a map's element of another key", told(start(), elementChange(ElementChange{Op: Removed, Text: "54 : 10.244.1.7", Key: &Range{Port: port(54)}, To: &Range{Addr: ip("10.244.1.7")}})), withTuple, "", false},
		{"an address is gone", told(start(), &Change{Kind: KindAddress, Addrs: []AddrChange{{Op: Removed, Dev: "ppp0", Prefix: netip.MustParsePrefix("203.0.113.5/24")}}}),
			CauseQuery{Gone: ip("203.0.113.5")}, "203.0.113.5/24 was removed from ppp0 at 12:01:00", true},
		{"a route moved", told(start(), &Change{Kind: KindRoute, Routes: []RouteChange{{Op: Replaced, Table: 254, Dst: netip.MustParsePrefix("0.0.0.0/0"), Devs: []string{"wan2"}, WasDevs: []string{"wan1"}}}}),
			CauseQuery{Dst: ip("8.8.8.8")}, "the route to 0.0.0.0/0 moved from wan1 to wan2 at 12:01:00", true},
		{"the narrower route", told(start(), &Change{Kind: KindRoute, Routes: []RouteChange{
			{Op: Removed, Table: 254, Dst: netip.MustParsePrefix("0.0.0.0/0"), Text: "default dev a"}, {Op: Added, Table: 254, Dst: netip.MustParsePrefix("8.0.0.0/8"), Text: "8.0.0.0/8 dev b"},
			{Op: Added, Table: 254, Dst: netip.MustParsePrefix("9.0.0.0/8"), Text: "9.0.0.0/8 dev b"}}}),
			CauseQuery{Dst: ip("8.8.8.8")}, "the route to 8.0.0.0/8 was added (8.0.0.0/8 dev b) at 12:01:00", true},
		{"a policy rule may have been it", told(start(), &Change{Kind: KindPolicy, Policies: []PolicyChange{{Op: Added, Text: "100: from all lookup 7"}}}),
			CauseQuery{Dst: ip("8.8.8.8")}, "policy rule 100: from all lookup 7 was added at 12:01:00", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e, ok := tc.h.Cause(tc.q)
			got := ""
			if ok {
				got = e.Sentence(noon)
			}
			if got != tc.want || e.Sure != tc.sure {
				t.Errorf("\n got %q, sure %v\nwant %q", got, e.Sure, tc.want)
			}
		})
	}
}

// A rule is found by what it says: its handle may be another rule's by now.
func TestCauseOfARule(t *testing.T) {
	rs := ruleset(rules.BackendNft, 1, "9 udp dport 53 dnat to 10.244.1.8:53")
	r := rs.Tables[0].Chains[0].Rules[0]
	v := RuleVersion{Handle: 5, Position: 1, Text: r.Text}
	h := told(start(), ruleChange(Added, v, nil), ruleChange(Added, RuleVersion{Handle: 9, Text: "another"}, nil))
	if e, ok := h.Cause(CauseQuery{Rule: r}); !ok || e.Change.Seq != 2 {
		t.Errorf("%v %+v", ok, e.Change)
	}
	h = told(start(), ruleChange(Removed, v, nil))
	if e, ok := h.Cause(CauseQuery{Rule: r}); ok {
		t.Errorf("removed: %+v", e.Change)
	}
}

// What is not known is said, and nothing of another namespace counts.
func TestCauseLimits(t *testing.T) {
	old := RuleVersion{Handle: 7, NAT: dnat("10.244.1.7", 53)}
	q := CauseQuery{Rewrite: rewrite(rules.ManipDst, "10.96.0.10:53", "10.244.1.7:53"), Family: rules.FamilyIPv4}
	limits := func(h *History, q CauseQuery) []string {
		q.Now = noon.AddDate(0, 0, 1)
		e, ok := h.Cause(q)
		if ok {
			t.Errorf("%+v", e.Change)
		}
		return e.Limits
	}
	year := noon.Format(time.DateOnly)
	h := told(start())
	want := []string{"recording began at " + year + " 12:00:00: what changed before is not known"}
	if d := cmp.Diff(want, limits(h, q)); d != "" {
		t.Error(d)
	}
	q.Start = clock(10)
	if got := limits(h, q); len(got) > 0 {
		t.Errorf("the flow is younger than the recording: %q", got)
	}
	h = told(start(), &Change{Kind: KindGap, Gap: &Gap{From: clock(11), To: clock(13), Why: "no room"}})
	h.Recording, h.Alive = false, clock(20)
	want = []string{"from " + year + " 12:11:00 to " + year + " 12:13:00 not everything was recorded: no room", "recording ended at " + year + " 12:20:00"}
	if d := cmp.Diff(want, limits(h, q)); d != "" {
		t.Error(d)
	}
	q.Start = clock(14)
	if got := limits(h, q); len(got) != 1 {
		t.Errorf("a gap before the flow: %q", got)
	}
	h = told(start(), &Change{Kind: KindStop}, start())
	if got := limits(h, CauseQuery{Rewrite: q.Rewrite, Start: noon}); !slices.ContainsFunc(got, func(s string) bool {
		return s == "from "+year+" 12:01:00 to "+year+" 12:02:00 not everything was recorded: nobody recorded"
	}) {
		t.Errorf("%q", got)
	}
	other := ruleChange(Removed, old, nil)
	h = told(start(), other, start())
	other.Netns.Cookie++
	limits(h, q)
	if got := limits(&History{}, q); len(got) != 1 || got[0] != "nothing was recorded" {
		t.Errorf("%q", got)
	}
}

// Whether the flow began before.
func TestCauseBefore(t *testing.T) {
	old := RuleVersion{Handle: 7, NAT: dnat("10.244.1.7", 53)}
	h := told(start(), &Change{Kind: KindRules, At: clock(10), After: clock(5), Rules: ruleChange(Removed, old, nil).Rules})
	for minute, want := range map[int]rules.Truth{3: rules.Yes, 7: rules.Unknown, 12: rules.No} {
		e, ok := h.Cause(CauseQuery{Rewrite: rewrite(rules.ManipDst, "10.96.0.10:53", "10.244.1.7:53"), Start: clock(minute)})
		if !ok || e.Before != want {
			t.Errorf("minute %d: %v, want %v", minute, e.Before, want)
		}
	}
}

func TestTarget(t *testing.T) {
	addr := func(s string) rules.Expr { return &rules.Const{Data: ip(s).AsSlice()} }
	num := func(n uint16) rules.Expr { return &rules.Const{Data: binary.BigEndian.AppendUint16(nil, n)} }
	anonymous := &rules.Set{Flags: rules.SetAnonymous | rules.SetMap, DataLen: 8, Elements: []rules.Element{
		{Data: []byte{10, 0, 0, 1, 0, 80, 0, 0}}, {Data: []byte{10, 0, 0, 2, 0, 81, 0, 0}}}}
	lookup := &rules.MapLookup{Key: &rules.Numgen{}, Set: anonymous}
	for _, tc := range []struct {
		nat  rules.NAT
		want string
		open bool
	}{
		{rules.NAT{Kind: rules.DNAT, AddrMin: addr("10.0.0.1"), PortMin: num(80)}, "dnat to 10.0.0.1:80", false},
		{rules.NAT{Kind: rules.SNAT, AddrMin: addr("fd00::1"), AddrMax: addr("fd00::9"), PortMin: num(1), PortMax: num(9)}, "snat to fd00::1-fd00::9:1-9", false},
		{rules.NAT{Kind: rules.DNAT, AddrMin: addr("fd00::1"), PortMin: num(80)}, "dnat to [fd00::1]:80", false},
		{rules.NAT{Kind: rules.Masquerade}, "masquerade", true},
		{rules.NAT{Kind: rules.Redirect, PortMin: num(8080)}, "redirect to :8080", true},
		{rules.NAT{Kind: rules.DNAT, AddrMin: &rules.Slice{X: lookup, Len: 4}, PortMin: &rules.Slice{X: lookup, Off: 4, Len: 2}}, "dnat to 10.0.0.1:80, 10.0.0.2:81", false},
		{rules.NAT{Kind: rules.DNAT, AddrMin: &rules.MapLookup{Set: &rules.Set{Name: "m", Flags: rules.SetMap}}}, "dnat to map m", false},
		{rules.NAT{Kind: rules.DNAT, AddrMin: &rules.Payload{Len: 4}}, "dnat", true},
	} {
		got := targetOf(&rules.Rule{Statements: []rules.Statement{&tc.nat}})
		if got.String() != tc.want || got.Open != tc.open {
			t.Errorf("%s, open %v; want %s", got, got.Open, tc.want)
		}
	}
	if targetOf(&rules.Rule{}) != nil {
		t.Error("a target without NAT")
	}
}

func TestNeeds(t *testing.T) {
	payload := func(b rules.PayloadBase, off, n int) rules.Expr { return &rules.Payload{Base: b, Off: off, Len: n} }
	eq := func(x rules.Expr, b ...byte) rules.Statement { return &rules.Match{Left: x, Right: b} }
	set := &rules.Set{Flags: rules.SetAnonymous, Elements: []rules.Element{{Key: []byte{0, 80}}, {Key: []byte{0, 10}, KeyEnd: []byte{1, 0}}}}
	dport := payload(rules.PayloadTransport, 2, 2)
	text := func(n *Needs) string {
		if n == nil {
			return "-"
		}
		out := ""
		if n.Proto != nil {
			out = fmt.Sprint("proto ", *n.Proto)
		}
		if n.Src != nil {
			out += " src " + n.Src.String()
		}
		if n.Dst != nil {
			out += " dst " + n.Dst.String()
		}
		return out
	}
	for want, s := range map[string][]rules.Statement{
		"-":                           {&rules.Counter{}, &rules.Match{Left: dport, Op: rules.CmpNeq, Right: []byte{0, 53}}},
		"proto 17 dst :53":            {eq(&rules.Meta{Key: rules.MetaL4proto}, 17), eq(dport, 0, 53)},
		"proto 6":                     {eq(payload(rules.PayloadNetwork, 9, 1), 6)},
		" src 10.0.0.1":               {eq(payload(rules.PayloadNetwork, 12, 4), 10, 0, 0, 1)},
		" dst 10.0.0.0-10.0.0.255":    {eq(payload(rules.PayloadNetwork, 16, 3), 10, 0, 0)},
		" dst 10.0.0.0-10.15.255.255": {eq(&rules.Bitwise{X: payload(rules.PayloadNetwork, 16, 4), Mask: []byte{255, 240, 0, 0}, Xor: make([]byte, 4)}, 10, 0, 0, 0)},
		" dst :10-256":                {&rules.InSet{Key: dport, Set: set}},
		" src :1-2 dst :3-4":          {&rules.AllOf{Parts: []rules.Condition{&rules.MatchRange{Left: payload(rules.PayloadTransport, 0, 2), Lo: []byte{0, 1}, Hi: []byte{0, 2}}, &rules.MatchRange{Left: dport, Lo: []byte{0, 3}, Hi: []byte{0, 4}}}}},
		" dst fd00::1":                {eq(payload(rules.PayloadNetwork, 24, 16), ip("fd00::1").AsSlice()...)},
	} {
		if got := text(needsOf(&rules.Rule{Statements: s})); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
