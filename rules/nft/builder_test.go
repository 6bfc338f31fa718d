package nft

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/ntdiag/ntdiag/rules"
)

// The messages that the cases below are made of, all of table ip t.
func tableMsg() []byte { return message(text(1, "t")) }
func chainMsg(name string) []byte {
	return message(text(1, "t"), n64(2, 1), text(3, name))
}
func setMsg(name string, flags rules.SetFlags, keyLen uint32, more ...[]byte) []byte {
	return message(append([][]byte{text(1, "t"), text(2, name), n32(3, uint32(flags)), n32(5, keyLen)}, more...)...)
}
func elementsMsg(set string, elems ...[]byte) []byte {
	var list []byte
	for _, e := range elems {
		list = append(list, tlv(1, e)...)
	}
	return message(text(1, "t"), text(2, set), tlv(3, list))
}
func elem(parts ...[]byte) []byte { return slices.Concat(parts...) }

func TestBuilderIdentity(t *testing.T) {
	for _, tc := range []struct {
		kind string
		msg  []byte
		want string
	}{
		{"table", nil, "shorter than its header"},
		{"table", message(), "names none"},
		{"chain", message(text(3, "c")), "names no table"},
		{"chain", message(text(1, "t")), "names none"},
		{"set", []byte{2, 0}, "shorter than its header"},
		{"set", message(text(2, "s")), "names no table"},
		{"elements", message(text(1, "t")), "names none"},
		{"object", message(text(1, "t")), "names none"},
		{"flowtable", message(text(1, "t"), text(2, "")), "names none"},
		{"rule", message(text(1, "t"), n64(3, 5)), "names none"},
	} {
		b := NewBuilder(binary.LittleEndian)
		err := adders[tc.kind](b, tc.msg)
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want %q", tc.kind, err, tc.want)
		}
	}
}

// TestIncomplete: what is odd is noted and kept, not refused.
func TestIncomplete(t *testing.T) {
	for _, tc := range []struct {
		name string
		msgs []recorded
		note string
	}{
		{"table not listed", []recorded{{"chain", chainMsg("c")}}, "table itself was not listed"},
		{"chain not listed", []recorded{{"table", tableMsg()},
			{"rule", message(text(1, "t"), text(2, "gone"), n64(3, 5))}}, `chain "gone" was not listed`},
		{"set not listed", []recorded{{"table", tableMsg()}, {"elements", elementsMsg("gone")}}, `set "gone" was not listed`},
		{"set listed twice", []recorded{{"table", tableMsg()}, {"set", setMsg("s", 0, 4)}, {"set", setMsg("s", 0, 4)}}, "listed twice"},
		{"rule cut short", []recorded{{"table", tableMsg()}, {"chain", chainMsg("c")},
			{"rule", append(message(text(1, "t"), text(2, "c"), n64(3, 5)), 9, 0, 4)}}, "rule handle 5"},
		{"expression without a name", []recorded{{"table", tableMsg()}, {"chain", chainMsg("c")},
			{"rule", message(text(1, "t"), text(2, "c"), n64(3, 5), tlv(4, tlv(1, tlv(2))))}}, "without a name"},
		{"element of another length", []recorded{{"table", tableMsg()}, {"set", setMsg("s", 0, 4)},
			{"elements", elementsMsg("s", value(1, 1, 2))}}, "key has 2 bytes, not 4"},
		{"fields that do not add up", []recorded{{"table", tableMsg()},
			{"set", setMsg("s", 0, 8, tlv(9, tlv(2, tlv(1, n32(1, 4)))))}}, "not a key of 8"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			rs := build(t, binary.LittleEndian, tc.msgs)
			checkRuleset(t, rs)
			got := fmt.Sprint(rs.Tables[0].Incomplete)
			if !strings.Contains(got, tc.note) {
				t.Errorf("notes are %s, want %q in them", got, tc.note)
			}
			for _, s := range rs.Tables[0].Sets {
				if s.Name == "s" && s.Missing == "" && tc.name != "set listed twice" {
					t.Error("the set does not say that something is missing")
				}
			}
			for _, c := range rs.Tables[0].Chains {
				for _, r := range c.Rules {
					if len(r.Raw) > 0 && r.Decoded() {
						t.Error("the rule seems whole")
					}
				}
			}
		})
	}
}

