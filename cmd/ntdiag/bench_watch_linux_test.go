package main

import (
	"encoding/json"
	"syscall"
	"testing"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/lab"
)

// watchBench is how many events wait for BenchmarkWatch: what one buffer holds.
const watchBench = 200_000

// BenchmarkWatch stops `ntdiag flows watch`, lets events of rewritten flows pile
// up in its socket, and takes the time until all are written: with the rules
// looked up, and of a watch whose filter fits none of them.
func BenchmarkWatch(b *testing.B) {
	for _, bench := range []struct {
		name string
		args []string
	}{
		{"rules", nil},
		{"filtered", []string{"--dport", "9999"}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			for b.Loop() {
				took := watchBurst(b, bench.args)
				b.ReportMetric(watchBench/took.Seconds(), "events/s")
			}
		})
	}
}

// watchBurst is how long a burst takes. The flow that ends it fits every filter.
func watchBurst(b *testing.B, args []string) time.Duration {
	l, err := lab.New()
	benchNeeds(b, err)
	defer l.Close()
	n, err := l.Typical("s0")
	benchNeeds(b, err)
	if err := n.Router.Do(loadRules); err != nil {
		b.Fatal(err)
	}
	w := watchFlows(b, n, append([]string{"-o", "jsonl", "--events", "new", "--buffer", "524288"}, args...)...)
	w.started()
	if err := w.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		b.Fatal(err)
	}
	if err := n.Router.Do(func() error { return insert(watchBench) }); err != nil {
		b.Fatal(err)
	}
	if _, err := n.Client.UDP(addrPort("10.0.0.10:9998"), addrPort("10.8.2.12:9999"), true); err != nil {
		b.Fatal(err)
	}
	start := time.Now()
	if err := w.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		b.Fatal(err)
	}
	// without a look at each line, which would take longer than to write it
	looked := 0
	for line := range w.lines {
		looked++
		if looked%(watchBench/10) != 0 && len(args) == 0 && looked < watchBench {
			continue
		}
		var r record
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			b.Fatal(err)
		}
		if r.Event == "lost" {
			b.Fatal("events were lost")
		}
		if isEvent("new", 9998)(&r) {
			break
		}
		if len(r.Rewrites) != 1 || len(r.Rewrites[0].Rules) != 1 || r.Rewrites[0].Rules[0].Comment != "wan" {
			b.Fatalf("%s, want %s", r.by(), byWan)
		}
	}
	took := time.Since(start)
	if code := w.interrupt(); code != 0 {
		b.Logf("exit code %d: %s", code, w.stderr.String())
	}
	return took
}
