package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/watch"
	"github.com/ntdiag/ntdiag/report"
)

// follower takes events in on one side and writes them on the other: between
// is a queue, so that to look up rules does not keep events waiting in the
// socket.
type follower struct {
	cmd      *cobra.Command
	out      report.EventWriter
	human    bool
	rules    *watch.Attributor[report.Rule] // nil for expectations
	want     selection
	limit    int
	during   time.Duration // 0 for no end
	reread   time.Duration
	remember int

	backlog atomic.Int32 // Event.Backlog of the last one
	began   time.Time
	told    map[capture.EventKind]int
	lost    uint64
	gaps    int
	behind  int // events whose rules were not looked up
	unread  int // entries that could not be read
	setting host.Fact[string]
}

// watcher hands events to a function until its context ends.
type watcher func(context.Context, func(*capture.Event) error) error

// follow is the whole of it: the events, the sum, the exit code.
func (f *follower) follow(ctx context.Context, w watcher) error {
	err := f.run(ctx, w)
	if err := f.end(); err != nil {
		return incomplete(err)
	}
	if err != nil {
		return cannot(err)
	}
	return f.verdict()
}

func (f *follower) run(ctx context.Context, w watcher) error {
	f.began, f.told = time.Now(), map[capture.EventKind]int{}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	queue := make(chan *capture.Event, watchQueue)
	ended := make(chan error, 1)
	var end *time.Timer
	go func() {
		defer close(queue)
		ended <- w(ctx, func(e *capture.Event) error {
			f.backlog.Store(int32(e.Backlog))
			if end == nil && f.during > 0 && f.knows(e.Kind) {
				end = time.AfterFunc(f.during, cancel)
			}
			if ofFlow(e.Kind) && e.Expect == nil && !f.want.match(&e.Flow) {
				return nil
			}
			c := *e
			select {
			case queue <- &c:
				return nil
			case <-ctx.Done():
				return capture.ErrStop
			}
		})
	}()
	var failed error
	for e := range queue {
		if failed == nil {
			failed = f.take(ctx, e, len(queue))
		}
		if failed != nil {
			cancel() // and let the queue run out
		}
	}
	if err := <-ended; err != nil {
		return err
	}
	if errors.Is(failed, capture.ErrStop) {
		return nil
	}
	return failed
}

// knows tells whether the watch has done what it begins with.
func (f *follower) knows(k capture.EventKind) bool {
	return f.remember == 0 || k == capture.EventResync || k == capture.EventLost
}

func ofFlow(k capture.EventKind) bool {
	return k == capture.EventNew || k == capture.EventUpdate || k == capture.EventDestroy
}

// take writes one event; waiting is how many are behind it.
func (f *follower) take(ctx context.Context, e *capture.Event, waiting int) error {
	rec := report.Event{Event: e}
	switch {
	case e.Kind == capture.EventStart:
		f.setting = e.Start.Setting
		f.start(&e.Start)
	case e.Kind == capture.EventLost:
		f.gaps++
		f.lost += e.Lost.Events
	case e.Kind == capture.EventResync:
		f.unread += e.Resync.Unparsed
		f.forgotten(&e.Resync)
	case e.Expect != nil:
	case f.backlog.Load() > watchBehind:
		f.behind++
		rec.Rewrites = watch.Unattributed[report.Rule](&e.Flow, "not looked up: more events came than could be kept up with")
	default:
		var err error
		if rec.Rewrites, err = f.rules.Attribute(ctx, e); err != nil && ctx.Err() == nil {
			return err
		}
		if err != nil {
			rec.Rewrites = watch.Unattributed[report.Rule](&e.Flow, "not looked up: the watch ended")
		}
	}
	if ofFlow(e.Kind) {
		f.told[e.Kind]++
	}
	if err := f.out.Add(&rec); err != nil {
		return err
	}
	if f.limit > 0 && f.flows() >= f.limit {
		return capture.ErrStop
	}
	if waiting > 0 {
		return nil
	}
	return f.out.Flush()
}

