package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

// flowsEnv is how many entries the table holds; one of twenty is stale.
const flowsEnv = "NTDIAG_STALE_FLOWS"

// loadFlow is the nth flow through the router. Most are masqueraded alone; of
// twenty one goes to port 8080 of the router, from where the rule sends it to
// 192.168.1.80:80, and another, a stale one, still to 192.168.1.99.
func loadFlow(n int, stale bool) host.Flow {
	client, port := netip.AddrFrom4([4]byte{10, 0, 0, byte(20 + n%200)}), uint16(1024+n/200)
	server, dport := netip.AddrFrom4([4]byte{10, 8, byte(n >> 8), byte(n)}), uint16(80)
	target, mapped := server, uint16(1024+n>>16)
	nat := host.StatusSrcNAT | host.StatusSrcNATDone | host.StatusDstNATDone
	if n%20 == 7 || n%20 == 8 {
		server, dport = netip.AddrFrom4([4]byte{10, 0, 0, 1}), 8080
		target, mapped = netip.AddrFrom4([4]byte{192, 168, 1, 80}), uint16(1024+n/20)
		nat |= host.StatusDstNAT
	}
	if stale {
		target = netip.AddrFrom4([4]byte{192, 168, 1, 99})
	}
	return host.Flow{
		Family: rules.FamilyIPv4, Has: host.HasTimeout | host.HasTCPState, Timeout: 600, TCPState: 3,
		Status:   nat | host.StatusSeenReply | host.StatusAssured | host.StatusConfirmed,
		Original: rules.Tuple{Proto: 6, Src: client, Dst: server, SrcPort: port, DstPort: dport},
		Reply:    rules.Tuple{Proto: 6, Src: target, Dst: netip.AddrFrom4([4]byte{192, 168, 1, 2}), SrcPort: 80, DstPort: mapped},
	}
}

// staleOf: one of twenty.
func staleOf(n int) bool { return n%20 == 7 }

// arrivals makes entries until it is told to stop: new ones, and now and then
// one of ten stale ones anew, as the rules have it now.
type arrivals struct {
	e         *capture.Entries
	total     int
	quit      chan struct{}
	done      sync.WaitGroup
	new, anew map[rules.Tuple]bool
	err       error
}

func (a *arrivals) start() {
	a.new, a.anew, a.quit = map[rules.Tuple]bool{}, map[rules.Tuple]bool{}, make(chan struct{})
	a.done.Go(func() {
		for i := 0; a.err == nil; i++ {
			select {
			case <-a.quit:
				return
			default:
				a.err = a.step(i)
			}
		}
	})
}

func (a *arrivals) step(i int) error {
	ctx := context.Background()
	f := loadFlow(a.total+i, false)
	if i%40 > 0 {
		a.new[f.Original] = true
		return a.insert(ctx, &f)
	}
	n := i/40*200 + 7
	if n >= a.total {
		return nil
	}
	old := loadFlow(n, true)
	now, err := a.e.Get(ctx, &old)
	if err == nil {
		err = a.e.Delete(ctx, now)
	}
	if err != nil && !errors.Is(err, capture.ErrNotFound) {
		return err
	}
	f = loadFlow(n, false)
	a.anew[f.Original] = true
	return a.insert(ctx, &f)
}

// insert finds the reply tuple of a few of them taken, as packets would.
func (a *arrivals) insert(ctx context.Context, f *host.Flow) error {
	for {
		err := a.e.Insert(ctx, f)
		if !errors.Is(err, capture.ErrExists) {
			return err
		}
		f.Reply.DstPort++
	}
}

// TestStaleUnderLoad: of a table to which entries come all the time, exactly
// the stale ones go; those that were made anew in between stay.
func TestStaleUnderLoad(t *testing.T) {
	n := scriptLab(t)
	total := 100_000
	if s := os.Getenv(flowsEnv); s != "" {
		var err error
		if total, err = strconv.Atoi(s); err != nil || total < 100 {
			t.Fatalf("%s=%s: want a number, 100 or more", flowsEnv, s)
		}
	}
	live, err := capture.Open(n.Router.Path())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { live.Close() })
	x := &arrivals{total: total}
	if x.e, err = live.Entries(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(x.e.Close)
	before := dumpOf(t, live) // the lab's own, which come and go
	for i := range total {
		f := loadFlow(i, staleOf(i))
		if err := x.insert(t.Context(), &f); err != nil {
			t.Fatal(err)
		}
	}
	x.start()
	cmd := exec.Command("ntdiag", "stale", "--netns", n.Router.Path(), "--delete", "--yes", "--journal", t.TempDir(), "-o", "json")
	out, err := cmd.Output()
	close(x.quit)
	x.done.Wait()
	var exit *exec.ExitError
	if x.err != nil || err != nil && (!errors.As(err, &exit) || exit.ExitCode() != exitFound) {
		t.Fatalf("%v, arrivals: %v\n%s", err, x.err, exit.Stderr)
	}
	x.compare(t, before, dumpOf(t, live), out)
}

func dumpOf(t *testing.T, l *capture.Live) map[rules.Tuple]host.Flow {
	t.Helper()
	out := map[rules.Tuple]host.Flow{}
	if _, err := l.Flows(t.Context(), capture.Filter{}, func(f *host.Flow) error {
		out[f.Original] = *f
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

// compare holds the table and the answer against what was made.
func (a *arrivals) compare(t *testing.T, before, after map[rules.Tuple]host.Flow, out []byte) {
	t.Helper()
	var doc struct {
		Checked int
		Stale   []struct{ Class, Confidence, Action string }
	}
	if err := json.Unmarshal(out, &doc); err != nil {
		t.Fatalf("%v: %.300s", err, out)
	}
	actions := map[string]int{}
	for _, s := range doc.Stale {
		actions[s.Action]++
		if s.Class != "target-changed" || s.Confidence != "certain" {
			t.Errorf("%s, %s", s.Class, s.Confidence)
		}
	}
	t.Logf("%d checked of %d and %d new ones, %d made anew: %v", doc.Checked, a.total, len(a.new), len(a.anew), actions)
	if n := actions["deleted"] + actions["gone"] + actions["changed"]; n != len(doc.Stale) || actions["deleted"] == 0 {
		t.Errorf("of %d: %v", len(doc.Stale), actions)
	}
	want := map[rules.Tuple]host.Flow{}
	for i := range a.total {
		if f := loadFlow(i, false); !staleOf(i) || a.anew[f.Original] {
			want[f.Original] = f
		}
	}
	for tuple := range a.new {
		want[tuple] = host.Flow{}
	}
	for tuple := range before {
		delete(after, tuple)
	}
	for tuple, f := range after {
		if _, ok := want[tuple]; !ok {
			t.Errorf("was not deleted: %v", tuple)
		}
		if f.Reply.Src == loadFlow(7, true).Reply.Src {
			t.Errorf("is still stale: %v", tuple)
		}
		delete(want, tuple)
	}
	for tuple := range want {
		t.Errorf("was not stale and went: %v", tuple)
	}
}