func TestSetMissing(t *testing.T) {
	b := NewBuilder(binary.LittleEndian)
	for kind, msg := range map[string][]byte{"table": tableMsg()} {
		if err := adders[kind](b, msg); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.AddSet(setMsg("big", 0, 4)); err != nil {
		t.Fatal(err)
	}
	b.SetMissing(rules.FamilyIPv4, "t", "big", "not asked for")
	b.SetMissing(rules.FamilyIPv6, "t", "big", "other family")
	b.SetMissing(rules.FamilyIPv4, "t", "none", "no such set")
	rs := b.Finish(9)
	if got := rs.Tables[0].Set("big").Missing; got != "not asked for" || rs.Generation != 9 {
		t.Errorf("missing %q, generation %d", got, rs.Generation)
	}
}

// TestCopies: what the Builder was given may be overwritten by the next
// message of the same buffer.
func TestCopies(t *testing.T) {
	b := NewBuilder(binary.LittleEndian)
	x := dport(1)
	msg := message(text(1, "t"), text(2, "c"), tlv(4, tlv(1, text(1, "payload"), tlv(2, x.Data))))
	if err := b.AddRule(msg); err != nil {
		t.Fatal(err)
	}
	clear(msg)
	rs := b.Finish(1)
	if got := show(rs.Tables[0].Chains[0].Rules[0].Statements); got != "[Load{Expr=Payload{Base=2 Off=2 Len=2}}]" {
		t.Errorf("decoded %s", got)
	}
}

func TestIntervals(t *testing.T) {
	start := func(k ...byte) []byte { return value(1, k...) }
	end := func(k ...byte) []byte { return elem(value(1, k...), n32(3, 1)) }
	for _, tc := range []struct {
		name  string
		flags rules.SetFlags
		elems [][]byte
		want  string
	}{
		{"one, listed backwards", rules.SetInterval, [][]byte{end(0, 20), start(0, 10), end(0, 0)}, "000a-0013"},
		{"a single key", rules.SetInterval, [][]byte{start(0, 10), end(0, 11)}, "000a"},
		{"borrow", rules.SetInterval, [][]byte{start(1, 0), end(2, 0)}, "0100-01ff"},
		{"open end", rules.SetInterval, [][]byte{start(0, 10)}, "000a-ffff"},
		{"last key", rules.SetInterval, [][]byte{start(255, 255)}, "ffff"},
		{"side by side without an end between", rules.SetInterval, [][]byte{start(0, 10), start(0, 20), end(0, 30)}, "000a-0013 0014-001d"},
		{"side by side with one", rules.SetInterval, [][]byte{start(0, 10), end(0, 20), start(0, 20), end(0, 30)}, "000a-0013 0014-001d"},
		{"everything", rules.SetInterval, [][]byte{start(0, 0)}, "0000-ffff"},
		{"end given with the key", rules.SetInterval, [][]byte{elem(start(0, 10), value(10, 0, 12)), start(0, 40), end(0, 50)}, "000a-000c 0028-0031"},
		{"catchall last", rules.SetInterval, [][]byte{n32(3, 2), start(0, 10), end(0, 12)}, "000a-000b *"},
		{"ranges of fields", rules.SetInterval | rules.SetConcat, [][]byte{elem(start(0, 10), value(10, 0, 12)), elem(start(0, 40), value(10, 0, 40))}, "000a-000c 0028"},
		{"no intervals", 0, [][]byte{start(0, 10), start(0, 5)}, "0005 000a"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			msgs := []recorded{{"table", tableMsg()}, {"set", setMsg("s", tc.flags, 2)}}
			for _, e := range tc.elems { // each in a message of its own
				msgs = append(msgs, recorded{"elements", elementsMsg("s", e)})
			}
			rs := build(t, binary.LittleEndian, msgs)
			var got []string
			for _, e := range rs.Tables[0].Sets[0].Elements {
				switch {
				case e.Catchall:
					got = append(got, "*")
				case e.KeyEnd != nil:
					got = append(got, fmt.Sprintf("%x-%x", e.Key, e.KeyEnd))
				default:
					got = append(got, fmt.Sprintf("%x", e.Key))
				}
			}
			if diff := cmp.Diff(tc.want, strings.Join(got, " ")); diff != "" {
				t.Errorf("elements (-want +got):\n%s", diff)
			}
			if n := rs.Tables[0].Incomplete; len(n) > 0 {
				t.Errorf("notes: %q", n)
			}
		})
	}
}

// TestHooks: every family's hook numbers become those of the IP families.
func TestHooks(t *testing.T) {
	for _, tc := range []struct {
		family rules.Family
		n      uint32
		want   rules.Hook
	}{
		{rules.FamilyIPv4, 4, rules.Postrouting}, {rules.FamilyInet, 5, rules.Ingress},
		{rules.FamilyBridge, 2, rules.Forward}, {rules.FamilyNetdev, 0, rules.Ingress},
		{rules.FamilyARP, 0, rules.Input}, {rules.FamilyARP, 1, rules.Output},
		{rules.FamilyARP, 3, hookUnknown}, {rules.FamilyIPv4, 1 << 20, hookUnknown},
	} {
		if got := hookOf(tc.family, tc.n); got != tc.want {
			t.Errorf("hook %d of %s is %s, want %s", tc.n, tc.family, got, tc.want)
		}
	}
}

