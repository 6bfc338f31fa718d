package xt

import (
	"encoding/binary"
	"testing"

	"github.com/ntdiag/ntdiag/rules"
)

// TestTextInsteadOfBytes: a rule whose extensions have their texts and lost
// their bytes prints as it did before.
func TestTextInsteadOfBytes(t *testing.T) {
	n := 0
	for name, rec := range recordedTables(t) {
		table, err := rec.decode(binary.LittleEndian)
		if err != nil {
			t.Fatal(err)
		}
		table.Ruleset = &rules.Ruleset{Order: binary.LittleEndian, Tables: []*rules.Table{table}}
		for _, c := range table.Chains {
			for _, r := range c.Rules {
				want, _ := RuleText(r)
				stripBytes(r)
				if got, ok := RuleText(r); !ok || got != want {
					t.Errorf("%s: %v %q, was %q", name, ok, got, want)
				}
				for i := range r.Raw {
					if x := &r.Raw[i]; x.Name == RawMatch && x.Text != "" {
						if got, ok := MatchText(r, statementOf(r, i)); !ok || got != x.Text {
							t.Errorf("%s: %v %q, want %q", name, ok, got, x.Text)
						}
						n++
					}
				}
			}
		}
	}
	if n < 100 {
		t.Errorf("%d matches looked at", n)
	}
}

func statementOf(r *rules.Rule, raw int) rules.Statement {
	for _, s := range r.Statements {
		if at := s.Covers(); len(at) == 1 && at[0] == raw {
			return s
		}
	}
	return nil
}

// stripBytes puts text in place of the bytes of a rule's extensions.
func stripBytes(r *rules.Rule) {
	for i, text := range RawTexts(r) {
		if text != "" {
			r.Raw[i].Text, r.Raw[i].Data = text, nil
		}
	}
}
