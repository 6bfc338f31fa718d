package main

import (
	"bytes"
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/explain"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/watch"
	"github.com/ntdiag/ntdiag/report"
	"github.com/ntdiag/ntdiag/rules"
)

// gathered keeps what would be written.
type gathered struct{ events []report.Event }

func (g *gathered) Add(e *report.Event) error { g.events = append(g.events, *e); return nil }
func (g *gathered) Flush() error              { return nil }

// What could not be kept up with is told without its rules, and said at the end;
// so is everything else that was not seen.
func TestFollowerSaysWhatItMissed(t *testing.T) {
	ctx := context.Background()
	read := func(context.Context) (*host.Snapshot, capture.Revision, bool, error) {
		s := &host.Snapshot{Rules: &rules.Ruleset{}}
		s.Prepare()
		return s, capture.Revision{Generation: 1}, true, nil
	}
	attributor, err := watch.New(ctx, read, report.NewRule)
	if err != nil {
		t.Fatal(err)
	}
	var errOut bytes.Buffer
	cmd := newRootCmd()
	cmd.SetErr(&errOut)
	out := &gathered{}
	f := &follower{cmd: cmd, out: out, rules: attributor, told: map[capture.EventKind]int{}, began: time.Now()}
	a := netip.MustParseAddr
	flow := host.Flow{
		Family: rules.FamilyIPv4, Status: host.StatusConfirmed | host.StatusSrcNAT | host.StatusSrcNATDone | host.StatusDstNATDone,
		Original: rules.Tuple{Proto: 6, Src: a("10.0.0.10"), Dst: a("10.8.2.12"), SrcPort: 1, DstPort: 80},
		Reply:    rules.Tuple{Proto: 6, Src: a("10.8.2.12"), Dst: a("192.168.1.2"), SrcPort: 80, DstPort: 1},
	}
	take := func(e capture.Event, backlog int32) {
		t.Helper()
		f.backlog.Store(backlog)
		if err := f.take(ctx, &e, 0); err != nil {
			t.Fatal(err)
		}
	}
	newFlow := capture.Event{Kind: capture.EventNew, Flow: flow, Since: capture.Revision{Generation: 1}, Until: capture.Revision{Generation: 1}}
	take(newFlow, 0)
	if err := f.verdict(); err != nil {
		t.Errorf("nothing missed: %v", err)
	}
	take(newFlow, watchBehind+1)
	take(capture.Event{Kind: capture.EventLost, Lost: capture.WatchLost{Events: 7}}, 0)
	take(capture.Event{Kind: capture.EventStart, Start: capture.WatchStart{Before: 3, Setting: host.Known("0")}}, 0)
	if c := [2]explain.Cause{out.events[0].Rewrites[0].Cause, out.events[1].Rewrites[0].Cause}; c != [2]explain.Cause{explain.CauseRuleGone, explain.CauseUnknown} {
		t.Errorf("causes: %v", c)
	}
	err = f.verdict()
	const want = "the answer is not complete: 7 events lost in 1 gap: flows that came and went in them are not told; " +
		"rules not looked up, to keep up with events: 1 times; net.netfilter.nf_conntrack_events is 0"
	if err == nil || err.Error() != want || exitOf(err) != exitIncomplete {
		t.Errorf("%v\nwant %s", err, want)
	}
	if !strings.Contains(errOut.String(), "nf_conntrack_events is 0: no event comes of flows made now; --reread 1m") {
		t.Errorf("stderr: %s", errOut.String())
	}
	if sum := f.sum(); !strings.HasPrefix(sum, "2 events in ") || !strings.HasSuffix(sum, ": 2 new, 0 update, 0 destroy; 7 events lost in 1 gap") {
		t.Errorf("sum: %s", sum)
	}
}

func exitOf(err error) int {
	if ce, ok := err.(*codeError); ok {
		return ce.code
	}
	return exitUsage
}
