package checks

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ntdiag/ntdiag/diagnose/order"
	"github.com/ntdiag/ntdiag/rules"
)

// samePriority tells of chains of several tables at one hook and priority: the
// one registered last runs first (nf_hook_entries_grow), and which that was is
// not recorded. It matters where the first takes a packet, or sets a mark, that
// the other is for. Programs that have such a chain have one at many hooks: they
// are one finding, with a line a hook.
func samePriority(p *Pass) {
	var contested, idle []tie
	for i := range p.Hooks {
		var told []*rules.Chain
		for _, b := range p.Hooks[i].Chains {
			if len(b.Tied) == 0 || slices.Contains(told, b.Chain) {
				continue
			}
			t := p.tie(&p.Hooks[i], b)
			told = append(told, t.chains...)
			if len(t.rivals) > 0 {
				contested = append(contested, t)
			} else {
				idle = append(idle, t)
			}
		}
	}
	p.ties(contested, Warning, "give one of the chains another priority")
	p.ties(idle, Info, "")
}

// tie is several chains of one hook and priority, and two of their NAT rules
// that can want the same packet, if there are any.
type tie struct {
	where, names string
	chains       []*rules.Chain
	rivals       []*rules.Rule
}

func (p *Pass) tie(h *order.Hook, b *order.Base) tie {
	run := p.tiedWith(h, b)
	t := tie{where: fmt.Sprintf("%s, priority %d", h.Hook, b.Chain.Base.Priority)}
	var names []string
	for _, c := range run {
		names = append(names, order.Name(c.Chain))
		t.chains = append(t.chains, c.Chain)
	}
	t.names = list(names)
	if a, b := p.rivals(run); a != nil {
		t.rivals = []*rules.Rule{a, b}
	}
	return t
}

// ties reports all of one severity.
func (p *Pass) ties(ts []tie, sev Severity, do string) {
	if len(ts) == 0 {
		return
	}
	f := Finding{Severity: sev, Do: do, Text: "chains at one hook and priority: which runs first depends on which was made last"}
	if len(ts) == 1 {
		f.Text = ts[0].where + ": which of " + ts[0].names + " runs first depends on which was made last"
	}
	for _, t := range ts {
		var parts []string
		if len(ts) > 1 {
			parts = append(parts, t.where+": "+t.names)
		}
		if len(t.rivals) > 0 {
			parts = append(parts, fmt.Sprintf("%s and %s can want the same packet: the first of them takes it", full(t.rivals[0]), full(t.rivals[1])))
			f.Rules = append(f.Rules, t.rivals...)
		}
		if len(parts) > 0 {
			f.More = append(f.More, strings.Join(parts, "; "))
		}
	}
	p.report(f)
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
