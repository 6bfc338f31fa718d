package checks

import (
	"slices"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/order"
	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/reach"
)

// Severity is how much a finding matters.
type Severity string

const (
	// Info is worth knowing and breaks nothing.
	Info Severity = "info"
	// Warning is a rule that does not do what it says, or may not.
	Warning Severity = "warning"
	// Critical is NAT that is surely not done.
	Critical Severity = "critical"
)

var severities = []Severity{Info, Warning, Critical}

// Valid tells whether s is one of them.
func (s Severity) Valid() bool { return slices.Contains(severities, s) }

// AtLeast compares severities.
func (s Severity) AtLeast(t Severity) bool {
	return slices.Index(severities, s) >= slices.Index(severities, t)
}

// Check is one thing to look for.
type Check struct {
	Name string
	// Doc is one sentence: what it finds.
	Doc string
	Run func(*Pass)
}

// Finding is what a check found.
type Finding struct {
	Check    string
	Severity Severity
	// Rule is what it is about, nil when it is about chains or the whole.
	Rule *rules.Rule
	// Text is the finding itself, one clause without a full stop.
	Text string
	// More are further clauses, each a line of its own.
	More []string
	// Rules are the others that have part in it.
	Rules []*rules.Rule
	// Do is what to do about it, one sentence; empty when nothing need be done.
	Do string
}

// Pass is what a check looks at.
type Pass struct {
	Host  *host.Snapshot
	Rules *rules.Ruleset
	Hooks []order.Hook
	Reach *reach.Result

	check    *Check
	findings []Finding
}

// report adds a finding of the check that runs.
func (p *Pass) report(f Finding) {
	f.Check = p.check.Name
	p.findings = append(p.findings, f)
}

// Run runs every check over the rules of s.
func Run(s *host.Snapshot, hooks []order.Hook) []Finding {
	p := &Pass{Host: s, Rules: s.Rules, Hooks: hooks, Reach: reach.Analyse(s.Rules)}
	for i := range All {
		p.check = &All[i]
		p.check.Run(p)
	}
	return p.findings
}

// each goes through the rules of every table that packets of the IP families
// can meet.
func (p *Pass) each(f func(*rules.Rule)) {
	for _, t := range p.Rules.Tables {
		if !ipTable(t) {
			continue
		}
		for _, c := range t.Chains {
			for _, r := range c.Rules {
				f(r)
			}
		}
	}
}

func ipTable(t *rules.Table) bool {
	return t.Family.Sees(rules.FamilyIPv4) || t.Family.Sees(rules.FamilyIPv6)
}

// natBases are the nat chains that packets meet at a hook, in order.
func natBases(h *order.Hook) []*order.Base {
	var out []*order.Base
	for _, b := range h.Chains {
		if b.Chain.Base.Type == rules.ChainNAT {
			out = append(out, b)
		}
	}
	return out
}
