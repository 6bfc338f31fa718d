package capture

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/host"
)

// watched is a watch that runs beside a test.
type watched struct {
	t      *testing.T
	cancel context.CancelFunc
	ended  chan error
	mu     sync.Mutex
	events []Event
	more   chan struct{}
	hold   chan struct{} // closed: the callback goes on
}

// patience is how long something may take that takes milliseconds.
const patience = 10 * time.Second

func startWatch(t *testing.T, l *Live, opt WatchOptions, hold chan struct{}) *watched {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	w := &watched{t: t, cancel: cancel, ended: make(chan error, 1), more: make(chan struct{}, 1), hold: hold}
	go func() {
		w.ended <- l.Watch(ctx, opt, func(e *Event) error {
			if w.hold != nil && e.Kind == EventNew {
				select {
				case <-w.hold:
				case <-ctx.Done():
				}
			}
			w.mu.Lock()
			w.events = append(w.events, *e)
			w.mu.Unlock()
			select {
			case w.more <- struct{}{}:
			default:
			}
			return nil
		})
	}()
	t.Cleanup(func() { w.stop() })
	w.until("start", func(e []Event) bool { return len(e) > 0 && e[0].Kind == EventStart })
	if opt.Remember > 0 {
		w.until("first reading", func(e []Event) bool { return resyncs(e) > 0 })
	}
	return w
}

func (w *watched) first() Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.events[0]
}

func resyncs(events []Event) (n int) {
	for i := range events {
		if events[i].Kind == EventResync {
			n++
		}
	}
	return n
}

// until waits for what is seen so far to be as wanted.
func (w *watched) until(what string, ok func([]Event) bool) {
	w.t.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for {
		w.mu.Lock()
		done := ok(w.events)
		n := len(w.events)
		w.mu.Unlock()
		if done {
			return
		}
		select {
		case <-w.more:
		case err := <-w.ended:
			w.t.Fatalf("%s: the watch ended: %v", what, err)
		case <-limit.C:
			w.t.Fatalf("%s: not in %v, after %d events", what, patience, n)
		}
	}
}

