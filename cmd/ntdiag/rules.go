package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/explain"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/query"
	"github.com/ntdiag/ntdiag/report"
	"github.com/ntdiag/ntdiag/rules"
)

// maxAttributed bounds how many flows are attributed for a listing.
const maxAttributed = 20000

func newRulesCmd(a *app) *cobra.Command {
	var output string
	var noFlows, all bool
	cmd := &cobra.Command{
		Use:   "rules",
		Short: "list the NAT rules in the order in which packets meet them",
		Long: `rules lists the NAT rules hook by hook, in the order in which the kernel
evaluates them, with what their counters say and how many live flows each made.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			format, err := formatOf(output)
			if err != nil {
				return err
			}
			doc, err := a.rules(cmd.Context(), !noFlows)
			if err != nil {
				return err
			}
			style := a.style(format)
			if all {
				style.Rows = 0
			}
			if err := format.Rules(cmd.OutOrStdout(), doc, style); err != nil {
				return incomplete(err)
			}
			return finish(cmd, doc.Header, false)
		},
	}
	outputFlag(cmd, &output)
	cmd.Flags().BoolVar(&all, "all", false, "every rule, not only a page")
	cmd.Flags().BoolVar(&noFlows, "no-flows", false, "do not read the conntrack table")
	return cmd
}

func (a *app) rules(ctx context.Context, withFlows bool) (*report.Rules, error) {
	l, err := a.open()
	if err != nil {
		return nil, err
	}
	defer l.Close()
	s, err := snapshot(ctx, l)
	if err != nil {
		return nil, err
	}
	var counts map[*rules.Rule]int
	var missing []host.Missing
	if withFlows {
		counts, missing = attribute(ctx, l, s)
	}
	doc := &report.Rules{Header: report.NewHeader("rules", s, missing), Attributed: withFlows, Rules: []report.RuleRow{}, Chains: []report.ChainRow{}}
	for _, h := range natHooks {
		listHook(doc, s.Rules, h, counts)
	}
	return doc, nil
}

// natHooks are the hooks with nat chains, in a packet's order.
var natHooks = []rules.Hook{rules.Prerouting, rules.Input, rules.Output, rules.Postrouting}

// attribute counts the flows that each rule alone has made.
func attribute(ctx context.Context, l *capture.Live, s *host.Snapshot) (map[*rules.Rule]int, []host.Missing) {
	counts := map[*rules.Rule]int{}
	e := explain.New(s)
	n, skipped := 0, 0
	info, err := l.Flows(ctx, capture.Filter{}, func(f *host.Flow) error {
		if src, dst := query.Rewritten(f); !src && !dst {
			return nil
		}
		if n++; n > maxAttributed {
			skipped++
			return nil
		}
		for _, rw := range e.Explain(f, explain.Options{}).Rewrites {
			if len(rw.Rules) == 1 {
				counts[rw.Rules[0]]++
			}
		}
		return nil
	})
	missing := unread(info)
	if err != nil {
		missing = append(missing, host.Missing{What: "flows", Why: err.Error()})
	}
	if skipped > 0 {
		missing = append(missing, host.Missing{What: "flows of each rule", Why: fmt.Sprintf("the first %d flows with NAT were attributed, %d were not", maxAttributed, skipped)})
	}
	return counts, missing
}

// lister walks one base chain.
type lister struct {
	doc    *report.Rules
	chain  *rules.Chain
	row    report.ChainRow
	counts map[*rules.Rule]int
	order  *int
	seen   map[*rules.Chain]bool
}

// listHook lists the nat chains of one hook; order counts through all of them.
func listHook(doc *report.Rules, rs *rules.Ruleset, h rules.Hook, counts map[*rules.Rule]int) {
	order := 0
	done := map[*rules.Chain]bool{}
	for _, family := range []rules.Family{rules.FamilyIPv4, rules.FamilyIPv6} {
		chains, _ := rs.AtHook(h, family)
		for _, c := range chains {
			if c.Base.Type != rules.ChainNAT || done[c] {
				continue
			}
			done[c] = true
			row := report.ChainRow{
				Family: c.Table.Family.String(), Table: c.Table.Name, Chain: c.Name,
				Hook: h.String(), Priority: c.Base.Priority, Policy: c.Base.Policy.String(), Rules: len(c.Rules),
			}
			doc.Chains = append(doc.Chains, row)
			l := &lister{doc: doc, chain: c, row: row, counts: counts, order: &order, seen: map[*rules.Chain]bool{}}
			l.list(c)
		}
	}
}

// list takes the NAT rules of c and of what it jumps to, and rules that are
// not understood.
func (l *lister) list(c *rules.Chain) {
	if c == nil || l.seen[c] {
		return
	}
	l.seen[c] = true
	for _, r := range c.Rules {
		if r.NAT() != nil || !r.Decoded() {
			l.add(r)
		}
		for _, s := range r.Statements {
			switch v := s.(type) {
			case *rules.Verdict:
				l.list(v.Chain)
			case *rules.VerdictMap:
				for _, e := range v.Set.Elements {
					if e.Verdict != nil {
						l.list(e.Verdict.Chain)
					}
				}
			}
		}
	}
}

func (l *lister) add(r *rules.Rule) {
	*l.order++
	row := report.RuleRow{
		Rule: report.NewRule(r), Hook: l.row.Hook, Priority: l.row.Priority, Policy: l.row.Policy,
		Order: *l.order, Flows: l.counts[r], Findings: []string{},
		From: l.row.Family + " " + l.row.Table + " " + l.row.Chain,
	}
	if n := r.NAT(); n != nil {
		kind := natKind(n)
		row.NAT = &kind
	}
	if !r.Decoded() {
		l.doc.Opaque++
	}
	for _, s := range r.Statements {
		if c, ok := s.(*rules.Counter); ok && c.Name == "" {
			row.Counted, row.Packets, row.Bytes = true, row.Packets+c.Packets, row.Bytes+c.Bytes
		}
	}
	if row.Counted && row.Packets == 0 {
		row.Findings = append(row.Findings, "never hit")
	}
	l.doc.Rules = append(l.doc.Rules, row)
}

func natKind(n *rules.NAT) string {
	if n.Flags&rules.NATNetmap != 0 {
		return "netmap"
	}
	return n.Kind.String()
}
