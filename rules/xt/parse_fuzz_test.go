package xt

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ntdiag/ntdiag/rules"
)

// FuzzParseSave: whatever a text holds, what is read of it prints; and what is
// understood prints as what is read as the same again.
func FuzzParseSave(f *testing.F) {
	paths, _ := filepath.Glob("testdata/*.rules*")
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, strings.HasSuffix(path, "6"))
	}
	for _, s := range []string{
		"-P INPUT DROP\n-A INPUT -s 10/8,! 1.2.3.4 -j ACCEPT -c 1 2\n",
		"iptables -t nat -I PREROUTING 2 -p tcp --dport ! 80 -j DNAT --to ':80'\n",
		"*nat\n:A B\n[1:2] -A A ! -j \"x y\" -m foo ! --bar -g A\nCOMMIT\n",
	} {
		f.Add([]byte(s), false)
	}
	f.Fuzz(func(t *testing.T, b []byte, v6 bool) {
		x := Text{Family: rules.FamilyIPv4}
		if v6 {
			x.Family = rules.FamilyIPv6
		}
		first, problems, err := ParseSave(x, strings.NewReader(string(b)))
		if err != nil {
			return
		}
		text := tablesText(t, first)
		if len(problems) == 0 {
			second, _, err := ParseSave(x, strings.NewReader(text))
			if err != nil {
				t.Fatalf("%v: %q", err, text)
			}
			if again := tablesText(t, second); again != text {
				t.Fatalf("printed\n%s\nthen\n%s", text, again)
			}
		}
		rs := &rules.Ruleset{Tables: first}
		for _, tb := range first {
			tb.Ruleset = rs
		}
		walkAll(t, rs)
	})
}

func tablesText(t *testing.T, tables []*rules.Table) string {
	t.Helper()
	var b strings.Builder
	for _, tb := range tables {
		for _, c := range tb.Chains {
			for i, r := range c.Rules {
				if _, ok := RuleText(r); !ok || r.Position != i+1 || r.Chain != c {
					t.Fatalf("%s rule %d of %d: %+v", c.Name, i+1, r.Position, r)
				}
			}
		}
		b.WriteString(TableText(tb))
	}
	return b.String()
}
