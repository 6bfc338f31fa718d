package counters

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/ntdiag/ntdiag/diagnose/explain"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/query"
	"github.com/ntdiag/ntdiag/diagnose/survey"
	"github.com/ntdiag/ntdiag/rules"
)

// Parts of a range of ports in use. The kernel tries at most some 240 ports
// (nf_nat_l4proto_unique_tuple), and so fails at times when nearly all are
// taken.
const (
	portsGone   = 0.95
	portsScarce = 0.8
	portsAmple  = 0.5
)

// topPorts is how many users of ports are looked at, of each sort.
const topPorts = 8

// portsExhausted: every port of the range is in use toward one destination, and
// NAT gives a duplicate, which is refused.
var portsExhausted = cause{
	name: "ports-exhausted",
	text: "no source port is free for SNAT toward one destination",
	ask:  "ntdiag flows --snat -o wide",
	look: func(c *Case, f *Finding, x *Cause) string {
		use := c.portUse()
		if len(use) == 0 {
			if c.flows() == nil {
				return ""
			}
			return "no flow with ports is behind SNAT"
		}
		full := 0
		for _, u := range use {
			if u.part() < portsGone {
				continue
			}
			if full++; full <= 3 {
				x.Evidence = append(x.Evidence, u.text())
			}
			if full == 1 {
				x.Fix, x.Cost = u.fix()
			}
		}
		top := use[0]
		switch {
		case full > 3:
			x.Evidence = append(x.Evidence, fmt.Sprintf("and %d more so", full-3))
			fallthrough
		case full > 0:
			x.Grade, f.Severity = Shown, Critical
			c.portsGone = true
			f.Summary = c.lost(f.Lost) + ": no free source port for SNAT toward " + end(top.Dst, top.Port)
			return ""
		case c.within() && top.part() < portsAmple:
			return "there are enough: most used, " + top.text()
		case top.part() < portsAmple:
			x.Evidence = append(x.Evidence, "not now: most used, "+top.text())
			return ""
		}
		x.Grade = Indicated
		x.Evidence = append(x.Evidence, top.text())
		x.Fix, x.Cost = top.fix()
		return ""
	},
}

// portUse is a user of ports, with the rule behind it.
type portUse struct {
	survey.PortUse
	rule *rules.Rule // nil where it is not one, or not known
	size uint64
	rng  survey.PortRange
}

func (u *portUse) part() float64 { return float64(u.Used+u.Error) / float64(u.size) }

func (u *portUse) text() string {
	by := "by no rule that is known"
	if u.rule != nil {
		by = "by " + named(u.rule)
	}
	used := fmt.Sprint(u.Used)
	if u.Error > 0 {
		used = fmt.Sprintf("%d to %d", u.Used, u.Used+u.Error)
	}
	ports := fmt.Sprintf("%d ports (%d-%d)", u.size, u.rng.Lo, u.rng.Hi)
	if u.size == 1 {
		ports = fmt.Sprintf("1 port (%d)", u.rng.Lo)
	}
	zone := ""
	if u.Zone != 0 {
		zone = fmt.Sprintf(" in zone %d", u.Zone)
	}
	return fmt.Sprintf("%s as %s to %s%s: %s of %s in use, %s", query.ProtoName(u.Proto), u.Addr, end(u.Dst, u.Port), zone, used, ports, by)
}

// fix is the command that gives more ports.
func (u *portUse) fix() (fix, cost string) {
	if u.rule == nil {
		return "", ""
	}
	if n := u.rule.NAT(); n != nil && n.PortMin != nil {
		return allPorts(u.rule), "all ports from 1024 on may be used then; new flows only"
	}
	return "", ""
}

