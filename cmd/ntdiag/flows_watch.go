package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/query"
	"github.com/ntdiag/ntdiag/diagnose/watch"
	"github.com/ntdiag/ntdiag/report"
)

const (
	// watchQueue is how many events may wait for their rules and for the
	// output; what is beyond waits in the socket, until that is full.
	watchQueue = 1 << 14
	// watchBehind is how full the socket may be, in percent, before rules are no
	// longer looked up, so that nothing is lost for it.
	watchBehind = 50
	// watchRemember bounds the entries that are remembered.
	watchRemember = 1 << 20
)

func newFlowsWatchCmd(a *app) *cobra.Command {
	w := &watchFlags{}
	cmd := &cobra.Command{
		Use:   "watch [QUERY…]",
		Short: "follow flows as they come, change and go, with their rules",
		Long: `watch follows the events of the conntrack table: one line for each flow that
comes, changes or goes, with the rule behind each rewrite. A flow is told with
the rules that it met: these are read again when they change. One whose
beginning was not told, with those that fit it now, as explain does.

When events are lost because more come than can be taken in, that is said, the
table is read again, and what is new, changed or gone since is told, each once.
What came and went in the gap is not known: the exit code is 3 then. To that
end up to --remember entries are kept in mind, at some 150 bytes each, twice
that for IPv6; of those beyond, the end is told by their event alone, and what
is found after a gap is no longer called new.

The kernel sends events only of entries that were made for it:
net.netfilter.nf_conntrack_events is 0 for none, 1 for all, 2 for those made
while somebody listened. The end of the others is found with --reread.

-o jsonl is one record a line, written at once; -o json has no end and is
refused. A query may name the flows as for explain. --expect tells of the
connections that helpers (ftp, sip, …) expect: those that are expected now, and
then what comes and goes.`,
		Example: `  ntdiag flows watch --dnat --port 443
  ntdiag flows watch 10.0.0.10 --events new,destroy
  ntdiag flows watch --for 30s -o jsonl`,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: a.completeFlows,
		RunE:              func(cmd *cobra.Command, args []string) error { return a.watch(cmd, w, args) },
	}
	w.add(cmd)
	return cmd
}

type watchFlags struct {
	flowFlags
	events   string
	during   time.Duration
	reread   time.Duration
	remember int
	buffer   int
	expect   bool
}

func (w *watchFlags) add(cmd *cobra.Command) {
	w.flowFlags.add(cmd)
	f := cmd.Flags()
	f.StringVar(&w.events, "events", "new,update,destroy", "which events")
	f.DurationVar(&w.during, "for", 0, "end after this time from when the table is known (30s, 5m)")
	f.DurationVar(&w.reread, "reread", 0, "read the table this often too (1m)")
	f.IntVar(&w.remember, "remember", watchRemember, "keep at most this many entries in mind")
	f.IntVar(&w.buffer, "buffer", 0, "receive buffer in KiB; 0 is 16384")
	f.BoolVar(&w.expect, "expect", false, "the connections that helpers expect, not flows")
	f.Lookup("limit").Usage = "end after this many events of flows"
	_ = f.MarkHidden("all") // there is no page
	var kinds []string
	for _, k := range capture.EventKinds {
		kinds = append(kinds, k.String())
	}
	_ = cmd.RegisterFlagCompletionFunc("events", cobra.FixedCompletions(kinds, cobra.ShellCompDirectiveNoFileComp))
}

// withExpect are the flags that say something of expectations too.
var withExpect = []string{"expect", "events", "for", "limit", "output", "netns", "color"}

// checkExpect refuses what does.
func checkExpect(cmd *cobra.Command, args []string) (err error) {
	if len(args) > 0 {
		return errors.New("--expect takes no query")
	}
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if err == nil && !slices.Contains(withExpect, f.Name) {
			err = fmt.Errorf("--expect and --%s exclude each other", f.Name)
		}
	})
	return err
}

