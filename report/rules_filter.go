package report

import (
	"strings"

	"github.com/ntdiag/ntdiag/diagnose/checks"
	"github.com/ntdiag/ntdiag/rules"
)

// RulesFilter keeps rows that fit everything that is given.
type RulesFilter struct {
	Hook, Table, Chain, Family string
	// Owner "none" keeps what is not recognised.
	Owner string
	// Finding keeps rules with a finding of this check, with one of this
	// severity or worse, or with any.
	Finding string
	// Text is a part of the rule's text or comment, in any case.
	Text string
}

// OwnerNone and FindingAny are the values that name no owner and no check.
const (
	OwnerNone  = "none"
	FindingAny = "any"
)

func (f *RulesFilter) empty() bool { return *f == RulesFilter{} }

func (f *RulesFilter) keeps(r *RuleRow) bool {
	return f.place(r.Hook, r.Rule.Family, r.Rule.Table, r.Rule.Owner) &&
		(f.Chain == "" || f.Chain == r.Rule.Chain || r.in != nil && f.Chain == r.in.Name) &&
		(f.Text == "" || holds(r.Rule.Text, f.Text) || holds(r.Rule.Comment, f.Text)) &&
		f.finds(r.Details)
}

func (f *RulesFilter) place(hook, family, table, owner string) bool {
	if f.Owner == OwnerNone && owner != "" || f.Owner != "" && f.Owner != OwnerNone && f.Owner != owner {
		return false
	}
	return (f.Hook == "" || f.Hook == hook) && (f.Table == "" || f.Table == table) &&
		(f.Family == "" || f.Family == family || family == rules.FamilyInet.String() && (f.Family == "ip" || f.Family == "ip6"))
}

func (f *RulesFilter) finds(details []RulesFinding) bool {
	if f.Finding == "" {
		return true
	}
	for _, d := range details {
		sev := checks.Severity(f.Finding)
		if f.Finding == FindingAny || f.Finding == d.Check || sev.Valid() && d.Severity.AtLeast(sev) {
			return true
		}
	}
	return false
}

func holds(text, part string) bool {
	return strings.Contains(strings.ToLower(text), strings.ToLower(part))
}

// keepsChain tells whether a chain without rows is still listed.
func (f *RulesFilter) keepsChain(c *rules.Chain) bool {
	if f.Text != "" || f.Finding != "" {
		return false
	}
	hook := ""
	if c.Base != nil {
		hook = c.Base.Hook.String()
	}
	return f.place(hook, c.Table.Family.String(), c.Table.Name, c.MadeBy()) && (f.Chain == "" || f.Chain == c.Name)
}

// keepsWhole: a filter other than by finding asks for rules.
func (f *RulesFilter) keepsWhole(d *RulesFinding) bool {
	g := *f
	g.Finding = ""
	return g.empty() && f.finds([]RulesFinding{*d})
}
