package xt

import (
	"fmt"
	"strings"

	"github.com/ntdiag/ntdiag/rules"
)

// TableText is a table as iptables-save prints it: "*nat" to "COMMIT", with
// the counters of the policies. A rule that iptables has no words for is left
// as a remark.
func TableText(t *rules.Table) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%s\n", t.Name)
	for _, c := range t.Chains {
		policy, counters := "-", "[0:0]"
		if c.Base != nil {
			policy = strings.ToUpper(c.Base.Policy.String())
			counters = fmt.Sprintf("[%d:%d]", c.Base.Packets, c.Base.Bytes)
		}
		fmt.Fprintf(&b, ":%s %s %s\n", quoteChain(c.Name), policy, counters)
	}
	for _, c := range t.Chains {
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
