package report

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/ntdiag/ntdiag/diagnose/checks"
	"github.com/ntdiag/ntdiag/diagnose/order"
	"github.com/ntdiag/ntdiag/rules"
)

// rulesText lists the rules chain by chain, in the order in which a packet
// meets them; before them what there is, after them what is wrong.
func rulesText(w io.Writer, d *Rules, s Style) error {
	t := &rulesWriter{doc: d, s: s, shown: map[ruleKey]string{}}
	t.head()
	t.chains()
	t.unmet()
	t.elsewhere()
	t.regular()
	t.whole()
	if d.Opaque > 0 {
		wrap(&t.b, s.width(), "\n", "  ", counted(d.Opaque, "rule has a part", "rules have a part")+" that is not understood (marked !): answers that pass through say so")
	}
	missingText(&t.b, d.Header, s)
	_, err := io.WriteString(w, t.b.String())
	return err
}

type rulesWriter struct {
	b            strings.Builder
	doc          *Rules
	s            Style
	listed       int
	hidden       int
	hiddenWarned int
	quota        int                // what listed may come to in the chain
	cut          bool               // the last group was left out
	shown        map[ruleKey]string // the hook where a rule was listed
}

// chains lists the base chains with their rules.
func (t *rulesWriter) chains() {
	var idle []string
	for i := range t.doc.Chains {
		c := &t.doc.Chains[i]
		if c.idle() {
			idle = append(idle, c.Hook+" "+safe(c.name()))
			continue
		}
		t.cut = false
		t.chainHead(c)
		var rows []*RuleRow
		for j := range t.doc.Rules {
			if r := &t.doc.Rules[j]; r.metFrom(c) {
				rows = append(rows, r)
			}
		}
		if len(rows) == 0 {
			t.b.WriteString(t.emptyChain(c))
			continue
		}
		t.rows(rows)
	}
	if len(idle) > 0 {
		wrap(&t.b, t.s.width(), "", "  ", t.s.paintWords(dim, "without a rule: "+strings.Join(idle, ", ")))
	}
	if t.hidden > 0 {
		what := ofWarned(t.hiddenWarned)
		if what != "" {
			what += ","
		}
		wrap(&t.b, t.s.width(), "\n", "  ", counted(t.hidden, "more rule", "more rules")+what+" not shown: --all shows them, --owner, --chain and others choose")
	}
}

// idle tells whether the chain is a nat chain that lets all pass: iptables
// leaves one at every hook.
func (c *ChainRow) idle() bool {
	return c.Type == string(rules.ChainNAT) && c.Rules == 0 && c.Policy == rules.VerdictAccept.String()
}

// name is what order.Name makes of the chain.
func (c *ChainRow) name() string {
	name := c.Family + " " + c.Table + " " + c.Chain
	if c.Backend == rules.BackendIptablesLegacy {
		name += " (legacy)"
	}
	return name
}

func (t *rulesWriter) emptyChain(c *ChainRow) string {
	switch {
	case c.Type != string(rules.ChainNAT):
		return "    " + counted(c.Rules, "rule", "rules") + ", none about NAT\n"
	case c.Rules > 0:
		return "    no NAT rule\n"
	}
	return "    no rule\n"
}

func (r *RuleRow) metFrom(c *ChainRow) bool {
	if r.in != nil || c.chain != nil {
		return r.in == c.chain
	}
	return r.Hook == c.Hook && r.From == c.Family+" "+c.Table+" "+c.Chain
}

// chainHead is `prerouting: ip nat PREROUTING, priority -100, policy accept`.
func (t *rulesWriter) chainHead(c *ChainRow) {
	line := fmt.Sprintf("%s: %s %s %s, priority %d", c.Hook, c.Family, safe(c.Table), safe(c.Chain), c.Priority)
	if c.Type == string(rules.ChainNAT) && c.RunsAt != c.Priority {
		line += fmt.Sprintf(" among nat chains, which run at %d", c.RunsAt)
	}
	line += ", policy " + c.Policy
	if c.Backend != rules.BackendNft && c.Backend != "" {
		line += ", " + string(c.Backend)
	}
	if c.Owner != "" {
		line += ", by " + c.Owner
	}
	wrap(&t.b, t.s.width(), "", "  ", t.s.paintWords(bold, line))
	if len(c.Tied) > 0 {
		what := safe(c.Tied[0])
		if len(c.Tied) > 1 {
			what = "others"
		}
		wrap(&t.b, t.s.width(), "    ", "    ", t.s.paintWords(dim, "before or after "+what+": same priority, order not known"))
	}
}

// On a page a group shows this many rules that make NAT, and this many others.
const (
	groupRows   = 4
	groupOthers = 1
)

