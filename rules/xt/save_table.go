package xt

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/ntdiag/ntdiag/rules"
)

// TableText is a table as iptables-save prints it: "*nat" to "COMMIT", with
// the counters of the policies. A rule that iptables has no words for is left
// as a remark.
func TableText(t *rules.Table) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%s\n", t.Name)
	chains := SaveOrder(t)
	for _, c := range chains {
		policy, counters := "-", "[0:0]"
		if c.Base != nil {
			policy = strings.ToUpper(c.Base.Policy.String())
			counters = fmt.Sprintf("[%d:%d]", c.Base.Packets, c.Base.Bytes)
		}
		fmt.Fprintf(&b, ":%s %s %s\n", quoteChain(c.Name), policy, counters)
	}
	for _, c := range chains {
		for _, r := range c.Rules {
			text, ok := RuleText(r)
			if !ok {
				text = fmt.Sprintf("# rule %d of %s is not one of iptables", r.Position, quoteChain(c.Name))
			}
			b.WriteString(text + "\n")
		}
	}
	b.WriteString("COMMIT\n")
	return b.String()
}

// SaveOrder are the chains in the order in which iptables-save lists them, and
// their rules: the base chains by hook, the others by name.
func SaveOrder(t *rules.Table) []*rules.Chain {
	out := slices.Clone(t.Chains)
	slices.SortStableFunc(out, func(a, b *rules.Chain) int {
		switch {
		case a.Base != nil && b.Base != nil:
			return cmp.Compare(a.Base.Hook, b.Base.Hook)
		case a.Base != nil:
			return -1
		case b.Base != nil:
			return 1
		}
		return cmp.Compare(a.Name, b.Name)
	})
	return out
}
