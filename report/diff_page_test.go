package report

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ntdiag/ntdiag/diagnose/history"
)

// TestDiffPage holds that a page of a large difference ends, and says how many
// more of each kind there are; without a page all of it is there.
func TestDiffPage(t *testing.T) {
	const many = 3000
	d := &Diff{Rules: &history.RulesDiff{}, Entries: DiffEntries{Other: many}}
	set := func(name string, elements, kept int) history.SetChange {
		c := history.SetChange{Place: history.Place{Chain: name}, What: "set", Added: elements}
		for i := range kept {
			c.Elements = append(c.Elements, history.ElementChange{Op: history.Added, Text: fmt.Sprintf("%s-element-%d", name, i)})
		}
		return c
	}
	d.Rules.Sets = []history.SetChange{set("a", 10, 10), set("b", 100, 40), set("c", 7, 7)}
	for i := range many {
		d.Rules.Objects = append(d.Rules.Objects, history.ObjectChange{Op: history.Added, What: "chain", Name: fmt.Sprint("chain-", i), Text: fmt.Sprint("chain-", i)})
		d.Rules.Rules = append(d.Rules.Rules, history.RuleChange{Op: history.Added, RuleVersion: history.RuleVersion{Text: fmt.Sprint("rule-", i)}})
		d.Rules.Reloaded = append(d.Rules.Reloaded, history.Reload{Rules: 3})
		d.Routes = append(d.Routes, history.RouteChange{Op: history.Added, Text: fmt.Sprint("route-", i)})
		d.Settings = append(d.Settings, DiffSetting{Key: fmt.Sprint("setting-", i)})
	}
	d.Entries.Pairs = make([]DiffPair, 20)
	text := func(s Style) string {
		var b strings.Builder
		if err := diffText(&b, d, s); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	page := text(Style{Rows: 40})
	if n := strings.Count(page, "\n"); n > 130 {
		t.Errorf("a page has %d lines", n)
	}
	words := strings.Join(strings.Fields(page), " ")
	for _, want := range []string{
		"2,988 more tables, chains and sets, 2,988 more rules, 45 more elements, 2,988 more chains loaded again: -v lists them",
		"60 more elements, not kept", // of set b, as without a page
		"2,988 more routes: -v lists them",
		"2,988 more settings: -v lists them",
		"2,997 more: -v lists the first 20",
	} {
		if !strings.Contains(words, want) {
			t.Errorf("a page does not say %q", want)
		}
	}
	if strings.Contains(page, "c-element") {
		t.Error("a page has elements of a set beyond its bound")
	}
	all := text(Style{})
	for _, want := range []string{"chain-2999", "rule-2999", "c-element-6", "60 more elements, not kept", "route-2999", "setting-2999", "2,980 more not shown"} {
		if !strings.Contains(all, want) {
			t.Errorf("without a page %q is missing", want)
		}
	}
	if strings.Contains(all, "-v lists") {
		t.Error("without a page something is left for -v")
	}
}
