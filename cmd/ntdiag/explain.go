package main

import (
	"context"
	"math"

	"github.com/spf13/cobra"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/explain"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/query"
	"github.com/ntdiag/ntdiag/diagnose/simulate"
	"github.com/ntdiag/ntdiag/diagnose/stale"
	"github.com/ntdiag/ntdiag/report"
)

// explainPage is how many flows one answer explains without --all.
const explainPage = 20

func newExplainCmd(a *app) *cobra.Command {
	var output string
	var verbose, all bool
	cmd := &cobra.Command{
		Use:   "explain QUERY…",
		Short: "say which rule made each rewrite of a flow",
		Long: `explain finds a flow in the conntrack table and says which rule made each of its
rewrites, how sure that is, and what could not be known.

A query is what you have at hand: two ends, a line of conntrack -L, tcpdump, ss
or the kernel log, id=N, or only an address or a port; see: ntdiag help queries`,
		Example: `  ntdiag explain 10.0.0.10:5536 10.8.2.12:80
  ntdiag explain 'tcp 10.0.0.10:5536 > 10.8.2.12:80'
  ntdiag explain '[fd00::10]:5536 [fd00::80]:443' --netns blue
  ntdiag explain id=4021521188 -o json
  ntdiag explain :443`,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: a.completeFlows,
		RunE: func(cmd *cobra.Command, args []string) error {
			format, err := formatOf(output)
			if err != nil {
				return err
			}
			if len(args) == 0 && len(a.textFiles()) > 0 {
				if args, err = a.theFlow(cmd.Context()); err != nil {
					return err
				}
			}
			q, err := query.Parse(args)
			if err != nil {
				return usage(err)
			}
			limit := explainPage
			if all {
				limit = math.MaxInt
			}
			doc, err := a.explain(cmd.Context(), &q, limit, verbose)
			if err != nil {
				return err
			}
			style := a.style(format)
			style.Verbose = verbose
			if err := format.Explain(a.out(cmd, format), doc, style); err != nil {
				return incomplete(err)
			}
			return finish(cmd, doc.Header, somethingFound(doc))
		},
	}
	outputFlag(cmd, &output)
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "show the way with every rule looked at, and why it did not match")
	cmd.Flags().BoolVar(&all, "all", false, "explain every flow that fits, not only a page")
	return cmd
}

// explain answers one query.
func (a *app) explain(ctx context.Context, q *query.Query, limit int, verbose bool) (*report.Explain, error) {
	l, err := a.open(ctx)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	got, err := find(ctx, l, q, limit)
	if err != nil {
		return nil, cannot(err)
	}
	return a.explainFound(ctx, l, q, got, verbose)
}

func (a *app) explainFound(ctx context.Context, l capture.Source, q *query.Query, got finding, verbose bool) (*report.Explain, error) {
	s, err := snapshot(ctx, l)
	if err != nil {
		return nil, err
	}
	doc := &report.Explain{
		Header: report.NewHeader("explain", s, got.missing),
		Query:  q.Text, ReadAs: q.Kind, Flows: []report.Explained{}, More: got.more,
	}
	if len(got.matches) == 0 {
		doc.Nearest = got.nearest()
		doc.Simulated = simulated(s, q)
	}
	explains := explainer(s, verbose)
	for i := range got.matches {
		m := &got.matches[i]
		doc.Flows = append(doc.Flows, explains(&m.flow, m.form.String()))
	}
	return doc, nil
}

// explainer explains flows by s; as is the form in which a flow fits a query.
func explainer(s *host.Snapshot, verbose bool) func(f *host.Flow, as string) report.Explained {
	e, j := explain.New(s), stale.New(s)
	return func(f *host.Flow, as string) report.Explained {
		x := e.Explain(f, explain.Options{Path: verbose, Not: true})
		out := report.NewExplained(x, as)
		v := j.Judge(f)
		out.Judge(&v)
		return out
	}
}

// simulated is what would happen to the packet that the query names, nil when
// it names none as a whole.
func simulated(s *host.Snapshot, q *query.Query) *report.Simulation {
	p, err := q.Packet()
	if err != nil {
		return nil
	}
	r, err := simulate.New(s).Simulate(p)
	if err != nil {
		return nil // only a device that is not there, and a query names none
	}
	out := report.NewSimulation(r)
	return &out
}

// somethingFound: no entry, a rewrite that no present rule makes, or a flow that
// is stale.
func somethingFound(d *report.Explain) bool {
	if len(d.Flows) == 0 {
		return true
	}
	for i := range d.Flows {
		if d.Flows[i].Stale != nil {
			return true
		}
		for j := range d.Flows[i].Rewrites {
			if d.Flows[i].Rewrites[j].Cause == explain.CauseRuleGone {
				return true
			}
		}
	}
	return false
}