func (w *watched) stop() []Event {
	w.cancel()
	if w.ended != nil {
		if err := <-w.ended; err != nil {
			w.t.Errorf("watch: %v", err)
		}
		w.ended = nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.events
}

// flowEvents are those of flows.
func flowEvents(events []Event) (out []Event) {
	for _, e := range events {
		if e.Kind == EventNew || e.Kind == EventUpdate || e.Kind == EventDestroy {
			out = append(out, e)
		}
	}
	return out
}

// sysctlHere sets one of the namespace of the test's thread.
func sysctlHere(t *testing.T, name, value string) {
	t.Helper()
	if err := os.WriteFile("/proc/sys/net/netfilter/"+name, []byte(value), 0); err != nil {
		t.Fatal(err)
	}
}

func TestWatch(t *testing.T) {
	newNetns(t)
	sysctlHere(t, "nf_conntrack_timestamp", "1")
	sysctlHere(t, "nf_conntrack_acct", "1")
	l := openHere(t, "")
	for _, remember := range []int{0, 100} {
		w := startWatch(t, l, WatchOptions{Remember: remember}, nil)
		before := time.Now()
		insertAll(t)
		dump, _ := flowsOf(t, l, Filter{})
		run(t, "", "conntrack", "-U", "-p", "udp", "--orig-dst", "10.8.2.13", "-m", "7")
		run(t, "", "conntrack", "-D", "-p", "udp", "--orig-dst", "10.8.2.13")
		w.until("events", func(e []Event) bool { return len(flowEvents(e)) == len(entries)+2 })
		events := w.stop()
		if s := events[0].Start; !s.Setting.OK || s.Buffer < 1<<16 || s.Before != 0 {
			t.Errorf("start: %+v", s)
		}
		byID := map[uint32]host.Flow{}
		for _, f := range dump {
			byID[f.ID] = f
		}
		events = flowEvents(events)
		for i := range entries {
			e := &events[i]
			want := byID[e.Flow.ID]
			if e.Kind != EventNew || e.Found || !e.Stamped || e.At.Before(before.Add(-time.Second)) || e.At.After(time.Now()) {
				t.Errorf("%s: %v at %v, stamped %v, found %v", entries[i].name, e.Kind, e.At, e.Stamped, e.Found)
			}
			if f := e.Flow; f.Original != entries[i].orig || f.Reply != want.Reply || f.Zone != want.Zone || f.Mark != want.Mark || f.Status != want.Status || f.State() != want.State() {
				t.Errorf("%s: got %+v\nwant %+v", entries[i].name, f, want)
			}
		}
		up, end := &events[len(entries)], &events[len(entries)+1]
		if up.Kind != EventUpdate || up.Flow.Mark != 7 || up.Flow.Original != entries[2].orig {
			t.Errorf("update: %v %+v", up.Kind, up.Flow)
		}
		const has = host.HasStart | host.HasStop | host.HasCounters
		if end.Kind != EventDestroy || end.Flow.ID != up.Flow.ID || end.Flow.Has&has != has || end.Flow.Stop < end.Flow.Start || end.Flow.Mark != 7 {
			t.Errorf("destroy: %v %+v", end.Kind, end.Flow)
		}
		run(t, "", "conntrack", "-F")
	}
}

func TestWatchGap(t *testing.T) {
	newNetns(t)
	l := openHere(t, "")
	insertBulk(t, 0, 4000)
	before, _ := flowsOf(t, l, Filter{})
	hold := make(chan struct{})
	w := startWatch(t, l, WatchOptions{Remember: 1 << 20, Buffer: 8 << 10}, hold)
	insertBulk(t, 100000, 1) // which the callback is stopped at
	insertBulk(t, 4000, 50000)
	deleteBulk(t, 1000, 1000)
	markBulk(t, 2000, 1000, 9)
	deleteBulk(t, 10000, 5000) // made and gone in the gap
	close(hold)
	w.until("resync", func(e []Event) bool { return resyncs(e) == 2 })
	for i := range 20 { // no more at a time than the buffer holds
		insertBulk(t, 200000+i, 1)
		deleteBulk(t, 20000+i, 1)
		w.until("events after it", func(e []Event) bool { return e[len(e)-1].Flow.Original == bulkTuple(20000+i) })
	}
	events := w.stop()
	compare(t, replay(t, events, before), l)
	var lost, at int
	for i, e := range events {
		switch {
		case e.Kind == EventLost:
			if lost++; e.Lost.Events < 50000 || !e.Lost.From.Before(e.Lost.To) {
				t.Errorf("lost: %+v", e.Lost)
			}
		case e.Kind == EventResync && !e.Resync.First:
			at = i
			if r := e.Resync; r.Gone < 990 || r.Changed < 990 || r.New < 40000 || r.Unsure+r.Unparsed > 0 {
				t.Errorf("resync: %+v", r)
			}
		}
	}
	if lost != 1 || at == 0 {
		t.Errorf("%d gaps told", lost)
	}
}

// Without memory a gap is told, and nothing is made up.
func TestWatchGapForgotten(t *testing.T) {
	for _, remember := range []int{0, 100} {
		t.Run(fmt.Sprint(remember), func(t *testing.T) {
			newNetns(t)
			l := openHere(t, "")
			insertBulk(t, 0, 200)
			hold := make(chan struct{})
			w := startWatch(t, l, WatchOptions{Remember: remember, Buffer: 8 << 10}, hold)
			insertBulk(t, 100000, 1)
			insertBulk(t, 10000, 2000)
			deleteBulk(t, 0, 100)
			close(hold)
			w.until("lost", func(e []Event) bool {
				return len(e) > 0 && (e[len(e)-1].Kind == EventLost || e[len(e)-1].Kind == EventResync && !e[len(e)-1].Resync.First)
			})
			for _, e := range w.stop() {
				switch {
				case e.Found && e.Kind != EventDestroy:
					t.Errorf("%v of an entry that may have been there: %+v", e.Kind, e.Flow)
				case e.Kind == EventResync && e.Resync.First && e.Resync.Forgotten != e.Resync.Entries-remember:
					t.Errorf("first reading: %+v", e.Resync)
				case e.Kind == EventResync && !e.Resync.First && (e.Resync.Unsure == 0 || e.Resync.New > 0):
					t.Errorf("resync: %+v", e.Resync)
				}
			}
		})
	}
}

// An entry made while nobody listened, with the setting at 2, or while it was
// 0, sends no event: its end is found only by reading the table again.
func TestWatchWithoutEvents(t *testing.T) {
	for _, setting := range []string{"0", "1", "2"} {
		t.Run(setting, func(t *testing.T) {
			newNetns(t)
			sysctlHere(t, "nf_conntrack_events", setting)
			l := openHere(t, "")
			insertBulk(t, 0, 1)
			w := startWatch(t, l, WatchOptions{Remember: 1000}, nil)
			if s := w.first().Start; s.Setting.Value != setting || s.Before != 1 {
				t.Errorf("start: %+v", s)
			}
			insertBulk(t, 1, 1)
			deleteBulk(t, 0, 2)
			mark := func(e []Event) bool { return len(e) > 0 && e[len(e)-1].Flow.Original == bulkTuple(7) }
			if setting == "0" {
				sysctlHere(t, "nf_conntrack_events", "1")
			}
			insertBulk(t, 7, 1)
			w.until("mark", mark)
			got := ""
			for _, e := range flowEvents(w.stop()) {
				got += fmt.Sprintf("%v %v,", e.Kind, e.Flow.Original.Src)
			}
			// every kernel that a test meets has a listener somewhere, or none:
			// the entry made before is of either kind
			const own, mine = "new 10.1.0.1,", "destroy 10.1.0.1,new 10.1.0.7,"
			want := map[string][]string{
				"0": {"new 10.1.0.7,"},
				"1": {own + "destroy 10.1.0.0," + mine},
				"2": {own + mine, own + "destroy 10.1.0.0," + mine},
			}[setting]
			ok := false
			for _, x := range want {
				ok = ok || got == x
			}
			if !ok {
				t.Errorf("got %s want one of %q", got, want)
			}
		})
	}
}

func TestWatchRereads(t *testing.T) {
	newNetns(t)
	sysctlHere(t, "nf_conntrack_events", "0")
	l := openHere(t, "")
	insertBulk(t, 0, 10)
	before, _ := flowsOf(t, l, Filter{})
	w := startWatch(t, l, WatchOptions{Remember: 1000, Reread: 20 * time.Millisecond}, nil)
	insertBulk(t, 10, 10)
	deleteBulk(t, 5, 2)
	markBulk(t, 0, 3, 4)
	w.until("changes", func(e []Event) bool { return len(flowEvents(e)) >= 15 })
	events := w.stop()
	for _, e := range flowEvents(events) {
		if !e.Found {
			t.Errorf("%v by an event: %+v", e.Kind, e.Flow)
		}
	}
	compare(t, replay(t, events, before), l)
}

func TestWatchKindsAndKeep(t *testing.T) {
	newNetns(t)
	l := openHere(t, "")
	keep := func(f *host.Flow) bool { return f.Original.Src.As4()[3]%2 == 0 }
	for _, remember := range []int{0, 10} {
		w := startWatch(t, l, WatchOptions{Remember: remember, Kinds: []EventKind{EventDestroy}, Keep: keep}, nil)
		insertBulk(t, 0, 5)
		deleteBulk(t, 0, 5)
		w.until("events", func(e []Event) bool { return len(flowEvents(e)) == 3 })
		for _, e := range flowEvents(w.stop()) {
			if e.Kind != EventDestroy || !keep(&e.Flow) {
				t.Errorf("%v %+v", e.Kind, e.Flow)
			}
		}
	}
}

// An event says between which generations of the rules it happened.
func TestWatchRevisions(t *testing.T) {
	newNetns(t)
	l := openHere(t, "")
	r, err := l.Revisions()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if !r.Counted() {
		t.Fatal("nf_tables is not counted")
	}
	w := startWatch(t, l, WatchOptions{Revisions: r}, nil)
	var gens []uint32
	for i := range 3 {
		run(t, "", "nft", "add", "table", "ip", fmt.Sprintf("t%d", i))
		s, rev, settled, err := r.Snapshot(context.Background(), l)
		if err != nil || !settled || s.Rules.Generation != rev.Generation || rev.Generation == 0 {
			t.Fatalf("snapshot: generation %d, revision %+v, settled %v, %v", s.Rules.Generation, rev, settled, err)
		}
		gens = append(gens, rev.Generation)
		insertBulk(t, i, 1)
		w.until("event", func(e []Event) bool { return len(flowEvents(e)) == i+1 })
	}
	now, err := r.Now(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	run(t, "", "ip", "addr", "add", "10.9.9.9/24", "dev", "lo")
	after, err := r.Now(context.Background())
	if err != nil || after.Routing == now.Routing || after.Generation != now.Generation {
		t.Errorf("an address came: %+v, then %+v, %v", now, after, err)
	}
	for i, e := range flowEvents(w.stop()) {
		if e.Until.Generation != gens[i] || e.Since.Generation > gens[i] || i > 0 && e.Since.Generation < gens[i-1] {
			t.Errorf("event %d: since %+v until %+v, generations %v", i, e.Since, e.Until, gens)
		}
	}
}

func TestWatchEnds(t *testing.T) {
	newNetns(t)
	l := openHere(t, "")
	ctx := context.Background()
	if err := l.Watch(ctx, WatchOptions{}, func(*Event) error { return ErrStop }); err != nil {
		t.Errorf("stop: %v", err)
	}
	mine := errors.New("pipe closed")
	if err := l.Watch(ctx, WatchOptions{Remember: 1}, func(*Event) error { return mine }); !errors.Is(err, mine) || err.Error() != "conntrack events: pipe closed" {
		t.Errorf("own error: %v", err)
	}
	l.Close()
	if err := l.Watch(ctx, WatchOptions{}, func(*Event) error { return nil }); !errors.Is(err, errClosed) {
		t.Errorf("closed: %v", err)
	}
}
