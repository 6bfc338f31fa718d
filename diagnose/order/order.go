// Package order lists what packets meet in the order in which the kernel runs
// it: at each hook the base chains of all tables of both backends, and in them
// the rules that make or decide about NAT.
package order

import (
	"slices"

	"github.com/ntdiag/ntdiag/rules"
)

// Hook is one netfilter hook with what hangs there.
type Hook struct {
	Hook   rules.Hook
	Chains []*Base
}

// Base is a base chain where packets meet it.
type Base struct {
	Chain *rules.Chain
	// Tied are the chains at the same hook and priority in other tables: which
	// of them runs first depends on which was registered last, and nothing
	// tells. A chain that lets all pass has no part in it.
	Tied []*rules.Chain
	// Rules are those with a Role, in order; a chain that several jumps lead
	// to is gone through once.
	Rules []*Rule
}

// Rule is one rule in its place.
type Rule struct {
	*rules.Rule
	Base *Base
	Role Role
	// Order counts the rules with a role at the hook, from 1.
	Order int
	// Via are the jumps that lead to the rule, outermost first.
	Via []*rules.Rule
}

// Role is what a rule has to do with NAT.
type Role string

const (
	// RoleNAT makes a rewrite.
	RoleNAT Role = "nat"
	// RoleExempt ends the way through a nat chain without one.
	RoleExempt Role = "exempt"
	// RoleMark sets a mark of the sort that rules of nat chains test.
	RoleMark Role = "mark"
	// RoleNotrack keeps packets from conntrack, and so from NAT.
	RoleNotrack Role = "notrack"
	// RoleUnknown is not understood in part, and may make a rewrite.
	RoleUnknown Role = "unknown"
)

// Hooks are the hooks of the IP families in the order of a packet's way.
var Hooks = []rules.Hook{rules.Prerouting, rules.Input, rules.Forward, rules.Output, rules.Postrouting}

// Of lists the hooks of rs.
func Of(rs *rules.Ruleset) []Hook {
	tested := marksTested(rs)
	var out []Hook
	for _, h := range Hooks {
		hook := Hook{Hook: h}
		n := 0
		for _, c := range chainsAt(rs, h) {
			b := &Base{Chain: c, Tied: tied(rs, c)}
			l := &lister{base: b, tested: tested, order: &n, seen: map[*rules.Chain]bool{}}
			l.chain(c)
			hook.Chains = append(hook.Chains, b)
		}
		out = append(out, hook)
	}
	return out
}

// chainsAt merges what IPv4 and IPv6 packets meet: chains that both meet stand
// where both lists have them.
func chainsAt(rs *rules.Ruleset, h rules.Hook) []*rules.Chain {
	four, _ := rs.AtHook(h, rules.FamilyIPv4)
	six, _ := rs.AtHook(h, rules.FamilyIPv6)
	var out []*rules.Chain
	for len(four) > 0 && len(six) > 0 {
		switch a, b := four[0], six[0]; {
		case a == b:
			out, four, six = append(out, a), four[1:], six[1:]
		case !slices.Contains(six, a) && (slices.Contains(four, b) || !after(a, b)):
			out, four = append(out, a), four[1:]
		default:
			out, six = append(out, b), six[1:]
		}
	}
	return append(append(out, four...), six...)
}

// after tells whether a has the later place.
func after(a, b *rules.Chain) bool {
	if x, y := a.EffectivePriority(), b.EffectivePriority(); x != y {
		return x > y
	}
	return a.Base.Priority > b.Base.Priority
}

// tied are the chains of which it is not known whether they run before c.
func tied(rs *rules.Ruleset, c *rules.Chain) []*rules.Chain {
	var out []*rules.Chain
	if idle(c) {
		return nil
	}
	for _, p := range []rules.Family{rules.FamilyIPv4, rules.FamilyIPv6} {
		chains, _ := rs.AtHook(c.Base.Hook, p)
		if !slices.Contains(chains, c) {
			continue
		}
		for _, d := range chains {
			if d.Table != c.Table && !idle(d) && d.EffectivePriority() == c.EffectivePriority() && d.Base.Priority == c.Base.Priority && !slices.Contains(out, d) {
				out = append(out, d)
			}
		}
	}
	return out
}

// idle tells whether c does nothing to any packet: iptables leaves such chains
// at every hook of a table.
func idle(c *rules.Chain) bool {
	return len(c.Rules) == 0 && c.Base.Policy == rules.VerdictAccept
}

// Name is family, table and chain; a chain of iptables-legacy says so, since
// iptables-nft has chains of the same names.
func Name(c *rules.Chain) string {
	if c.Table == nil {
		return c.Name
	}
	name := c.Table.Family.String() + " " + c.Table.Name + " " + c.Name
	if c.Table.Backend == rules.BackendIptablesLegacy {
		name += " (legacy)"
	}
	return name
}

// lister goes through one base chain.
type lister struct {
	base   *Base
	tested marks
	order  *int
	via    []*rules.Rule
	seen   map[*rules.Chain]bool
}

func (l *lister) chain(c *rules.Chain) {
	if c == nil || l.seen[c] {
		return
	}
	l.seen[c] = true
	var via []*rules.Rule // the same for all of c
	for _, r := range c.Rules {
		if role := l.role(r); role != "" {
			if via == nil {
				via = slices.Clone(l.via)
			}
			*l.order++
			l.base.Rules = append(l.base.Rules, &Rule{Rule: r, Base: l.base, Role: role, Order: *l.order, Via: via})
		}
		l.via = append(l.via, r)
		for _, to := range Targets(r) {
			l.chain(to)
		}
		l.via = l.via[:len(l.via)-1]
	}
}

// Targets are the chains that a rule can lead to, in the order in which it
// names them.
func Targets(r *rules.Rule) []*rules.Chain {
	var out []*rules.Chain
	for _, s := range r.Statements {
		switch v := s.(type) {
		case *rules.Verdict:
			if v.Chain != nil {
				out = append(out, v.Chain)
			}
		case *rules.VerdictMap:
			for i := range v.Set.Elements {
				if e := v.Set.Elements[i].Verdict; e != nil && e.Chain != nil && !slices.Contains(out, e.Chain) {
					out = append(out, e.Chain)
				}
			}
		}
	}
	return out
}

// role is what r has to do with NAT, "" for nothing.
func (l *lister) role(r *rules.Rule) Role {
	nat := l.base.Chain.Base.Type == rules.ChainNAT
	role := Role("")
	for _, s := range r.Statements {
		switch s := s.(type) {
		case *rules.NAT:
			return RoleNAT
		case *rules.Notrack:
			return RoleNotrack
		case *rules.Opaque:
			if nat || s.MayNAT {
				role = RoleUnknown
			}
		case *rules.Assign:
			if role == "" && l.tested.has(s.Dest) {
				role = RoleMark
			}
		case *rules.Reject:
			if nat && role == "" {
				role = RoleExempt
			}
		case *rules.Verdict:
			if nat && role == "" && ends(s.Code) {
				role = RoleExempt
			}
		case *rules.VerdictMap:
			if nat && role == "" && slices.ContainsFunc(s.Set.Elements, func(e rules.Element) bool { return e.Verdict != nil && ends(e.Verdict.Code) }) {
				role = RoleExempt
			}
		}
	}
	return role
}

func ends(c rules.VerdictCode) bool {
	switch c {
	case rules.VerdictAccept, rules.VerdictDrop, rules.VerdictReturn, rules.VerdictQueue, rules.VerdictStolen:
		return true
	}
	return false
}