// portUse lists who uses most of their range.
func (c *Case) portUse() []portUse {
	s := c.flows()
	if s == nil || c.host() == nil {
		return nil
	}
	var out []portUse
	for _, ranged := range []bool{true, false} {
		for _, u := range s.PortsInUse(topPorts, ranged) {
			p := portUse{PortUse: u, rng: u.Free}
			p.rule = c.ruleOf(&u.Flow)
			if p.rule != nil {
				if r, ok := portRange(p.rule.NAT()); ok {
					p.rng = r
				}
			}
			if p.rng == (survey.PortRange{}) {
				p.rng = survey.FreeRange(u.Proto, u.Flow.Reply.DstPort)
			}
			p.size = p.rng.Size()
			out = append(out, p)
		}
	}
	slices.SortStableFunc(out, func(a, b portUse) int {
		switch {
		case a.part() > b.part():
			return -1
		case a.part() < b.part():
			return 1
		}
		return 0
	})
	return out
}

// ruleOf is the one rule that rewrote the source of f, nil where it is not
// known which.
func (c *Case) ruleOf(f *host.Flow) *rules.Rule {
	for _, rw := range c.explainer.Explain(f, explain.Options{}).Rewrites {
		if rw.Manip == rules.ManipSrc && len(rw.Rules) == 1 {
			return rw.Rules[0]
		}
	}
	return nil
}

// portRange is the range of ports that a statement gives, false for none or one
// that is not constant.
func portRange(n *rules.NAT) (survey.PortRange, bool) {
	if n == nil || n.PortMin == nil || n.Flags&rules.NATProtoOffset != 0 {
		return survey.PortRange{}, false
	}
	lo, ok := n.PortMin.(*rules.Const)
	hi := lo
	if n.PortMax != nil && ok {
		hi, ok = n.PortMax.(*rules.Const)
	}
	if !ok || len(lo.Data) < 2 || len(hi.Data) < 2 {
		return survey.PortRange{}, false
	}
	r := survey.PortRange{Lo: binary.BigEndian.Uint16(lo.Data), Hi: binary.BigEndian.Uint16(hi.Data)}
	return r, r.Lo <= r.Hi
}

// natRanges are the port ranges that rules give to source NAT.
func natRanges(s *host.Snapshot) []survey.PortRange {
	var out []survey.PortRange
	if s == nil {
		return nil
	}
	for _, n := range sourceNAT(s.Rules) {
		if p, ok := portRange(n); ok {
			out = append(out, p)
		}
	}
	return out
}

// sourceNAT are the rules that rewrite sources.
func sourceNAT(rs *rules.Ruleset) func(func(*rules.Rule, *rules.NAT) bool) {
	return func(yield func(*rules.Rule, *rules.NAT) bool) {
		for _, t := range rs.Tables {
			for _, c := range t.Chains {
				for _, r := range c.Rules {
					if n := r.NAT(); n != nil && (n.Kind == rules.SNAT || n.Kind == rules.Masquerade || n.Kind == rules.Netmap) && !yield(r, n) {
						return
					}
				}
			}
		}
	}
}

// portsBusy: how much choice NAT has.
var portsBusy = cause{
	name: "ports-busy", told: true, text: "clients behind one address use the same ports toward one destination: no error, as long as others are free",
	ask: "ntdiag flows --snat -o wide",
	look: func(c *Case, f *Finding, x *Cause) string {
		s := c.flows()
		switch {
		case c.portsGone:
			return none // a finding of its own says more
		case s == nil:
			return ""
		}
		if s.SNAT > 0 {
			x.Evidence = append(x.Evidence, fmt.Sprintf("%d of %d flows behind SNAT kept their source port", s.Kept, s.SNAT))
		}
		use := c.portUse()
		if len(use) == 0 {
			return ""
		}
		x.Grade = Indicated
		x.Evidence = append(x.Evidence, "most used: "+use[0].text())
		if u := use[0]; u.size > 1 && u.part() >= portsScarce {
			f.Severity = Warning
			x.Text = "few source ports are left toward one destination"
			x.Fix, x.Cost = use[0].fix()
		}
		return ""
	},
}
