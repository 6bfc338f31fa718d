package rulesjson_test

import (
	"bytes"
	"encoding/binary"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/modeldiff"
	"github.com/ntdiag/ntdiag/rules/nft"
	"github.com/ntdiag/ntdiag/rules/rulesjson"
	"github.com/ntdiag/ntdiag/rules/walk"
	"github.com/ntdiag/ntdiag/rules/xt"
)

// use does with a ruleset what answers are made of: it is printed, and packets
// of which much is not known, and some of which all is, pass every hook.
func use(rs *rules.Ruleset) {
	_ = nft.RulesetText(rs)
	for _, t := range rs.Tables {
		_ = xt.TableText(t)
	}
	for _, s := range rs.IPSets {
		_ = s.Save()
	}
	w := walk.New(rs)
	for _, family := range []rules.Family{rules.FamilyIPv4, rules.FamilyIPv6} {
		for hook := rules.Prerouting; hook <= rules.Postrouting; hook++ {
			for _, known := range []bool{false, true} {
				w.Hook(packet(rs, family, known), hook, walk.Options{})
			}
		}
	}
}

func packet(rs *rules.Ruleset, family rules.Family, known bool) *rules.Packet {
	p := &rules.Packet{Family: family, Order: rs.Order, Host: rules.NoHost{}, Proto: 6, Tracked: rules.Yes}
	if p.Order == nil {
		p.Order = binary.LittleEndian
	}
	p.Net.N, p.Trans.N = 20, 20
	if family == rules.FamilyIPv6 {
		p.Net.N = 40
	}
	p.Net.Open(0, p.Net.N, rules.FromIPHeader)
	p.Trans.Open(0, p.Trans.N, rules.FromTCPHeader)
	p.Mark, p.Priority = rules.UnknownBytes(4, rules.FromMark), rules.UnknownBytes(4, rules.FromPriority)
	p.Ct.Mark, p.Ct.Labels = rules.UnknownBytes(4, rules.FromCtMark), rules.UnknownBytes(16, rules.FromCtLabel)
	if known {
		p.Net.Set(0, bytes.Repeat([]byte{0x0a}, p.Net.N), rules.FromEntry)
		p.Trans.Set(0, bytes.Repeat([]byte{0x0a}, p.Trans.N), rules.FromEntry)
		p.Mark = rules.KnownBytes([]byte{1, 0, 0, 0})
	}
	return p
}

var typeRE = regexp.MustCompile(`"type":"[a-z0-9_]+"`)

// seeds are documents of one rule each, which together have every type that
// the fixtures have.
func seeds(t testing.TB) (out [][]byte) {
	seen := map[string]bool{}
	fresh := func(doc []byte) (any bool) {
		for _, name := range typeRE.FindAllString(string(doc), -1) {
			any = any || !seen[name]
			seen[name] = true
		}
		return any
	}
	for _, rs := range fixtures(t) {
		for _, table := range rs.Tables {
			var all []*rules.Rule
			for _, c := range table.Chains {
				all, c.Rules = append(all, c.Rules...), nil
			}
			one := &rules.Ruleset{Order: rs.Order, IPSets: rs.IPSets, Tables: []*rules.Table{table}}
			for _, r := range all {
				r.Chain.Rules = []*rules.Rule{r}
				doc, err := rulesjson.Marshal(one)
				if err != nil {
					t.Fatal(err)
				}
				if fresh(doc) {
					out = append(out, doc)
				}
				r.Chain.Rules = nil
			}
		}
	}
	return out
}

// slow is how long a document may take: what takes no bounded time takes far
// longer.
const slow = 20 * time.Second

// FuzzDecode: whatever a document is, it is decoded or refused; what is decoded
// can be printed and walked, and is the same when it is written and read again.
func FuzzDecode(f *testing.F) {
	for _, b := range seeds(f) {
		f.Add(b)
	}
	for _, doc := range brokenDocuments {
		f.Add([]byte(doc.text()))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		begun := time.Now()
		rs, err := rulesjson.Unmarshal(b)
		if err != nil {
			return
		}
		use(rs)
		twice, err := rulesjson.Marshal(rs)
		if err != nil {
			if strings.Contains(err.Error(), "nested") {
				return
			}
			t.Fatal(err)
		}
		got, err := rulesjson.Unmarshal(twice)
		if err != nil {
			t.Fatalf("%v\n%s", err, twice)
		}
		if d := modeldiff.First(rs, got); d != "" {
			t.Fatal(d)
		}
		if d := time.Since(begun); d > slow {
			t.Errorf("took %v", d)
		}
	})
}