func (f *follower) flows() int {
	return f.told[capture.EventNew] + f.told[capture.EventUpdate] + f.told[capture.EventDestroy]
}

// warn says on stderr what the answers do not hold.
func (f *follower) warn(format string, args ...any) {
	fmt.Fprintf(f.cmd.ErrOrStderr(), "ntdiag: "+format+"\n", args...)
}

// caveats are what no revision counts.
func (f *follower) caveats(counted bool) {
	untold := watch.Untold(f.rules.Snapshot())
	if !counted {
		untold = append([]string{"nf_tables, which is not loaded"}, untold...)
	}
	if len(untold) > 0 {
		f.warn("no change is told of %s: read again every %v and when no rule is found", strings.Join(untold, ", of "), watch.Period)
	}
	for _, m := range host.MissingText(f.rules.Snapshot().Missing) {
		f.warn("%s", m)
	}
}

// start says what will not come.
func (f *follower) start(s *capture.WatchStart) {
	by := "; --reread 1m finds them by reading the table"
	if f.reread > 0 {
		by = ""
	}
	const key = "net.netfilter.nf_conntrack_events"
	if f.rules == nil {
		by = ", nor of what they expect"
		s.Before = 0
	}
	switch {
	case !s.Setting.OK:
		f.warn("%s: %s: whether events come is not known", key, s.Setting.Why)
	case s.Setting.Value == "0":
		f.warn("%s is 0: no event comes of flows made now%s", key, by)
	case s.Setting.Value != "1" && s.Before > 0:
		f.warn("%s is %s: of the %d entries that are there, those made while nobody listened send no event, not even at their end%s", key, s.Setting.Value, s.Before, by)
	}
}

func (f *follower) forgotten(r *capture.WatchResync) {
	if r.Forgotten > 0 {
		f.warn("%d of %d entries are more than are kept in mind (--remember)", r.Forgotten, r.Entries)
	}
}

// end writes what is left, and the sum.
func (f *follower) end() error {
	if err := f.out.Flush(); err != nil {
		return err
	}
	w := f.cmd.ErrOrStderr()
	if f.human {
		w = f.cmd.OutOrStdout()
	}
	_, err := fmt.Fprintln(w, f.sum())
	return err
}

func (f *follower) sum() string {
	events := "events"
	if f.flows() == 1 {
		events = "event"
	}
	text := fmt.Sprintf("%d %s in %v: %d new, %d update, %d destroy", f.flows(), events, time.Since(f.began).Round(100*time.Millisecond),
		f.told[capture.EventNew], f.told[capture.EventUpdate], f.told[capture.EventDestroy])
	if f.gaps > 0 {
		text += "; " + f.gapsText()
	}
	return text
}

func (f *follower) gapsText() string {
	gaps := "1 gap"
	if f.gaps > 1 {
		gaps = fmt.Sprintf("%d gaps", f.gaps)
	}
	if f.lost == 0 {
		return gaps + ", how many events were lost is not known"
	}
	return fmt.Sprintf("%d events lost in %s", f.lost, gaps)
}

// verdict is the exit code: what was not seen makes the answer incomplete.
func (f *follower) verdict() error {
	var why []string
	if f.gaps > 0 {
		why = append(why, f.gapsText()+": flows that came and went in them are not told")
	}
	if f.behind > 0 {
		why = append(why, fmt.Sprintf("rules not looked up, to keep up with events: %d times", f.behind))
	}
	if f.unread > 0 {
		why = append(why, fmt.Sprintf("%d entries could not be read", f.unread))
	}
	if f.setting.Value == "0" && f.reread == 0 {
		why = append(why, "net.netfilter.nf_conntrack_events is 0")
	}
	if f.rules != nil {
		why = append(why, host.MissingText(f.rules.Snapshot().Missing)...)
	}
	if len(why) == 0 {
		return nil
	}
	return incomplete(fmt.Errorf("the answer is not complete: %s", strings.Join(why, "; ")))
}
