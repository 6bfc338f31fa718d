package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/remove"
	"github.com/ntdiag/ntdiag/diagnose/stale"
	"github.com/ntdiag/ntdiag/report"
)

// deleteFlags are those of `flows delete`.
type deleteFlags struct {
	flowFlags
	removal
	every bool
}

func newFlowsDeleteCmd(a *app) *cobra.Command {
	d := &deleteFlags{}
	cmd := &cobra.Command{
		Use:   "delete [QUERY…]",
		Short: "delete flows one by one, with a journal to put them back",
		Long: `delete removes the flows that a query or filters choose from the conntrack
table: it shows them, asks, and deletes entry by entry. An entry that changed
since it was shown is told, not touched. It never flushes the table.

Before the first delete a journal is written that names every entry, and
ntdiag undo puts them back from it. It is in $STATE_DIRECTORY/journal, without
that in /var/lib/ntdiag/journal; --journal names another directory.

Afterwards it looks whether the flows stay away, and says which came back, and
as what. Exit code 1: some are still there, or came back wrong.`,
		Example: `  ntdiag flows delete --proto udp --dst 10.96.0.10 --dport 53
  ntdiag flows delete 10.0.0.10:5536 10.8.2.12:80
  ntdiag flows delete --status unreplied --dry-run
  ntdiag flows delete --zone 7 --yes -o json`,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: a.completeFlows,
		RunE:              func(cmd *cobra.Command, args []string) error { return a.flowsDelete(cmd, d, args) },
	}
	d.flowFlags.add(cmd)
	d.removal.add(cmd)
	cmd.Flags().BoolVar(&d.every, "every", false, "without any filter: every flow of the table")
	return cmd
}

// chooses tells whether anything says which flows.
func (d *deleteFlags) chooses(cmd *cobra.Command, args []string) bool {
	return len(args) > 0 || d.given(cmd)
}

// read is what the command line asks for.
func (d *deleteFlags) read(cmd *cobra.Command, args []string) (selection, error) {
	want, err := d.selection(cmd, args)
	switch chosen := d.chooses(cmd, args); {
	case err != nil:
		return want, err
	case !chosen && !d.every:
		return want, errors.New("nothing says which flows: name them by a query or a filter; --every takes all of them")
	case chosen && d.every:
		return want, errors.New("--every is for all flows, without a filter")
	}
	return want, nil
}

func (a *app) flowsDelete(cmd *cobra.Command, d *deleteFlags, args []string) error {
	format, err := formatOf(d.output)
	if err != nil {
		return err
	}
	want, err := d.read(cmd, args)
	if err != nil {
		return usage(err)
	}
	if err := d.check(); err != nil {
		return err
	}
	l, err := a.openLive()
	if err != nil {
		return err
	}
	defer l.Close()
	s, err := snapshot(cmd.Context(), l)
	if err != nil {
		return err
	}
	judge := stale.New(s)
	plan, doc, err := d.plan(cmd.Context(), l, &want, judge)
	if err != nil {
		return cannot(err)
	}
	style := a.style(format)
	if *d.on["all"] {
		style.Rows = 0
	}
	results, path, failed := a.removeFlows(cmd, l, plan, removeOptions{
		removal: &d.removal, format: format, judge: judge,
		show: func(w io.Writer) error {
			return report.RemovalPlan(w, plan, doc.Checked, ownSession(plan), style)
		},
	})
	if errors.Is(failed, errNo) {
		return failed
	}
	doc.Header = report.NewHeader("flows.delete", a.host(cmd.Context(), l), doc.Missing)
	doc.Removal = report.NewRemoval(results, path, d.dryRun)
	if err := format.FlowsDelete(cmd.OutOrStdout(), doc, style); err != nil {
		return incomplete(err)
	}
	if failed != nil {
		return failed
	}
	return finish(cmd, doc.Header, doc.Left())
}

// plan gathers the flows that are asked for.
func (d *deleteFlags) plan(ctx context.Context, l *capture.Live, want *selection, judge *stale.Judge) ([]remove.Planned, *report.FlowsDelete, error) {
	var plan []remove.Planned
	doc := &report.FlowsDelete{}
	info, err := l.Flows(ctx, kernelFilter(&want.filter), func(f *host.Flow) error {
		doc.Checked++
		if !want.match(f) {
			return nil
		}
		plan = append(plan, remove.Planned{Flow: *f, Risks: judge.Risks(f)})
		if len(plan) == d.limit {
			return capture.ErrStop
		}
		return nil
	})
	doc.Missing = info.Missing()
	return plan, doc, err
}

// ownSession warns of the connection by which the operator is here
// (SSH_CONNECTION of sshd).
func ownSession(plan []remove.Planned) []string {
	words := strings.Fields(os.Getenv("SSH_CONNECTION"))
	if len(words) != 4 {
		return nil
	}
	from, err := netip.ParseAddrPort(net.JoinHostPort(words[0], words[1]))
	if err != nil {
		return nil
	}
	for i := range plan {
		o := &plan[i].Flow.Original
		if o.Proto == host.ProtoTCP && o.Src == from.Addr() && o.SrcPort == from.Port() {
			return []string{"your own SSH session is among them"}
		}
	}
	return nil
}
