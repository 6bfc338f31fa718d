package remove

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/journal"
	"github.com/ntdiag/ntdiag/diagnose/lab"
)

// TestUndoOfTraffic: entries that packets made, through rules, come back as
// they were.
func TestUndoOfTraffic(t *testing.T) {
	l, err := lab.New()
	if err != nil {
		lab.LeaveOut(t, err)
	}
	t.Cleanup(func() { l.Close() })
	n, err := l.Typical("s0")
	if err != nil {
		t.Fatal(err)
	}
	tb := tableOf(t, n.Router)
	tb.nft(`table inet nat {
	chain prerouting {
		type nat hook prerouting priority dstnat
		ct state new ct mark set 0x42
		ip daddr 10.0.0.1 tcp dport 80 dnat to 192.168.1.80:8080
		meta l4proto udp udp dport 53 dnat ip to 192.168.1.81
	}
	chain postrouting {
		type nat hook postrouting priority srcnat
		oifname "s0" ip saddr 10.0.0.10 masquerade random
		oifname "s0" ip6 saddr fd00:a::10 masquerade
	}
}`)
	tcp := func(h *lab.Host, src, dst string) func() error {
		return func() error {
			_, err := h.TCP(netip.MustParseAddrPort(src), netip.MustParseAddrPort(dst))
			return err
		}
	}
	udp := func(dst string, reply bool) func() error {
		return func() error {
			_, err := n.Client.UDP(netip.AddrPort{}, netip.MustParseAddrPort(dst), reply)
			return err
		}
	}
	ping := func(src, dst string) func() error {
		return func() error { return n.Client.Ping(netip.MustParseAddr(src), netip.MustParseAddr(dst), 77, true) }
	}
	steps := []func() error{
		tcp(n.Client, "10.0.0.10:5000", "10.0.0.1:80"),
		tcp(n.Client, "10.0.0.10:5001", "10.8.2.12:443"),
		tcp(n.Client, "10.0.0.11:5002", "10.8.2.12:443"), // no NAT
		tcp(n.Client, "[fd00:a::10]:5003", "[fd00:c::1]:443"),
		tcp(n.Server, "[fd00:b::80]:5004", "[fd00:a::10]:22"),
		udp("10.8.2.12:53", true),
		udp("10.8.2.12:5353", false),
		udp("[fd00:c::1]:5353", true),
		ping("10.0.0.10", "10.8.2.12"),
		ping("10.0.0.11", "10.8.2.12"),
		ping("fd00:a::10", "fd00:c::1"),
	}
	for i, step := range steps {
		if err := step(); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
	}
	began, before := time.Now(), tb.dump()
	w := newJournal(t, t.TempDir())
	results, err := Run(context.Background(), tb, w, plan(before, all), Options{})
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[journal.Action]int{journal.Deleted: len(steps)}, actions(results)); d != "" {
		t.Fatal(d)
	}
	tb.undo(w.Path())
	if d := cmp.Diff(before, tb.dump(), kept(began)); d != "" {
		t.Errorf("before -, after +:\n%s", d)
	}
	for _, f := range before {
		if f.Has&host.HasMark != 0 && f.Mark != 0x42 {
			t.Errorf("mark %#x", f.Mark)
		}
	}
}

// BenchmarkRun deletes a twentieth of a large table, with its journal on the
// disk, and looks that they stay away.
func BenchmarkRun(b *testing.B) {
	tb := newTable(b)
	total, chosen := size(b)
	tb.room(total)
	for i := range total {
		tb.insert(tcp(i))
	}
	n := 0
	todo := plan(tb.dump(), func(*host.Flow) bool { n++; return n%(total/chosen) == 0 })
	for b.Loop() {
		b.StopTimer()
		w := newJournal(b, b.TempDir())
		b.StartTimer()
		results, err := Run(context.Background(), tb, w, todo, Options{})
		b.StopTimer()
		if err := errors.Join(err, w.Close()); err != nil || actions(results)[journal.Deleted] != len(todo) {
			b.Fatalf("%v: %v", actions(results), err)
		}
		tb.undo(w.Path())
		todo = plan(tb.dump(), chosenIn(todo))
		b.StartTimer()
	}
	b.ReportMetric(float64(len(todo)), "flows/op")
}

// chosenIn finds the flows of a plan again: they have other ids now.
func chosenIn(todo []Planned) func(*host.Flow) bool {
	keys := map[string]bool{}
	for i := range todo {
		keys[key(&todo[i].Flow)] = true
	}
	return func(f *host.Flow) bool { return keys[key(f)] }
}
