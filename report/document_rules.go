package report

import (
	"github.com/ntdiag/ntdiag/diagnose/checks"
	"github.com/ntdiag/ntdiag/diagnose/explain"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/order"
	"github.com/ntdiag/ntdiag/rules"
)

// Rules is the document of `rules`.
type Rules struct {
	Header
	Summary RulesSummary `json:"summary"`
	// Rules are those that make or decide about NAT, in the order in which
	// packets meet them; last those that no packet comes to, without a hook.
	Rules  []RuleRow `json:"rules"`
	Opaque int       `json:"opaque"`
	// Chains are the base chains in evaluation order, empty ones too: those of
	// type nat, and others whose rules are listed or, when asked for, all.
	Chains []ChainRow `json:"chains"`
	// Regular are the chains that rules lead to, when asked for.
	Regular []ChainRow `json:"regular_chains,omitempty"`
	// Findings are those about chains or the whole; those about a rule stand
	// with it.
	Findings []RulesFinding `json:"findings"`
	// Elsewhere are findings about rules that are not listed, when asked for.
	Elsewhere []RulesFinding `json:"findings_elsewhere,omitempty"`
	// Attributed is what live flows were counted; null where they were not.
	Attributed *Attributed `json:"attributed"`
}

// Attributed counts the flows with NAT, and their rewrites by grade.
type Attributed struct {
	Flows     int `json:"flows"`
	Exact     int `json:"exact"`
	Inferred  int `json:"inferred"`
	Ambiguous int `json:"ambiguous"`
	None      int `json:"none"`
}

// RulesSummary counts what was found, filters aside.
type RulesSummary struct {
	NATRules int                     `json:"nat_rules"`
	Deciding int                     `json:"deciding_rules"` // that decide about NAT and make none
	Rules    int                     `json:"rules"`          // of all tables
	Tables   int                     `json:"tables"`
	Backends []Count                 `json:"backends"` // NAT rules of each, the most first
	Owners   []Count                 `json:"owners"`   // NAT rules of each, the most first; "" for nobody known
	Findings map[checks.Severity]int `json:"findings"` // of the rows and of the whole
}

// Count is how many of a name.
type Count struct {
	Name string `json:"name"`
	N    int    `json:"n"`
}

// RuleRow is one rule of `rules`.
type RuleRow struct {
	Rule     Rule     `json:"rule"`
	Hook     string   `json:"hook"`
	Priority int32    `json:"priority"`
	Order    int      `json:"order"`
	NAT      *string  `json:"nat"`
	Flows    int      `json:"flows"`
	Packets  uint64   `json:"packets"`
	Bytes    uint64   `json:"bytes"`
	Counted  bool     `json:"counted"` // whether the rule has a counter
	Policy   string   `json:"policy"`  // of the base chain it is met from
	Findings []string `json:"findings"`
	// From names the base chain it is met from: family table chain.
	From string `json:"from"`
	// Role is what it has to do with NAT: order.Role.
	Role order.Role `json:"role"`
	// Via are the chains that lead to it, the base chain first.
	Via []string `json:"via,omitempty"`
	// Details are the findings with what to do, in the same order.
	Details []RulesFinding `json:"details,omitempty"`

	of    *rules.Rule
	in    *rules.Chain // the base chain
	first *host.Flow   // that it made, nil for none
}

// ruleKey is one rule, wherever it is met.
type ruleKey struct {
	of                   *rules.Rule
	backend              rules.Backend
	family, table, chain string
	position             int
}

func (r *RuleRow) key() ruleKey {
	if r.of != nil {
		return ruleKey{of: r.of}
	}
	return ruleKey{nil, r.Rule.Backend, r.Rule.Family, r.Rule.Table, r.Rule.Chain, r.Rule.Position}
}

// told has the rule's text, which a listing leaves out until a row is shown.
func (r *RuleRow) told() RuleRow {
	out := *r
	if out.of != nil && out.Rule.Text == "" {
		out.Rule.Text = textOf(out.of)
	}
	return out
}

// RulesFinding is one finding of package checks.
type RulesFinding struct {
	Check    string          `json:"check"`
	Severity checks.Severity `json:"severity"`
	Text     string          `json:"text"`
	More     []string        `json:"more,omitempty"` // further clauses
	Rule     *Rule           `json:"rule,omitempty"`
	With     []Rule          `json:"with,omitempty"` // the others that have part in it
	Do       string          `json:"do,omitempty"`
}

// ChainRow is a chain.
type ChainRow struct {
	Family   string `json:"family"`
	Table    string `json:"table"`
	Chain    string `json:"chain"`
	Hook     string `json:"hook"`
	Priority int32  `json:"priority"`
	Policy   string `json:"policy"`
	Rules    int    `json:"rules"`

	Backend rules.Backend `json:"backend"`
	Type    string        `json:"type"`
	// RunsAt is the priority at which the kernel runs it: nat chains run in one
	// dispatcher, whatever their own priority.
	RunsAt int32  `json:"runs_at"`
	Owner  string `json:"owner,omitempty"`
	// Tied are the chains of which it is not known whether they run before it.
	Tied []string `json:"tied,omitempty"`

	chain *rules.Chain
}

// RulesInput is what a listing is made of.
type RulesInput struct {
	Snapshot *host.Snapshot
	Hooks    []order.Hook
	Findings []checks.Finding
	// Made is what live flows each rule made; nil when not counted.
	Made      *explain.Made
	Missing   []host.Missing
	AllChains bool
	// Untold leaves out the texts of rules: Format.Rules has them of the rows
	// that it writes.
	Untold bool
	Filter RulesFilter
}
