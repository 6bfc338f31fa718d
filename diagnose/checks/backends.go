package checks

import (
	"slices"

	"github.com/ntdiag/ntdiag/diagnose/order"
	"github.com/ntdiag/ntdiag/rules"
)

// backends tells of NAT rules of several backends at once. iptables-legacy
// beside one of nf_tables is trouble: neither tool shows the other's rules.
func backends(p *Pass) {
	with := map[rules.Backend]int{}
	for _, t := range p.Rules.Tables {
		for _, c := range t.Chains {
			for _, r := range c.Rules {
				if r.NAT() != nil {
					with[t.Backend]++
				}
			}
		}
	}
	legacy, iptNft := loaded(p.Rules, rules.BackendIptablesLegacy), loaded(p.Rules, rules.BackendIptablesNft)
	if len(with) < 2 && (!legacy || !iptNft) {
		return
	}
	f := Finding{Severity: Info, Text: "NAT rules of " + list(backendNames(with)) + " are loaded at once"}
	if legacy && len(with) > 1 {
		f.Severity = Warning
		f.Do = "move the rules of iptables-legacy into one backend: iptables-legacy-save lists them, nft list ruleset does not"
	}
	if len(with) < 2 {
		f.Severity = Warning
		f.Text = "iptables is loaded in both forms, iptables-nft and iptables-legacy: packets meet the rules of both"
		f.Do = "keep one of them: update-alternatives --display iptables tells which one the command uses"
	}
	for i := range p.Hooks {
		if runs := natOrder(&p.Hooks[i]); runs != "" {
			f.More = append(f.More, p.Hooks[i].Hook.String()+": "+runs)
		}
	}
	p.report(f)
}

// loaded tells whether the backend has any rule.
func loaded(rs *rules.Ruleset, b rules.Backend) bool {
	return slices.ContainsFunc(rs.Tables, func(t *rules.Table) bool {
		return t.Backend == b && slices.ContainsFunc(t.Chains, func(c *rules.Chain) bool { return len(c.Rules) > 0 })
	})
}

func backendNames(with map[rules.Backend]int) []string {
	var out []string
	for b := range with {
		out = append(out, string(b))
	}
	slices.Sort(out)
	return out
}

// natOrder names the nat chains with NAT rules in order, where more than one
// backend has them: "a, then b or c".
func natOrder(h *order.Hook) string {
	text := ""
	seen := map[rules.Backend]bool{}
	var last *order.Base
	for _, b := range natBases(h) {
		if !slices.ContainsFunc(b.Rules, func(r *order.Rule) bool { return r.Role == order.RoleNAT }) {
			continue
		}
		seen[b.Chain.Table.Backend] = true
		switch {
		case last == nil:
		case slices.Contains(b.Tied, last.Chain):
			text += " or "
		default:
			text += ", then "
		}
		text += order.Name(b.Chain)
		last = b
	}
	if len(seen) < 2 {
		return ""
	}
	return text
}
