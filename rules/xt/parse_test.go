package xt

import (
	"encoding/binary"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ntdiag/ntdiag/rules"
)

// sameModel compares statements: chains and sets are the same by their names.
var sameModel = []cmp.Option{
	cmp.Exporter(func(reflect.Type) bool { return true }),
	cmp.Comparer(func(a, b *rules.Chain) bool { return a == b || a != nil && b != nil && a.Name == b.Name }),
	cmp.Comparer(func(a, b *rules.IPSet) bool { return a == b || a != nil && b != nil && a.Name == b.Name }),
}

// TestParseRecorded: what a table prints as comes back to the statements that
// its blobs hold, and prints the same again.
func TestParseRecorded(t *testing.T) {
	all := 0
	for name, rec := range recordedTables(t) {
		rs := &rules.Ruleset{Order: binary.LittleEndian}
		for id := range uint16(8) {
			rs.IPSets = append(rs.IPSets, &rules.IPSet{ID: id, Name: fmt.Sprintf("s%d", id), Type: "hash:ip", Family: rec.family})
		}
		in, err := ParseInfo(rs.Order, rec.info)
		if err != nil {
			t.Fatal(err)
		}
		table, err := DecodeTable(rs.Order, rec.family, in, rec.entries, rs.IPSet)
		if err != nil {
			t.Fatal(err)
		}
		table.Ruleset = rs
		text := TableText(table)
		back, problems, err := ParseSave(Text{Family: rec.family, IPSet: rs.IPSetByName}, strings.NewReader(text))
		if err != nil || len(back) != 1 {
			t.Fatalf("%s: %v %v", name, back, err)
		}
		for _, p := range problems {
			t.Errorf("%s: %s: %s", name, p, strings.Split(text, "\n")[p.Line-1])
		}
		back[0].Ruleset = table.Ruleset
		for _, c := range table.Chains {
			other := back[0].Chain(c.Name)
			if other == nil || len(other.Rules) != len(c.Rules) || (other.Base == nil) != (c.Base == nil) {
				t.Fatalf("%s: chain %s did not come back", name, c.Name)
			}
			if c.Base != nil {
				if diff := cmp.Diff(c.Base, other.Base, sameModel...); diff != "" {
					t.Errorf("%s: chain %s: %s", name, c.Name, diff)
				}
			}
			for i, r := range c.Rules {
				all++
				if text, _ := RuleText(r); unsaid[text] {
					continue
				}
				compareRule(t, name, r, other.Rules[i])
			}
		}
	}
	if all < 300 {
		t.Errorf("%d rules looked at", all)
	}
}

// unsaid are rules that ask for more than iptables-save prints of them: every
// port but all, and flags outside of a mask of none.
var unsaid = map[string]bool{"-A PREROUTING -p tcp -m tcp": true}

// compareRule compares the statements of a rule that the kernel had with those
// of its text, which tells nothing of what it has counted.
func compareRule(t *testing.T, name string, want, got *rules.Rule) {
	t.Helper()
	text, _ := RuleText(want)
	if back, ok := RuleText(got); !ok || back != text {
		t.Errorf("%s: %s\n prints as %s", name, text, back)
	}
	uncounted := slices.DeleteFunc(slices.Clone(want.Statements), func(s rules.Statement) bool {
		_, is := s.(*rules.Counter)
		return is
	})
	if diff := cmp.Diff(uncounted, got.Statements, sameModel...); diff != "" {
		t.Errorf("%s: %s (-blob +text):\n%s", name, text, diff)
	}
	if want.Comment != got.Comment || want.Position != got.Position {
		t.Errorf("%s: %s: %q %d", name, text, got.Comment, got.Position)
	}
}
