package checks

import (
	"fmt"
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
		if runs := natOrder(&p.Hooks[i]); len(runs) > 1 {
			f.Text += fmt.Sprintf("; %s: %s", p.Hooks[i].Hook, join(runs, ", then "))
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

// natOrder names the nat chains with NAT rules, where more than one backend
// has them.
func natOrder(h *order.Hook) []string {
	var out []string
	seen := map[rules.Backend]bool{}
	for _, b := range natBases(h) {
		if slices.ContainsFunc(b.Rules, func(r *order.Rule) bool { return r.Role == order.RoleNAT }) {
			seen[b.Chain.Table.Backend] = true
			name := chainName(b.Chain)
			if len(b.Tied) > 0 {
				name += " (or the other way round)"
			}
			out = append(out, name)
		}
	}
	if len(seen) < 2 {
		return nil
	}
	return out
}

func join(names []string, by string) string {
	out := ""
	for i, n := range names {
		if i > 0 {
			out += by
		}
		out += n
	}
	return out
}
