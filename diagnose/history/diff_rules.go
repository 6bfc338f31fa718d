package history

import (
	"bytes"
	"slices"

	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/nft"
)

// ruleText is the rule's text, which is kept.
func ruleText(r *rules.Rule) string {
	if r.Text == "" {
		r.Text = nft.RuleText(r)
	}
	return r.Text
}

// sameRule is the text with the comment, which in nft is beside it.
func sameRule(r *rules.Rule) string { return ruleText(r) + "\x00" + r.Comment }

func handleOf(r *rules.Rule) uint64 { return r.Handle }

func versionOf(r *rules.Rule) RuleVersion {
	v := RuleVersion{Handle: r.Handle, Position: r.Position, Text: ruleText(r), Comment: r.Comment, NAT: targetOf(r)}
	if v.NAT != nil {
		v.Needs = needsOf(r)
	}
	return v
}

// unchanged tells whether a rule says what the one of the same handle said:
// one that is replaced keeps the handle (nf_tables_newrule). What the kernel
// sent decides where that is all there is: it also holds counters, and names
// anonymous sets, which get names of others that are gone.
func unchanged(a, b *rules.Rule) bool {
	if a == b || sameRaw(a, b) {
		return true
	}
	return sameRule(a) == sameRule(b)
}

// sameRaw is false where an expression is hidden: neither its bytes nor its text
// are there.
func sameRaw(a, b *rules.Rule) bool {
	if len(a.Raw) == 0 || a.Comment != b.Comment {
		return false
	}
	return slices.EqualFunc(a.Raw, b.Raw, func(x, y rules.RawExpr) bool {
		return x.Name == y.Name && x.Name != exprLookup && len(x.Data)+len(x.Text) > 0 && x.Text == y.Text && bytes.Equal(x.Data, y.Data)
	})
}

const exprLookup = "lookup"

// rules compares the rules of one chain; handles: they tell one rule from
// another. What has the same text in the same order under another handle was
// written again, not changed.
func (d *differ) rules(p Place, before, after []*rules.Rule, handles bool) {
	if len(before) == 0 && len(after) == 0 {
		return
	}
	c := &chainDiff{place: p, before: before, after: after}
	if handles {
		align(before, after, handleOf).gaps(c.texts, func(i, j int) {
			if !unchanged(before[i], after[j]) {
				c.replaced(before[i], after[j])
			}
		})
	} else {
		c.texts(span{0, len(before)}, span{0, len(after)})
	}
	c.moves()
	for _, g := range c.open {
		c.pair(g)
	}
	d.out.Rules = append(d.out.Rules, c.out...)
	if c.reloaded > 0 {
		d.out.Reloaded = append(d.out.Reloaded, Reload{p, c.reloaded})
	}
}

// chainDiff is the difference of one chain in the making.
type chainDiff struct {
	place         Place
	before, after []*rules.Rule
	reloaded      int
	open          []gap
	out           []RuleChange
}

// gap is rules between two that are the same before and after.
type gap struct{ before, after []*rules.Rule }

// texts compares two runs by what the rules say.
func (c *chainDiff) texts(a, b span) {
	before, after := c.before[a.from:a.to], c.after[b.from:b.to]
	align(before, after, sameRule).gaps(func(a, b span) {
		c.open = append(c.open, gap{before[a.from:a.to:a.to], after[b.from:b.to:b.to]})
	}, func(i, j int) {
		if before[i].Handle != 0 {
			c.reloaded++
		}
	})
}

// moves takes the rules out of the gaps that stand in another one afterwards.
func (c *chainDiff) moves() {
	gone := map[string][]*rules.Rule{}
	for _, g := range c.open {
		for _, r := range g.before {
			gone[sameRule(r)] = append(gone[sameRule(r)], r)
		}
	}
	if len(gone) == 0 {
		return
	}
	moved := map[*rules.Rule]bool{}
	for i := range c.open {
		g := &c.open[i]
		var rest []*rules.Rule
		for _, r := range g.after {
			from := gone[sameRule(r)]
			if len(from) == 0 {
				rest = append(rest, r)
				continue
			}
			gone[sameRule(r)], moved[from[0]] = from[1:], true
			was := versionOf(from[0])
			c.out = append(c.out, RuleChange{Op: Moved, Place: c.place, RuleVersion: versionOf(r), Was: &was})
		}
		g.after = rest
	}
	if len(moved) == 0 {
		return
	}
	for i := range c.open {
		g := &c.open[i]
		var rest []*rules.Rule
		for _, r := range g.before {
			if !moved[r] {
				rest = append(rest, r)
			}
		}
		g.before = rest
	}
}

func (c *chainDiff) replaced(before, after *rules.Rule) {
	was := versionOf(before)
	c.out = append(c.out, RuleChange{Op: Replaced, Place: c.place, RuleVersion: versionOf(after), Was: &was})
}

// pair tells what replaced what inside a gap, and what came and went.
func (c *chainDiff) pair(g gap) {
	a, b := 0, 0
	leave := func(i, j int) {
		for ; a < i; a++ {
			c.out = append(c.out, RuleChange{Op: Removed, Place: c.place, RuleVersion: versionOf(g.before[a])})
		}
		for ; b < j; b++ {
			c.out = append(c.out, RuleChange{Op: Added, Place: c.place, RuleVersion: versionOf(g.after[b])})
		}
	}
	for _, p := range likest(g.before, g.after) {
		leave(p[0], p[1])
		c.replaced(g.before[a], g.after[b])
		a, b = a+1, b+1
	}
	leave(len(g.before), len(g.after))
}
