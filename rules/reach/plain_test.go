package reach

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ntdiag/ntdiag/rules"
)

// TestPlain holds what is said against the plain way, which asks everything
// anew for each rule.
func TestPlain(t *testing.T) {
	dead := 0
	for seed := range 10 * rulesets(t) {
		g := &generator{Rand: rand.New(rand.NewPCG(seed, 0x706c61696e)), coins: rand.New(rand.NewPCG(seed, 1))}
		rs := g.ruleset()
		want, got := said(rs, analyse(rs, true)), said(rs, Analyse(rs))
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("seed %d: -plain +quick:\n%s\n%s", seed, d, outline(rs))
		}
		dead += strings.Count(strings.Join(got, "\n"), "dead")
	}
	if dead == 0 {
		t.Error("no rule was called dead")
	}
}

// said is all that a result tells, a line for each rule and each pair of rules.
func said(rs *rules.Ruleset, res *Result) []string {
	var out []string
	var all []*rules.Rule
	for _, t := range rs.Tables {
		for _, c := range t.Chains {
			out = append(out, fmt.Sprintf("%s entered %t, callers %d", c.Name, res.Entered(c), len(res.Callers(c))))
			for _, r := range c.Rules {
				if d := res.Dead(r); d != nil {
					line := fmt.Sprintf("rule %d dead: %d %t %d sets, by", r.Handle, d.Why, d.Unsourced, len(d.Sets))
					for _, by := range d.By {
						line += fmt.Sprintf(" %d", by.Handle)
					}
					out = append(out, line)
				}
			}
			if c.Base != nil {
				all = append(all, c.Rules...)
			}
		}
	}
	for _, a := range all {
		for _, b := range all {
			out = append(out, fmt.Sprintf("%d and %d overlap: %t", a.Handle, b.Handle, res.Overlap(a, a.Chain, b, b.Chain)))
		}
	}
	return out
}
