package checks

import (
	"fmt"

	"github.com/ntdiag/ntdiag/rules"
)

// noEntry tells of chains that no packet enters. Their NAT rules say so each;
// chains without NAT rules are told of only as a whole, since programs keep
// empty chains ready.
func noEntry(p *Pass) {
	for _, t := range p.Rules.Tables {
		if !ipTable(t) {
			continue
		}
		if t.Dormant() {
			dormant(p, t)
			continue
		}
		for _, c := range t.Chains {
			if why := whyNoEntry(p, c); why != "" {
				outOfUse(p, c, why)
			}
		}
	}
}

func dormant(p *Pass, t *rules.Table) {
	n := 0
	for _, c := range t.Chains {
		for _, r := range c.Rules {
			if r.NAT() != nil {
				n++
				p.report(Finding{Severity: Warning, Rule: r, Text: "no packet comes here: the table is dormant"})
			}
		}
	}
	f := Finding{Severity: Info, Text: fmt.Sprintf("table %s %s is dormant", t.Family, t.Name)}
	if n > 0 {
		f.Severity = Warning
		f.Text += ": " + count(n, "NAT rule does nothing", "NAT rules do nothing")
		f.Do = fmt.Sprintf("nft add table %s %s wakes it", t.Family, t.Name)
	}
	p.report(f)
}

// whyNoEntry is "" for a chain that packets may enter, or of which it is not
// known.
func whyNoEntry(p *Pass, c *rules.Chain) string {
	if c.Base != nil || p.Reach.Entered(c) {
		return ""
	}
	callers := p.Reach.Callers(c)
	if len(callers) == 0 {
		if c.Table.Incomplete != nil {
			return "" // the jump may be among what was not read
		}
		return "no rule jumps to the chain"
	}
	dead := 0
	for _, r := range callers {
		b := r.Chain.Base
		if b != nil && (b.Hook > rules.Postrouting || b.Type != rules.ChainNAT && b.Type != rules.ChainFilter && b.Type != rules.ChainRoute) {
			return "" // led to from a hook that is not looked at
		}
		if p.Reach.Dead(r) != nil || b == nil && !p.Reach.Entered(r.Chain) {
			dead++
		}
	}
	if dead < len(callers) {
		return ""
	}
	if len(callers) == 1 {
		return "only " + full(callers[0]) + " jumps to the chain, and no packet meets that"
	}
	return "only rules that no packet meets jump to the chain"
}

func outOfUse(p *Pass, c *rules.Chain, why string) {
	f := Finding{Severity: Warning, Text: "no packet comes here: " + why, Do: "jump to " + c.Name + " from a chain that packets pass, or delete it"}
	if c.MadeBy() != "" {
		f.Severity, f.Do = Info, "" // programs keep chains ready that they do not use
	}
	for _, r := range c.Rules {
		if r.NAT() != nil {
			f.Rule = r
			p.report(f)
		}
	}
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
