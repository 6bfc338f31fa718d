package checks

import (
	"bytes"
	"fmt"

	"github.com/ntdiag/ntdiag/diagnose/order"
	"github.com/ntdiag/ntdiag/rules"
)

// noDevice tells of NAT rules that ask for a device that is not there, and of
// chains bound to one. A device can come later: rules often are there first.
func noDevice(p *Pass) {
	if len(p.Host.Links) == 0 {
		return // not read
	}
	for i := range p.Hooks {
		for _, b := range p.Hooks[i].Chains {
			for _, r := range b.Rules {
				if name, ok := p.missingDevice(r); ok {
					p.report(Finding{Severity: Info, Rule: r.Rule, Text: "no device " + name})
				}
			}
		}
	}
	for _, t := range p.Rules.Tables {
		for _, c := range t.Chains {
			if c.Base == nil {
				continue
			}
			for _, dev := range c.Base.Devices {
				if _, ok := p.Host.LinkByName(dev.Name); !ok && !dev.Prefix {
					p.report(Finding{Severity: Info, Text: fmt.Sprintf("%s is bound to device %s, which does not exist", order.Name(c), dev)})
				}
			}
		}
	}
}

// missingDevice is a device that the rule, or a jump to it, has to have and
// that does not exist.
func (p *Pass) missingDevice(r *order.Rule) (string, bool) {
	if r.Role != order.RoleNAT {
		return "", false
	}
	for _, u := range append(r.Via[:len(r.Via):len(r.Via)], r.Rule) {
		for _, s := range u.Statements {
			if name, ok := p.wantsDevice(s); ok {
				return name, true
			}
		}
	}
	return "", false
}

func (p *Pass) wantsDevice(s rules.Statement) (string, bool) {
	m, ok := s.(*rules.Match)
	if !ok || m.Op != rules.CmpEq {
		return "", false
	}
	x, ok := m.Left.(*rules.Meta)
	if !ok {
		return "", false
	}
	switch x.Key {
	case rules.MetaIifname, rules.MetaOifname:
		if len(m.Right) < 16 {
			return "", false // a wildcard
		}
		name := string(bytes.TrimRight(m.Right, "\x00"))
		_, there := p.Host.LinkByName(name)
		return name, name != "" && !there
	case rules.MetaIif, rules.MetaOif:
		if len(m.Right) != 4 || p.Rules.Order == nil {
			return "", false
		}
		n := p.Rules.Order.Uint32(m.Right)
		_, there := p.Host.LinkByIndex(n)
		return fmt.Sprintf("with index %d", n), n != 0 && !there
	}
	return "", false
}
