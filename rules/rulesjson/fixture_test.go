package rulesjson_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/ntdiag/ntdiag/internal/modeldiff"
	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/nft"
	"github.com/ntdiag/ntdiag/rules/rulesjson"
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
		if dir := os.Getenv("NTDIAG_KEEP"); dir != "" {
			_ = os.WriteFile(filepath.Join(dir, "ruleset.json"), b, 0o600)
		}
		t.Fatalf("%v\n%.2000s", err, b)
	}
	return got, b
}

func TestRecordedRulesets(t *testing.T) {
	for name, want := range recorded(t) {
		t.Run(name, func(t *testing.T) {
			got, b := again(t, want)
			if d := modeldiff.First(want, got); d != "" {
				t.Error(d)
			}
			if a, b := nft.RulesetText(want), nft.RulesetText(got); a != b {
				t.Errorf("text differs:\n%s\n%s", a, b)
			}
			if twice, _ := rulesjson.Marshal(got); !bytes.Equal(b, twice) {
				t.Error("written another way the second time")
			}
		})
	}
}
