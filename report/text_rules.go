package report

import (
	"fmt"
	"io"
	"strings"
)

// rulesText lists the NAT rules hook by hook, in the order in which a packet
// meets them.
func rulesText(w io.Writer, d *Rules, s Style) error {
	var b strings.Builder
	listed := 0
	switch {
	case len(d.Chains) > 0:
	case d.Complete:
		b.WriteString("no chain of type nat is loaded\n")
	default:
		b.WriteString("no chain of type nat was read\n")
	}
	for _, c := range d.Chains {
		fmt.Fprintf(&b, "%s\n", s.paint(bold, fmt.Sprintf("%s: %s %s %s, priority %d, policy %s",
			c.Hook, c.Family, safe(c.Table), safe(c.Chain), c.Priority, c.Policy)))
		n := 0
		for i := range d.Rules {
			r := &d.Rules[i]
			if r.Hook != c.Hook || !r.metFrom(c) {
				continue
			}
			n++
			if s.Rows > 0 && listed == s.Rows {
				continue
			}
			listed++
			ruleRow(&b, r, d.Attributed, s)
		}
		if n == 0 {
			b.WriteString("    no NAT rule\n")
		}
	}
	if rest := len(d.Rules) - listed; rest > 0 {
		wrap(&b, s.width(), "\n", "", plural(rest, "more rule", "more rules")+" not shown: --all shows them")
	}
	if d.Opaque > 0 {
		wrap(&b, s.width(), "\n", "  ", plural(d.Opaque, "rule has a part", "rules have a part")+" that is not understood (marked !): answers that pass through say so")
	}
	missingText(&b, d.Header, s)
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *RuleRow) metFrom(c ChainRow) bool { return r.From == c.Family+" "+c.Table+" "+c.Chain }

func ruleRow(b *strings.Builder, r *RuleRow, attributed bool, s Style) {
	mark := " "
	if !r.Rule.Decoded {
		mark = s.paint(yellow, "!")
	}
	where := ""
	if r.From != r.Rule.Family+" "+r.Rule.Table+" "+r.Rule.Chain {
		where = safe(r.Rule.Chain) + " "
	}
	var facts []string
	if attributed {
		facts = append(facts, plural(r.Flows, "flow", "flows"))
	}
	if r.Counted {
		facts = append(facts, plural(int(r.Packets), "packet", "packets"))
	}
	facts = append(facts, r.Findings...)
	right(b, s.width(), fmt.Sprintf("  %s %3d  %s%s", mark, r.Order, where, ruleName(&r.Rule)), s.paint(dim, strings.Join(facts, ", ")))
	wrap(b, s.width(), "         ", "           ", safe(r.Rule.Text))
}
