package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/compare"
	"github.com/ntdiag/ntdiag/report"
)

func newBundleDiffCmd(a *app) *cobra.Command {
	var output string
	var verbose bool
	cmd := &cobra.Command{
		Use:   "diff BEFORE [AFTER]",
		Short: "say what changed between two bundles, and for which flows",
		Long: `diff compares two bundles of one machine: rules (moved, changed, gone), sets,
addresses, devices, routes, settings and counters, and which flows the later
state rewrites otherwise than the earlier one. Without AFTER it is the running
kernel that BEFORE is compared with.

Flows that were not what their own rules say either are counted apart: stale
shows them. Bundles that are redacted can be compared when both were made with
the same --key-file.

Exit code 1 when rules, sets, addresses, routes, settings or rewrites differ;
counters that moved and entries that came and went are no difference.`,
		Example: `  ntdiag bundle diff before.tar.zst after.tar.zst
  sudo ntdiag bundle diff before.tar.zst
  ntdiag bundle diff before.tar.zst after.tar.zst -o json`,
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case len(args) == 0 || len(args) > 2:
				return usage(fmt.Errorf("bundle diff takes BEFORE and AFTER, here %d", len(args)))
			case a.from != "":
				return usage(errors.New("--from: bundle diff takes its files as arguments"))
			case len(args) == 2 && args[0] == "-" && args[1] == "-":
				return usage(errors.New("bundle diff: only one of both can be standard input"))
			}
			return nil
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveDefault
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			format, err := formatOf(output)
			if err != nil {
				return err
			}
			doc, err := a.bundleDiff(cmd.Context(), args)
			if err != nil {
				return err
			}
			style := a.style(format)
			style.Verbose = verbose
			if verbose {
				style.Rows = 0
			}
			if err := format.Diff(cmd.OutOrStdout(), doc, style); err != nil {
				return incomplete(err)
			}
			return finish(cmd, doc.Header, doc.Differs())
		},
	}
	outputFlag(cmd, &output)
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "every rule, element, address, setting and group of flows, not only a page")
	return cmd
}

func (a *app) bundleDiff(ctx context.Context, files []string) (*report.Diff, error) {
	before, err := a.openOther(ctx, files[0])
	if err != nil {
		return nil, err
	}
	defer before.Close()
	after, err := a.openAfter(ctx, files[1:])
	if err != nil {
		return nil, err
	}
	defer after.Close()
	if err := comparable(before, after); err != nil {
		return nil, err
	}
	r, err := compare.Sources(ctx, before, after)
	if err != nil {
		return nil, cannot(err)
	}
	return report.NewDiff(r), nil
}

// openOther opens the namespace of --netns of a file that is not that of
// --from.
func (a *app) openOther(ctx context.Context, file string) (capture.Source, error) {
	other := *a
	other.from = file
	l, err := other.openBundle(ctx)
	if err != nil {
		return nil, fileError(ctx, "bundle diff:", err)
	}
	return l, nil
}

func (a *app) openAfter(ctx context.Context, file []string) (capture.Source, error) {
	if len(file) == 1 {
		return a.openOther(ctx, file[0])
	}
	return a.openLive()
}

// comparable refuses states of which one has other names for the same things.
func comparable(before, after capture.Source) error {
	a, b := mapping(before), mapping(after)
	switch {
	case a == b:
		return nil
	case a == "" || b == "":
		return usage(errors.New("bundle diff: one of both is redacted and the other is not: their addresses and names cannot be compared"))
	}
	return usage(errors.New("bundle diff: both are redacted, with different keys: their addresses and names cannot be compared (--key-file gives bundles the same ones)"))
}

func mapping(l capture.Source) string {
	if f, ok := l.(*fromFile); ok && f.redaction != nil {
		return f.redaction.Mapping
	}
	return ""
}
