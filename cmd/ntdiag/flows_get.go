package main

import (
	"context"
	"math"

	"github.com/spf13/cobra"

	"github.com/ntdiag/ntdiag/diagnose/query"
	"github.com/ntdiag/ntdiag/report"
)

// getPage is how many entries one answer shows without --all.
const getPage = 20

func newFlowsGetCmd(a *app) *cobra.Command {
	var output string
	var all bool
	cmd := &cobra.Command{
		Use:   "get QUERY…",
		Short: "show all that the kernel tells of an entry",
		Long: `get shows entries of the conntrack table with all that the kernel tells of them:
both tuples, counters, state, status, timeout, mark, zone, labels, helper, and
what the trackers keep.

A query is what you have at hand; see: ntdiag help queries. One that names a
whole tuple asks the kernel for that entry alone. Exit code 1 when none fits.`,
		Example: `  ntdiag flows get 10.0.0.10:5536 10.8.2.12:80
  ntdiag flows get 'udp 10.0.0.10:5353 > 10.0.0.1:53' -o json
  ntdiag flows get id=4021521188`,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: a.completeFlows,
		RunE: func(cmd *cobra.Command, args []string) error {
			format, err := formatOf(output)
			if err != nil {
				return err
			}
			q, err := query.Parse(args)
			if err != nil {
				return usage(err)
			}
			limit := getPage
			if all {
				limit = math.MaxInt
			}
			doc, err := a.flowsGet(cmd.Context(), &q, limit)
			if err != nil {
				return err
			}
			if err := format.Entries(a.out(cmd, format), doc, a.style(format)); err != nil {
				return incomplete(err)
			}
			return finish(cmd, doc.Header, len(doc.Flows) == 0)
		},
	}
	outputFlag(cmd, &output)
	cmd.Flags().BoolVar(&all, "all", false, "every entry that fits, not only a page")
	return cmd
}

func (a *app) flowsGet(ctx context.Context, q *query.Query, limit int) (*report.Entries, error) {
	l, err := a.open(ctx)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	got, err := find(ctx, l, q, limit)
	if err != nil {
		return nil, cannot(err)
	}
	doc := &report.Entries{
		Header: report.NewHeader("flows.get", a.host(ctx, l), got.missing),
		Query:  q.Text, ReadAs: q.Kind, Flows: []report.Flow{}, More: got.more,
	}
	for i := range got.matches {
		doc.Flows = append(doc.Flows, report.Flow{Flow: got.matches[i].flow})
	}
	if len(doc.Flows) == 0 {
		doc.Nearest = got.nearest()
	}
	return doc, nil
}
