package xt_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/xt"
)

// collection is a folder of rulesets of real software. NTDIAG_RULESETS names
// the part of another one that is nft's; iptables' lies beside it.
func collection(t *testing.T) string {
	t.Helper()
	dir := "../../../shared/rulesets"
	if nft := os.Getenv("NTDIAG_RULESETS"); nft != "" {
		dir = filepath.Dir(nft)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no rulesets in %s; NTDIAG_RULESETS names another folder", dir)
	}
	return dir
}

// setsOf are the ipsets that a ruleset needs, by the note in the collection's
// index: "ipset NAME" stands for an empty one.
func setsOf(t *testing.T, dir, name string) []byte {
	t.Helper()
	index, err := os.ReadFile(filepath.Join(dir, "INDEX.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	var out []byte
	for line := range strings.Lines(string(index)) {
		col := strings.Split(strings.TrimRight(line, "\n"), "\t")
		if len(col) < 7 || col[0] != name || !strings.HasPrefix(col[1], "ip") {
			continue
		}
		for note := range strings.SplitSeq(col[6], ";") {
			if set, ok := strings.CutPrefix(strings.TrimSpace(note), "ipset "); ok {
				out = fmt.Appendf(out, "create %s hash:net\n", set)
			}
		}
	}
	return out
}

// totals counts over a collection.
type totals struct{ rules, equal, opaque, same, asTool int }

// TestCollection loads the iptables rulesets of real software by both tools:
// every rule is decoded, prints as the tool prints it, and its print loads back
// to the same rule.
func TestCollection(t *testing.T) {
	dir := collection(t)
	for _, b := range backends {
		t.Run(b.name, func(t *testing.T) {
			var sum totals
			for family, sub := range map[rules.Family]string{rules.FamilyIPv4: "iptables", rules.FamilyIPv6: "ip6tables"} {
				paths, _ := filepath.Glob(filepath.Join(dir, sub, "*.rules"))
				if len(paths) == 0 {
					t.Fatalf("no rulesets in %s/%s", dir, sub)
				}
				for _, path := range paths {
					name := strings.TrimSuffix(filepath.Base(path), ".rules")
					t.Run(sub+"/"+name, func(t *testing.T) {
						in, err := os.ReadFile(path)
						if err != nil {
							t.Fatal(err)
						}
						collectionCase(t, b.prefix[family], setsOf(t, dir, name), in, family, &sum)
					})
				}
			}
			t.Logf("rules %d, as %s-save prints them %d, not fully decoded %d, back as they were %d, back as the tool's own listing comes back %d",
				sum.rules, b.prefix[rules.FamilyIPv4], sum.equal, sum.opaque, sum.same, sum.asTool)
		})
	}
}

func collectionCase(t *testing.T, tool string, sets, in []byte, family rules.Family, sum *totals) {
	listing, before := load(t, tool, sets, in)
	want := saved(listing)
	var text strings.Builder
	for _, tb := range before {
		if tb.Family != family {
			continue
		}
		text.WriteString(xt.TableText(tb))
		lines := want[tb.Name]
		i := 0
		for _, c := range xt.SaveOrder(tb) {
			for _, r := range c.Rules {
				sum.rules++
				got, ok := xt.RuleText(r)
				if !ok {
					t.Errorf("%s %s rule %d has no text", tb.Name, c.Name, r.Position)
				}
				for _, s := range r.Statements {
					if o, isOpaque := s.(*rules.Opaque); isOpaque {
						sum.opaque++
						t.Errorf("%s: %s: %s", got, o.Name, o.Why)
						break
					}
				}
				switch {
				case i >= len(lines):
					t.Errorf("%s is not listed", got)
				case lines[i] == got:
					sum.equal++
				default:
					t.Logf("not as it is listed:\n  %s\n  %s", lines[i], got)
				}
				i++
			}
		}
	}
	if t.Failed() {
		return
	}
	_, after := load(t, tool, sets, []byte(text.String()))
	var relisted []*rules.Table // what the tool's own listing comes back as
	compareModels(t, before, after, sum, func() []*rules.Table {
		if relisted == nil {
			_, relisted = load(t, tool, sets, []byte(listing))
		}
		return relisted
	})
}

// compareModels counts the rules that are the same in both, bit for bit but for
// what they counted. One that is not has to be what the tool's own listing comes
// back as.
func compareModels(t *testing.T, before, after []*rules.Table, sum *totals, relist func() []*rules.Table) {
	t.Helper()
	if len(before) != len(after) {
		t.Fatalf("%d tables, %d came back", len(before), len(after))
	}
	for i, tb := range before {
		at := slices.IndexFunc(after, func(x *rules.Table) bool { return x.Name == tb.Name && x.Family == tb.Family })
		if at < 0 || len(after[at].Chains) != len(tb.Chains) {
			t.Fatalf("table %s did not come back", tb.Name)
		}
		for _, c := range before[i].Chains {
			back := after[at].Chain(c.Name)
			if back == nil || len(back.Rules) != len(c.Rules) {
				t.Errorf("chain %s did not come back", c.Name)
				continue
			}
			for n, r := range c.Rules {
				a, b := rawOf(r), rawOf(back.Rules[n])
				switch {
				case a == b:
					sum.same++
				case b == rawOf(ruleOf(t, relist(), tb, c.Name, n)):
					sum.asTool++
				default:
					text, _ := xt.RuleText(r)
					t.Errorf("came back otherwise: %s\n was %s\n  is %s", text, a, b)
				}
			}
		}
	}
}

func ruleOf(t *testing.T, tables []*rules.Table, like *rules.Table, chain string, n int) *rules.Rule {
	t.Helper()
	for _, tb := range tables {
		if tb.Name == like.Name && tb.Family == like.Family {
			return tb.Chain(chain).Rules[n]
		}
	}
	t.Fatalf("table %s is not in the listing", like.Name)
	return nil
}

// rawOf is a rule as the kernel has it, without what it counted and without
// the offsets of a legacy table.
func rawOf(r *rules.Rule) string {
	var b strings.Builder
	for i := range r.Raw {
		x := &r.Raw[i]
		data := bytes.Clone(x.Data)
		switch x.Name {
		case "counter":
			data = nil
		case xt.RawEntry:
			// struct xt_counters ends it, comefrom and the offsets come before
			data = data[:len(data)-28]
		case xt.RawTarget:
			if v := verdictOf(r); v != "" {
				data = []byte(v)
			}
		}
		fmt.Fprintf(&b, "%s %x; ", x.Name, data)
	}
	return b.String()
}

// verdictOf is a jump by the chain's name.
func verdictOf(r *rules.Rule) string {
	for _, s := range r.Statements {
		if v, ok := s.(*rules.Verdict); ok && v.ChainName != "" {
			return v.Code.String() + " " + v.ChainName
		}
	}
	return ""
}