// rows lists the rules of one base chain, group by group: the endpoints of one
// service, the rules of one chain. On a page that cannot hold them all, a group
// shows its first ones and those with a warning, and a chain that another hook
// led to before is not listed again.
func (t *rulesWriter) rows(rows []*RuleRow) {
	t.quota = t.listed + max(leastRows, t.s.Rows/max(len(t.doc.Chains), 1))
	for len(rows) > 0 {
		if n := t.again(rows); n > 0 {
			rows = rows[n:]
			continue
		}
		n := 1
		for n < len(rows) && rows[n].group() == rows[0].group() {
			n++
		}
		t.group(rows[:n])
		rows = rows[n:]
	}
}

// fullPages is how many pages rules with a warning may fill.
const fullPages = 3

// leastRows is how much of a page each chain has at least.
const leastRows = 6

// group is the chain that chooses among the rules: the one before their own,
// where that is led to by a third.
func (r *RuleRow) group() string {
	if len(r.Via) > 2 {
		return r.Via[len(r.Via)-1]
	}
	return r.Rule.Chain
}

// folds tells whether the page cannot hold all.
func (t *rulesWriter) folds() bool { return t.s.Rows > 0 && len(t.doc.Rules) > t.s.Rows }

// again says of rules that were listed for an earlier hook where that was, and
// returns how many they are.
func (t *rulesWriter) again(rows []*RuleRow) int {
	if !t.folds() {
		return 0
	}
	place := t.shown[rows[0].key()]
	n := 0
	for n < len(rows) && len(rows[n].Via) > 0 && place != "" && t.shown[rows[n].key()] == place {
		n++
	}
	if n < 3 {
		return 0
	}
	line := fmt.Sprintf("to %d: %s and what it leads to, as at %s", rows[n-1].Order, safe(rows[0].top()), place)
	wrap(&t.b, t.s.width(), fmt.Sprintf("    %3d  ", rows[0].Order), "         ", t.s.paintWords(dim, line))
	return n
}

// top is the first chain that the base chain leads to on the way to the rule.
func (r *RuleRow) top() string {
	if len(r.Via) > 1 {
		return r.Via[1]
	}
	return r.Rule.Chain
}

func (t *rulesWriter) group(rows []*RuleRow) {
	nat, others, held, begun := 0, 0, 0, false
	warnings := 0 // of those held back
	for _, r := range rows {
		t.shown[r.key()] = r.Hook
		n, most := &nat, groupRows
		if r.NAT == nil {
			n, most = &others, groupOthers
		}
		warned := slices.ContainsFunc(r.Details, func(f RulesFinding) bool { return f.Severity.AtLeast(checks.Warning) })
		if warned {
			most += groupRows
		}
		if t.folds() && (t.listed >= t.quota && !warned || *n >= most || t.listed >= fullPages*t.s.Rows) {
			held++
			if warned {
				warnings++
			}
			continue
		}
		if !begun && len(r.Via) > 2 {
			wrap(&t.b, t.s.width(), "         ", "         ", t.s.paintWords(dim, "in "+safe(strings.Join(r.Via[1:], " → "))))
		}
		begun = true
		*n++
		t.listed++
		t.row(r)
	}
	if held > 0 && begun {
		t.b.WriteString("         " + t.s.paint(dim, thousands(held)+" more in "+safe(rows[0].group())+ofWarned(warnings)) + "\n")
	}
	if !begun && t.b.Len() > 0 && !t.cut {
		t.b.WriteString("         " + t.s.paint(dim, "…") + "\n")
	}
	t.cut = !begun
	t.hidden += held
	t.hiddenWarned += warnings
}

func ofWarned(n int) string {
	if n == 0 {
		return ""
	}
	return ", " + thousands(n) + " with a warning"
}

// roles is what is said of a rule that makes no NAT itself.
var roles = map[order.Role]string{
	order.RoleExempt: "no NAT", order.RoleMark: "sets a mark", order.RoleNotrack: "no conntrack, so no NAT", order.RoleUnknown: "not understood",
}

func (t *rulesWriter) row(r *RuleRow) {
	mark := " "
	if !r.Rule.Decoded {
		mark = t.s.paint(yellow, "!")
	}
	where := ""
	if r.From != r.Rule.Family+" "+r.Rule.Table+" "+r.Rule.Chain {
		where = safe(r.Rule.Chain) + " "
	}
	name := ruleName(&r.Rule)
	if r.Rule.Backend.Iptables() {
		// its text holds its comment
		name = rules.RuleRef(r.Rule.Backend, r.Rule.Handle, r.Rule.Position)
	}
	if what := roles[r.Role]; what != "" {
		name += " (" + what + ")"
	}
	var facts []string
	if t.doc.Attributed != nil && r.NAT != nil {
		facts = append(facts, counted(r.Flows, "flow", "flows"))
	}
	if r.Counted {
		facts = append(facts, counted(int(r.Packets), "packet", "packets"))
	}
	for _, f := range r.Details {
		if f.Check == neverHit {
			facts = append(facts, f.Text)
		}
	}
	number := "   "
	if r.Order > 0 {
		number = fmt.Sprintf("%3d", r.Order)
	}
	right(&t.b, t.s.width(), fmt.Sprintf("  %s %s  %s%s", mark, number, where, name), t.s.paint(dim, strings.Join(facts, ", ")))
	wrap(&t.b, t.s.width(), "         ", "           ", safe(r.told().Rule.Text))
	for i := range r.Details {
		if r.Details[i].Check != neverHit {
			t.finding("         ", &r.Details[i])
		}
	}
}

