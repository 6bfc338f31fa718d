package rulesjson_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/modeldiff"
	"github.com/ntdiag/ntdiag/rules/nft"
	"github.com/ntdiag/ntdiag/rules/rulesjson"
	"github.com/ntdiag/ntdiag/rules/xt"
)

var adders = map[string]func(*nft.Builder, []byte) error{
	"table": (*nft.Builder).AddTable, "chain": (*nft.Builder).AddChain, "set": (*nft.Builder).AddSet,
	"object": (*nft.Builder).AddObject, "flowtable": (*nft.Builder).AddFlowtable,
	"elements": (*nft.Builder).AddElements, "rule": (*nft.Builder).AddRule,
}

// recorded are the rulesets whose messages stand in the fixtures of package nft.
func recorded(t testing.TB) map[string]*rules.Ruleset {
	t.Helper()
	paths, err := filepath.Glob("../nft/testdata/nft/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no fixtures: %v", err)
	}
	out := map[string]*rules.Ruleset{}
	for _, path := range paths {
		ar, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatal(err)
		}
		b := nft.NewBuilder(binary.LittleEndian)
		for _, f := range ar.Files {
			if f.Name == "messages" {
				build(t, b, f.Data)
			}
		}
		out[strings.TrimSuffix(filepath.Base(path), ".txtar")] = b.Finish(7)
	}
	return out
}

// legacy are the tables whose bytes stand in the fixtures of package xt.
func legacy(t testing.TB) map[string]*rules.Ruleset {
	t.Helper()
	paths, err := filepath.Glob("../xt/testdata/tables/*.bin")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no tables: %v", err)
	}
	out := map[string]*rules.Ruleset{}
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		family := rules.FamilyIPv4
		if strings.Contains(path, "rules6") {
			family = rules.FamilyIPv6
		}
		rs := &rules.Ruleset{Order: binary.LittleEndian, IPSets: ipsets(family)}
		rs.PrepareIPSets()
		in, err := xt.ParseInfo(rs.Order, b[:xt.InfoSize])
		if err != nil {
			t.Fatal(err)
		}
		table, err := xt.DecodeTable(rs.Order, family, in, b[xt.InfoSize:], rs.IPSet)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		table.Ruleset, rs.Tables = rs, []*rules.Table{table}
		out[filepath.Base(path)] = rs
	}
	return out
}

// ipsets are some for the ids from 0 on, of which two have one name.
func ipsets(family rules.Family) []*rules.IPSet {
	at := netip.PrefixFrom(netip.MustParseAddr("10.0.0.1"), 32)
	if family == rules.FamilyIPv6 {
		at = netip.PrefixFrom(netip.MustParseAddr("::ffff:10.0.0.1"), 128)
	}
	var out []*rules.IPSet
	for id := range uint16(16) {
		out = append(out, &rules.IPSet{
			ID: id, Name: "s" + string(rune('a'+max(id, 1))), Type: "hash:ip,mark", Family: family, Counters: true,
			Fed: id == 3, Elements: []rules.IPSetElement{{IP: at, Mark: uint32(id), Packets: 1 << 63, Comment: "\xff"}},
		})
	}
	return append(out, &rules.IPSet{
		ID: rules.IPSetNoID, Name: "list", Type: "list:set",
		Elements: []rules.IPSetElement{{Name: "sc", Timeout: 5}, {Name: "gone"}, {Name: "list"}},
	})
}

// fixtures are all of them.
func fixtures(t testing.TB) map[string]*rules.Ruleset {
	all := recorded(t)
	for name, rs := range legacy(t) {
		all[name] = rs
	}
	return all
}

func build(t testing.TB, b *nft.Builder, messages []byte) {
	t.Helper()
	sc := bufio.NewScanner(bytes.NewReader(messages))
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		kind, digits, ok := strings.Cut(sc.Text(), " ")
		if !ok || strings.HasPrefix(kind, "#") {
			continue
		}
		payload, err := hex.DecodeString(digits)
		if err != nil || adders[kind] == nil {
			t.Fatalf("message %q: %v", sc.Text(), err)
		}
		if err := adders[kind](b, payload); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

// again encodes a ruleset and decodes what came of it.
func again(t testing.TB, rs *rules.Ruleset) (*rules.Ruleset, []byte) {
	t.Helper()
	b, err := rulesjson.Marshal(rs)
	if err != nil {
		t.Fatal(err)
	}
	got, err := rulesjson.Unmarshal(b)
	if err != nil {
		t.Fatalf("%v\n%.2000s", err, b)
	}
	return got, b
}

func TestRecordedRulesets(t *testing.T) {
	for name, want := range fixtures(t) {
		t.Run(name, func(t *testing.T) {
			got, b := again(t, want)
			if d := modeldiff.First(want, got); d != "" {
				t.Error(d)
			}
			if a, b := nft.RulesetText(want), nft.RulesetText(got); a != b {
				t.Errorf("text differs:\n%s\n%s", a, b)
			}
			for i := range want.Tables {
				if a, b := xt.TableText(want.Tables[i]), xt.TableText(got.Tables[i]); a != b {
					t.Errorf("text of a table differs:\n%s\n%s", a, b)
				}
			}
			if twice, _ := rulesjson.Marshal(got); !bytes.Equal(b, twice) {
				t.Error("written another way the second time")
			}
		})
	}
}
