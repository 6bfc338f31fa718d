package checks

import (
	"fmt"
	"slices"

	"github.com/ntdiag/ntdiag/diagnose/order"
	"github.com/ntdiag/ntdiag/rules"
)

// samePriority tells of chains of several tables at one hook and priority: the
// one registered last runs first (nf_hook_entries_grow), and which that was is
// not recorded. It matters where the first takes a packet, or sets a mark, that
// the other is for.
func samePriority(p *Pass) {
	for i := range p.Hooks {
		var told []*rules.Chain
		for _, b := range p.Hooks[i].Chains {
			if len(b.Tied) == 0 || slices.Contains(told, b.Chain) {
				continue
			}
			run := p.tiedWith(&p.Hooks[i], b)
			for _, t := range run {
				told = append(told, t.Chain)
			}
			p.tie(&p.Hooks[i], run)
		}
	}
}

// tiedWith are b and the chains that share its priority.
func (p *Pass) tiedWith(h *order.Hook, b *order.Base) []*order.Base {
	run := []*order.Base{b}
	for _, c := range h.Chains {
		if c != b && slices.Contains(b.Tied, c.Chain) {
			run = append(run, c)
		}
	}
	return run
}

func (p *Pass) tie(h *order.Hook, run []*order.Base) {
	var names []string
	for _, b := range run {
		names = append(names, order.Name(b.Chain))
	}
	f := Finding{Severity: Info, Text: fmt.Sprintf("%s, priority %d: which of %s runs first depends on which was made last", h.Hook, run[0].Chain.Base.Priority, list(names))}
	if a, b := p.rivals(run); a != nil {
		f.Severity, f.Rules = Warning, []*rules.Rule{a, b}
		f.More = []string{fmt.Sprintf("%s and %s can want the same packet: the first of them takes it", full(a), full(b))}
		f.Do = "give one of the chains another priority"
	}
	p.report(f)
}

// maxPairs bounds how many pairs of rules are compared.
const maxPairs = 10000

// rivals finds two NAT rules of different tables that can want the same
// packet.
func (p *Pass) rivals(run []*order.Base) (*rules.Rule, *rules.Rule) {
	pairs := 0
	for i, a := range run {
		if a.Chain.Base.Type != rules.ChainNAT {
			continue
		}
		for _, b := range run[i+1:] {
			if a.Chain.Table == b.Chain.Table || b.Chain.Base.Type != rules.ChainNAT {
				continue
			}
			for _, r := range a.Rules {
				for _, q := range b.Rules {
					if pairs++; pairs > maxPairs {
						return nil, nil
					}
					if r.Role == order.RoleNAT && q.Role == order.RoleNAT && p.Reach.Overlap(r.Rule, a.Chain, q.Rule, b.Chain) {
						return r.Rule, q.Rule
					}
				}
			}
		}
	}
	return nil, nil
}