// neverHit is the check that the counters' line says.
const neverHit = "never-hit"

func (t *rulesWriter) finding(indent string, f *RulesFinding) {
	label := string(f.Severity) + ": "
	if f.Severity == checks.Info {
		label = "note: "
	}
	wrap(&t.b, t.s.width(), indent, indent+"  ", t.s.paintWords(severityColor(f.Severity), label+safe(f.Text)))
	for _, m := range f.More {
		wrap(&t.b, t.s.width(), indent+"  ", indent+"    ", safe(m))
	}
	if f.Do != "" {
		wrap(&t.b, t.s.width(), indent, indent+"    ", "do: "+safe(f.Do))
	}
}

// unmet are NAT rules that no base chain leads to.
func (t *rulesWriter) unmet() {
	first := true
	more := 0
	for i := range t.doc.Rules {
		r := &t.doc.Rules[i]
		if r.Hook != "" {
			continue
		}
		if t.s.Rows > 0 && t.listed >= t.s.Rows {
			more++
			continue
		}
		if first {
			t.b.WriteString(t.s.paint(bold, "met by no packet:") + "\n")
			first = false
		}
		t.listed++
		where := r.Rule
		where.Chain = r.Rule.Family + " " + r.Rule.Table + " " + r.Rule.Chain
		row := *r
		row.Rule.Chain = where.Chain
		t.row(&row)
	}
	if more > 0 {
		t.b.WriteString(counted(more, "more rule", "more rules") + " met by no packet: --all shows them\n")
	}
}

// elsewhere are findings about rules that have nothing to do with NAT.
func (t *rulesWriter) elsewhere() {
	if len(t.doc.Elsewhere) == 0 {
		return
	}
	t.b.WriteString("\n" + t.s.paint(bold, "rules not about NAT:") + "\n")
	for i := range t.doc.Elsewhere {
		f := &t.doc.Elsewhere[i]
		if t.s.Rows > 0 && i == t.s.Rows {
			fmt.Fprintf(&t.b, "  %s more: --all shows them\n", thousands(len(t.doc.Elsewhere)-i))
			return
		}
		wrap(&t.b, t.s.width(), "  ", "    ", longName(f.Rule)+": "+safe(f.Text))
	}
}

// regular lists the other chains, with how many rules each has.
func (t *rulesWriter) regular() {
	if len(t.doc.Regular) == 0 {
		return
	}
	t.b.WriteString("\n" + t.s.paint(bold, "other chains:") + "\n")
	for i := range t.doc.Regular {
		c := &t.doc.Regular[i]
		if t.s.Rows > 0 && i == t.s.Rows {
			fmt.Fprintf(&t.b, "  %s more: --all shows them\n", thousands(len(t.doc.Regular)-i))
			return
		}
		what := counted(c.Rules, "rule", "rules")
		if c.Hook != "" {
			what = c.Hook + ", " + what
		}
		if c.Owner != "" {
			what += ", " + c.Owner
		}
		right(&t.b, t.s.width(), "  "+safe(c.Family+" "+c.Table+" "+c.Chain), t.s.paint(dim, what))
	}
}

// whole lists the findings about chains or everything, the gravest first.
func (t *rulesWriter) whole() {
	if len(t.doc.Findings) == 0 {
		return
	}
	t.b.WriteByte('\n')
	fs := slices.Clone(t.doc.Findings)
	slices.SortStableFunc(fs, func(a, b RulesFinding) int {
		switch {
		case a.Severity == b.Severity:
			return 0
		case a.Severity.AtLeast(b.Severity):
			return -1
		}
		return 1
	})
	for i := range fs {
		if note := fs[i].Severity == checks.Info; t.s.Rows > 0 && (i >= t.s.Rows || note && i >= max(t.s.Rows/4, 2)) {
			what := "more finding"
			if note {
				what = "more note"
			}
			t.b.WriteString(counted(len(fs)-i, what, what+"s") + ": --all shows them\n")
			return
		}
		t.finding("", &fs[i])
	}
}
