package report

import (
	"cmp"
	"slices"

	"github.com/ntdiag/ntdiag/diagnose/checks"
	"github.com/ntdiag/ntdiag/diagnose/explain"
	"github.com/ntdiag/ntdiag/diagnose/order"
	"github.com/ntdiag/ntdiag/rules"
)

// NewRules makes the document.
func NewRules(in *RulesInput) *Rules {
	b := &rulesBuilder{in: in, about: map[*rules.Rule][]checks.Finding{}, done: map[*rules.Rule]bool{}, kinds: map[string]*string{}}
	n := 0
	if in.Filter.empty() {
		for i := range in.Hooks {
			for _, c := range in.Hooks[i].Chains {
				n += len(c.Rules)
			}
		}
	}
	b.doc = &Rules{
		Header: NewHeader("rules", in.Snapshot, in.Missing),
		Rules:  []RuleRow{}, Chains: []ChainRow{}, Findings: []RulesFinding{},
	}
	if in.Made != nil {
		b.made, b.doc.Attributed = *in.Made, newAttributed(in.Made)
	}
	for _, f := range in.Findings {
		if f.Rule != nil {
			b.about[f.Rule] = append(b.about[f.Rule], f)
		}
	}
	for i := range in.Hooks {
		for _, c := range in.Hooks[i].Chains {
			b.chain(c)
		}
	}
	b.unmet()
	b.whole()
	if in.AllChains {
		b.regular()
	}
	b.summary()
	return b.doc
}

func newAttributed(m *explain.Made) *Attributed {
	g := m.Graded
	return &Attributed{Flows: m.NAT, Exact: g[explain.GradeExact], Inferred: g[explain.GradeInferred], Ambiguous: g[explain.GradeAmbiguous], None: g[explain.GradeNone]}
}

type rulesBuilder struct {
	in    *RulesInput
	doc   *Rules
	made  explain.Made
	about map[*rules.Rule][]checks.Finding
	done  map[*rules.Rule]bool // listed, or would be without the filter
	// from, via and kinds are what many rows share.
	from  string
	via   []string
	vias  []*rules.Rule // that via is made of
	kinds map[string]*string
}

func newChainRow(c *rules.Chain) ChainRow {
	out := ChainRow{Family: c.Table.Family.String(), Table: c.Table.Name, Chain: c.Name, Rules: len(c.Rules), Backend: c.Table.Backend, Owner: c.MadeBy(), chain: c}
	if c.Base != nil {
		out.Hook, out.Priority, out.Policy = c.Base.Hook.String(), c.Base.Priority, c.Base.Policy.String()
		out.Type, out.RunsAt = string(c.Base.Type), c.EffectivePriority()
	}
	return out
}

func (b *rulesBuilder) chain(c *order.Base) {
	shown := 0
	b.from = chainFrom(c.Chain)
	for _, r := range c.Rules {
		b.done[r.Rule] = true
		row := b.row(r)
		if b.in.Filter.keeps(&row) {
			b.doc.Rules = append(b.doc.Rules, row)
			shown++
		}
	}
	nat := c.Chain.Base.Type == rules.ChainNAT
	if shown > 0 || b.in.Filter.keepsChain(c.Chain) && (nat || b.in.AllChains) {
		row := newChainRow(c.Chain)
		for _, t := range c.Tied {
			row.Tied = append(row.Tied, order.Name(t))
		}
		b.doc.Chains = append(b.doc.Chains, row)
	}
}

func chainFrom(c *rules.Chain) string {
	return c.Table.Family.String() + " " + c.Table.Name + " " + c.Name
}

func (b *rulesBuilder) row(r *order.Rule) RuleRow {
	row := RuleRow{Rule: textless(r.Rule), of: r.Rule, Role: r.Role, Order: r.Order, Flows: b.made.Flows[r.Rule], first: b.made.First[r.Rule], Findings: []string{}}
	if r.Base != nil {
		c := r.Base.Chain
		row.in, row.From = c, b.from
		row.Hook, row.Priority, row.Policy = c.Base.Hook.String(), c.Base.Priority, c.Base.Policy.String()
	}
	row.Via = b.names(r.Via)
	if n := r.NAT(); n != nil {
		kind := natKind(n)
		if b.kinds[kind] == nil {
			b.kinds[kind] = &kind
		}
		row.NAT = b.kinds[kind]
	}
	for _, s := range r.Statements {
		if c, ok := s.(*rules.Counter); ok && c.Name == "" {
			row.Counted, row.Packets, row.Bytes = true, row.Packets+c.Packets, row.Bytes+c.Bytes
		}
	}
	for _, f := range b.about[r.Rule] {
		row.Findings = append(row.Findings, f.Text)
		row.Details = append(row.Details, newFinding(&f))
	}
	if !b.in.Untold || b.in.Filter.Text != "" || len(row.Details) > 0 {
		return row.told()
	}
	return row
}