// kinds reads --events.
func (w *watchFlags) kinds() ([]capture.EventKind, error) {
	var out []capture.EventKind
	for word := range strings.SplitSeq(w.events, ",") {
		found := false
		for _, k := range capture.EventKinds {
			if k.String() == strings.TrimSpace(word) {
				out, found = append(out, k), true
			}
		}
		if !found {
			return nil, fmt.Errorf("--events: unknown event %q (known: new, update, destroy)", word)
		}
	}
	return out, nil
}

// check says what of the numbers makes no sense.
func (w *watchFlags) check() error {
	switch {
	case w.during < 0:
		return errors.New("--for: must not be negative")
	case w.reread < 0:
		return errors.New("--reread: must not be negative")
	case w.reread > 0 && w.remember == 0:
		return errors.New("--reread tells what changed against what is kept in mind: it needs --remember")
	case w.remember < 0:
		return errors.New("--remember: must not be negative")
	case w.buffer < 0 || w.buffer > 1<<20:
		return errors.New("--buffer: is in KiB, from 1 to 1048576")
	}
	return nil
}

// selection is what is asked of an entry: as a whole, and what of it stays the
// same as long as the entry lives.
type selection struct {
	filter query.Filter
	query  *query.Query // nil for none
}

func (f *flowFlags) selection(cmd *cobra.Command, args []string) (s selection, err error) {
	if s.filter, err = f.filter(cmd); err != nil || len(args) == 0 {
		return s, err
	}
	q, err := query.Parse(args)
	s.query = &q
	return s, err
}

func (s *selection) match(f *host.Flow) bool {
	return s.filter.Match(f) && (s.query == nil || s.query.Match(f) != query.FormNone)
}

func (s selection) lasting() selection {
	s.filter.State, s.filter.StatusMask, s.filter.Mark = "", 0, query.Opt{}
	if s.query != nil {
		q := *s.query
		q.State, q.Mark = "", query.Opt{}
		s.query = &q
	}
	return s
}

func (w *watchFlags) options(cmd *cobra.Command, args []string) (capture.WatchOptions, selection, error) {
	var opt capture.WatchOptions
	want, err := w.selection(cmd, args)
	if err == nil {
		err = w.check()
	}
	if err == nil {
		opt.Kinds, err = w.kinds()
	}
	lasting := want.lasting()
	opt.Keep, opt.Filter = lasting.match, kernelFilter(&lasting.filter)
	opt.Remember, opt.Reread, opt.Buffer = w.remember, w.reread, w.buffer<<10
	return opt, want, err
}

func (a *app) watch(cmd *cobra.Command, w *watchFlags, args []string) error {
	format, err := formatOf(w.output)
	if err != nil {
		return err
	}
	out, err := format.Events(cmd.OutOrStdout(), a.style(format))
	if err != nil {
		return usage(fmt.Errorf("flows watch: %w", err))
	}
	opt, want, err := w.options(cmd, args)
	if err == nil && w.expect {
		err = checkExpect(cmd, args)
	}
	if err != nil {
		return usage(err)
	}
	l, err := a.openLive()
	if err != nil {
		return err
	}
	defer l.Close()
	f := &follower{cmd: cmd, out: out, human: format.Human, limit: w.limit, want: want, reread: w.reread, during: w.during, remember: w.remember}
	if w.expect {
		f.remember = 0 // nothing is read for it
		return f.follow(cmd.Context(), func(ctx context.Context, fn func(*capture.Event) error) error {
			return l.WatchExpectations(ctx, opt.Kinds, fn)
		})
	}
	if opt.Revisions, err = l.Revisions(); err != nil {
		return cannot(err)
	}
	defer opt.Revisions.Close()
	f.rules, err = watch.New(cmd.Context(), func(ctx context.Context) (*host.Snapshot, capture.Revision, bool, error) {
		return opt.Revisions.Snapshot(ctx, l)
	}, report.NewRule)
	if err != nil {
		return cannot(err)
	}
	f.caveats(opt.Revisions.Counted())
	return f.follow(cmd.Context(), func(ctx context.Context, fn func(*capture.Event) error) error {
		return l.Watch(ctx, opt, fn)
	})
}
