package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ntdiag/ntdiag/diagnose/history"
	"github.com/ntdiag/ntdiag/report"
)

// historyLimit is how many changes are listed unless told otherwise.
const historyLimit = 50

// historyFlags are the flags of `history`.
type historyFlags struct {
	output, dir, since string
	kinds              []string
	change             uint64
	limit              int
	verbose            bool
}

func newHistoryCmd(a *app) *cobra.Command {
	var f historyFlags
	cmd := &cobra.Command{
		Use:   "history",
		Short: "list who changed rules, addresses and routes, and when",
		Long: `history lists what ntdiag record has kept of this network namespace: changes of
rules with the program and process that made them, of addresses, devices, routes
and policy rules; when recording began and ended, and what was not recorded. The
newest stands last. -v and --change show the differences rule by rule.

Who changed rules is what nf_tables tells: the name and the id of the thread
that closed the transaction. Its parent and its command line are there when the
process was still running. iptables-legacy and ipset tell nothing; addresses and
routes neither.

Exit code 3: nothing was recorded.`,
		Example: `  ntdiag history --since 1h
  ntdiag history --kind rules,route -v
  ntdiag history --change 12
  ntdiag history -o jsonl`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.history(cmd, &f) },
	}
	outputFlag(cmd, &f.output)
	stateDirFlag(cmd, &f.dir)
	fs := cmd.Flags()
	fs.StringVar(&f.since, "since", "", "only changes since then: a time as 2026-11-27T10:00:00Z, or how long ago as 1h")
	fs.StringSliceVar(&f.kinds, "kind", nil, "only changes of these kinds: "+strings.Join(kindNames(), ", "))
	fs.IntVar(&f.limit, "limit", historyLimit, "at most this many, the newest; 0 for all")
	fs.Uint64Var(&f.change, "change", 0, "only the change of this number, with its differences")
	fs.BoolVarP(&f.verbose, "verbose", "v", false, "with the differences")
	_ = cmd.RegisterFlagCompletionFunc("kind", cobra.FixedCompletions(kindNames(), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func kindNames() (out []string) {
	for _, k := range history.Kinds {
		out = append(out, string(k))
	}
	return out
}

// filter reads the flags; ago is how long before now it begins, less than 0
// where that is not how it is said.
func (f *historyFlags) filter() (out report.HistoryFilter, ago time.Duration, err error) {
	out.Seq, out.Limit = f.change, f.limit
	if f.limit < 0 {
		return out, -1, fmt.Errorf("--limit: must not be negative")
	}
	for _, k := range f.kinds {
		if !slices.Contains(kindNames(), k) {
			return out, -1, fmt.Errorf("--kind %q: known are %s", k, strings.Join(kindNames(), ", "))
		}
		out.Kinds = append(out.Kinds, history.Kind(k))
	}
	if f.since == "" {
		return out, -1, nil
	}
	if ago, err = time.ParseDuration(f.since); err == nil && ago >= 0 {
		return out, ago, nil
	}
	if out.Since, err = time.Parse(time.RFC3339, f.since); err != nil {
		return out, -1, fmt.Errorf("--since %q: neither a time (2026-11-27T10:00:00Z) nor how long ago (90m)", f.since)
	}
	return out, -1, nil
}

func (a *app) history(cmd *cobra.Command, f *historyFlags) error {
	format, err := formatOf(f.output)
	if err != nil {
		return err
	}
	filter, ago, err := f.filter()
	if err != nil {
		return usage(err)
	}
	l, err := a.open(cmd.Context())
	if err != nil {
		return err
	}
	defer l.Close()
	if ago >= 0 {
		filter.Since = l.Now().Add(-ago)
	}
	h, id, err := readHistory(l, f.dir)
	if err != nil {
		return err
	}
	d := report.NewHistory(a.host(cmd.Context(), l), h, id, filter)
	if f.change != 0 && len(d.Changes) == 0 {
		return incomplete(fmt.Errorf("there is no record %d in %s", f.change, h.Path))
	}
	style := a.style(format)
	style.Verbose = f.verbose || f.change != 0
	if err := format.History(a.out(cmd, format), d, style); err != nil {
		return incomplete(err)
	}
	return finish(cmd, d.Header, false)
}