// TestChainParts: what the recorded rulesets have none of.
func TestChainParts(t *testing.T) {
	devs := tlv(4, text(1, "eth0"), text(2, "ppp"))
	rs := build(t, binary.LittleEndian, []recorded{
		{"table", tableMsg()},
		{"chain", message(text(1, "t"), text(3, "c"), tlv(4, n32(1, 5), n32(2, 0xffffff6a), devs), n32(5, 0),
			text(7, "filter"), tlv(8, n64(1, 99), n64(2, 3)), n32(10, 1))},
		{"flowtable", message(text(1, "t"), text(2, "fast"), n64(5, 7), n32(7, 3), tlv(3, n32(1, 0), n32(2, 0xfffffff6),
			tlv(3, text(1, "eth0"), text(1, "5g"))))},
	})
	want := `BaseChain{Type="filter" Hook=ingress Priority=-150 Devices=[eth0, ppp*] HasCounter=true Packets=3 Bytes=99}`
	if diff := cmp.Diff(want, show(rs.Tables[0].Chains[0].Base)); diff != "" {
		t.Errorf("base chain (-want +got):\n%s", diff)
	}
	want = `[Flowtable{Name="fast" Handle=7 Hook=ingress Priority=-10 Devices=[eth0, 5g] Flags=3}]`
	if diff := cmp.Diff(want, show(rs.Tables[0].Flowtables)); diff != "" {
		t.Errorf("flowtables (-want +got):\n%s", diff)
	}
	want = "\tflowtable fast {\n\t\thook ingress priority filter - 10\n\t\tdevices = { \"5g\", eth0 }\n" +
		"\t\tflags offload\n\t\tcounter\n\t}\n"
	if got := RulesetText(rs); !strings.Contains(got, want) {
		t.Errorf("text of the flowtable:\n%s", got)
	}
}

func TestTypeLens(t *testing.T) {
	for _, tc := range []struct {
		typ  uint32
		len  int
		want string
	}{
		{7, 4, "[]"},
		{7<<6 | 13, 8, "[4 2]"},
		{41<<12 | 7<<6 | 13, 24, "[16 4 2]"},
		{7<<6 | 4, 12, "[4 8]"}, // an integer takes what is left
		{7<<6 | 13, 12, "[]"},   // does not add up
		{4<<6 | 4, 8, "[]"},     // two of unknown length
		{4<<6 | 7, 4, "[]"},     // nothing is left
		{0, 8, "[]"},
	} {
		if got := fmt.Sprint(typeLens(tc.typ, tc.len)); got != tc.want {
			t.Errorf("typeLens(%#x, %d) = %s, want %s", tc.typ, tc.len, got, tc.want)
		}
	}
}

func TestBackend(t *testing.T) {
	base := func(name string, h rules.Hook, prio int32) *rules.Chain {
		return &rules.Chain{Name: name, Base: &rules.BaseChain{Hook: h, Priority: prio}}
	}
	compat := &rules.Chain{Name: "x", Rules: []*rules.Rule{{Raw: []rules.RawExpr{{Name: "match"}}}}}
	for _, tc := range []struct {
		name   string
		family rules.Family
		table  string
		chains []*rules.Chain
		want   rules.Backend
	}{
		{"iptables nat", rules.FamilyIPv4, "nat", []*rules.Chain{base("PREROUTING", 0, -100), base("INPUT", 1, 100)}, rules.BackendIptablesNft},
		{"extensions", rules.FamilyIPv4, "mine", []*rules.Chain{compat}, rules.BackendIptablesNft},
		{"lower case", rules.FamilyIPv4, "nat", []*rules.Chain{base("prerouting", 0, -100)}, rules.BackendNft},
		{"another priority", rules.FamilyIPv4, "nat", []*rules.Chain{base("PREROUTING", 0, -99)}, rules.BackendNft},
		{"another hook", rules.FamilyIPv4, "nat", []*rules.Chain{base("FORWARD", 2, 0)}, rules.BackendNft},
		{"inet", rules.FamilyInet, "nat", []*rules.Chain{base("PREROUTING", 0, -100)}, rules.BackendNft},
		{"no base chain", rules.FamilyIPv4, "nat", []*rules.Chain{{Name: "DOCKER"}}, rules.BackendNft},
		{"own chain beside it", rules.FamilyIPv6, "filter", []*rules.Chain{base("INPUT", 1, 0), base("mine", 1, 5)}, rules.BackendNft},
	} {
		got := backendOf(&rules.Table{Family: tc.family, Name: tc.table, Chains: tc.chains})
		if got != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
	}
}

// BenchmarkBuild is a table of 1000 rules and a set of 10,000 elements.
func BenchmarkBuild(b *testing.B) {
	x, y := dport(1), equals(1, 0, 80)
	rule := message(text(1, "t"), text(2, "c"), n64(3, 5), tlv(4,
		tlv(1, text(1, "payload"), tlv(2, x.Data)), tlv(1, text(1, "cmp"), tlv(2, y.Data)), tlv(1, text(1, "counter"), tlv(2, n64(1, 0), n64(2, 0)))))
	var elems [][]byte
	for i := range 1000 {
		elems = append(elems, value(1, 10, 0, byte(i>>8), byte(i)))
	}
	set, list := setMsg("s", 0, 4), elementsMsg("s", elems...)
	for b.Loop() {
		n := NewBuilder(binary.LittleEndian)
		_, _ = n.AddTable(tableMsg()), n.AddSet(set)
		for range 10 {
			_ = n.AddElements(list)
		}
		for range 1000 {
			_ = n.AddRule(rule)
		}
		n.Finish(1)
	}
}
