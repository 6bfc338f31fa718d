package main

import (
	"encoding/json"
	"syscall"
	"testing"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/lab"
)

// BenchmarkWatch stops `ntdiag flows watch`, lets events of rewritten flows pile
// up in its socket, and takes the time until all are written, and what it
// computed meanwhile: with the rules looked up, and of a watch whose filter fits
// none of them.
func BenchmarkWatch(b *testing.B) {
	for _, bench := range []struct {
		name string
		n    int
		args []string
	}{
		{"rules", 20_000, nil},
		{"filtered", 200_000, []string{"--dport", "9999"}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			for b.Loop() {
				took, cpu := watchBurst(b, bench.n, bench.args)
				b.ReportMetric(float64(bench.n)/took.Seconds(), "events/s")
				b.ReportMetric(float64(cpu.Microseconds())/float64(bench.n), "cpu-µs/event")
			}
		})
	}
}

// watchBurst is how long a burst of n events takes, and how much of processors.
// The flow that ends it fits every filter.
func watchBurst(b *testing.B, n int, args []string) (took, cpu time.Duration) {
	l, err := lab.New()
	benchNeeds(b, err)
	defer l.Close()
	net, err := l.Typical("s0")
	benchNeeds(b, err)
	if err := net.Router.Do(loadRules); err != nil {
		b.Fatal(err)
	}
	w := watchFlows(b, net, append([]string{"-o", "jsonl", "--events", "new", "--buffer", "524288"}, args...)...)
	w.started()
	if err := w.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		b.Fatal(err)
	}
	if err := net.Router.Fill(n, benchEntry); err != nil {
		b.Fatal(err)
	}
	if _, err := net.Client.UDP(addrPort("10.0.0.10:9998"), addrPort("10.8.2.12:9999"), true); err != nil {
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
		if looked%(n/10) != 0 && len(args) == 0 && looked < n {
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
	took = time.Since(start)
	if code := w.interrupt(); code != 0 {
		b.Logf("exit code %d: %s", code, w.stderr.String())
	}
	return took, w.cmd.ProcessState.UserTime() + w.cmd.ProcessState.SystemTime()
}