// names are the chains of the jumps; rules in one chain share them.
func (b *rulesBuilder) names(via []*rules.Rule) []string {
	if !slices.Equal(via, b.vias) {
		b.vias, b.via = via, nil
		for _, v := range via {
			b.via = append(b.via, v.Chain.Name)
		}
	}
	return b.via
}

func natKind(n *rules.NAT) string {
	if n.Flags&rules.NATNetmap != 0 {
		return "netmap"
	}
	return n.Kind.String()
}

func newFinding(f *checks.Finding) RulesFinding {
	out := RulesFinding{Check: f.Check, Severity: f.Severity, Text: f.Text, More: f.More, Do: f.Do}
	for _, r := range f.Rules {
		out.With = append(out.With, NewRule(r))
	}
	return out
}

// unmet are the NAT rules that no base chain leads to.
func (b *rulesBuilder) unmet() {
	for _, t := range b.in.Snapshot.Rules.Tables {
		for _, c := range t.Chains {
			for _, r := range c.Rules {
				if r.NAT() == nil || b.done[r] {
					continue
				}
				b.done[r] = true
				row := b.row(&order.Rule{Rule: r, Role: order.RoleNAT})
				if b.in.Filter.keeps(&row) {
					b.doc.Rules = append(b.doc.Rules, row)
				}
			}
		}
	}
}

// whole adds the findings that are not about a listed rule. A filter asks for
// rules: what is about the whole is then left out.
func (b *rulesBuilder) whole() {
	for i := range b.in.Findings {
		f := &b.in.Findings[i]
		out := newFinding(f)
		switch {
		case f.Rule == nil && b.in.Filter.keepsWhole(&out):
			b.doc.Findings = append(b.doc.Findings, out)
		case f.Rule != nil && !b.done[f.Rule] && b.in.AllChains:
			row := RuleRow{Rule: NewRule(f.Rule), Details: []RulesFinding{out}}
			if b.in.Filter.keeps(&row) {
				out.Rule = &row.Rule
				b.doc.Elsewhere = append(b.doc.Elsewhere, out)
			}
		}
	}
}

// regular adds every chain that is no base chain at an IP hook.
func (b *rulesBuilder) regular() {
	at := map[*rules.Chain]bool{}
	for i := range b.in.Hooks {
		for _, c := range b.in.Hooks[i].Chains {
			at[c.Chain] = true
		}
	}
	for _, t := range b.in.Snapshot.Rules.Tables {
		for _, c := range t.Chains {
			if !at[c] && b.in.Filter.keepsChain(c) {
				b.doc.Regular = append(b.doc.Regular, newChainRow(c))
			}
		}
	}
}

func (b *rulesBuilder) summary() {
	s := &b.doc.Summary
	s.Findings = map[checks.Severity]int{}
	backends, owners := map[string]int{}, map[string]int{}
	for _, t := range b.in.Snapshot.Rules.Tables {
		s.Tables++
		for _, c := range t.Chains {
			s.Rules += len(c.Rules)
			for _, r := range c.Rules {
				if r.NAT() != nil {
					s.NATRules++
					backends[string(t.Backend)]++
					owners[r.MadeBy()]++
				}
			}
		}
	}
	deciding := map[*rules.Rule]bool{} // a rule can be met at several hooks
	for i := range b.in.Hooks {
		for _, c := range b.in.Hooks[i].Chains {
			for _, r := range c.Rules {
				if r.Role != order.RoleNAT {
					deciding[r.Rule] = true
				}
			}
		}
	}
	s.Deciding = len(deciding)
	s.Backends, s.Owners = counts(backends), counts(owners)
	seen := make(map[ruleKey]bool, len(b.doc.Rules))
	for i := range b.doc.Rules {
		r := &b.doc.Rules[i]
		if seen[r.key()] {
			continue
		}
		seen[r.key()] = true
		if !r.Rule.Decoded {
			b.doc.Opaque++
		}
		for _, f := range r.Details {
			s.Findings[f.Severity]++
		}
	}
	for _, f := range append(slices.Clone(b.doc.Findings), b.doc.Elsewhere...) {
		s.Findings[f.Severity]++
	}
}

// counts are sorted: the most first.
func counts(m map[string]int) []Count {
	out := []Count{}
	for name, n := range m {
		out = append(out, Count{name, n})
	}
	slices.SortFunc(out, func(a, b Count) int { return cmp.Or(b.N-a.N, cmp.Compare(a.Name, b.Name)) })
	return out
}

// Found tells whether anything of the document is a warning or worse.
func (d *Rules) Found() bool {
	for s, n := range d.Summary.Findings {
		if n > 0 && s.AtLeast(checks.Warning) {
			return true
		}
	}
	return false
}
