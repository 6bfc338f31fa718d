package kernlog_test

import (
	"bytes"
	"io"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ntdiag/ntdiag/diagnose/invalid"
	"github.com/ntdiag/ntdiag/diagnose/kernlog"
)

const (
	benchLines = 10_000_000
	benchPart  = 100_000  // lines of a member of the packed file
	promise    = 500_000  // lines a second of one processor
	maxHeap    = 32 << 20 // with what waits for the collector
)

// BenchmarkLog reads a syslog of ten million lines on one core: alone, and as
// ntdiag invalid does, with what conntrack wrote parsed and summed up by flow,
// of 600 flows and of one in each message. It fails where a promise is not
// kept: of lines a second, and of memory that more lines do not need.
func BenchmarkLog(b *testing.B) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	packed := kernlog.PackedLog(b, benchPart)
	text := func() io.Reader { return kernlog.NewMixedLog(benchLines) }
	flows := func() io.Reader { return kernlog.NewFlowLog(benchLines) }
	gzip := func() io.Reader {
		var members []io.Reader
		for range benchLines / benchPart {
			members = append(members, bytes.NewReader(packed))
		}
		return io.MultiReader(members...)
	}
	for _, bench := range []struct {
		name string
		from func() io.Reader
		each func() (each func(*kernlog.Record), messages func() uint64)
	}{
		{"text/read", text, readOnly},
		{"text/parse", text, parse},
		{"text/flows", flows, parse},
		{"gzip/read", gzip, readOnly},
		{"gzip/parse", gzip, parse},
	} {
		b.Run(bench.name, func(b *testing.B) {
			before, peak := cpu(), uint64(0)
			for b.Loop() {
				each, messages := bench.each()
				peak = max(peak, readAll(b, bench.from(), each))
				if got := messages(); got != benchLines/10*6 {
					b.Fatalf("%d messages of conntrack", got)
				}
			}
			if peak > maxHeap {
				b.Errorf("%d bytes on the heap: no more than %d are promised", peak, maxHeap)
			}
			b.ReportMetric(float64(peak)/(1<<20), "peak-heap-MiB")
			lines := float64(b.N) * benchLines
			perCPU := lines / (cpu() - before).Seconds() // on a machine that does other things too
			b.ReportMetric(lines/b.Elapsed().Seconds(), "lines/s")
			b.ReportMetric(perCPU, "lines/cpu-s")
			b.ReportMetric(perCPU/promise, "x-promise")
			if perCPU < promise {
				b.Errorf("%.0f lines a second of one processor: %d are promised", perCPU, promise)
			}
		})
	}
}

// cpu is the time that the process had on a processor.
func cpu() time.Duration {
	var use unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &use); err != nil {
		return 0
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}

func readOnly() (func(*kernlog.Record), func() uint64) {
	var n uint64
	return func(*kernlog.Record) { n++ }, func() uint64 { return n / 7 * 6 }
}

func parse() (func(*kernlog.Record), func() uint64) {
	tally := invalid.NewTally()
	var j invalid.Joiner
	var m invalid.Message
	return func(rec *kernlog.Record) {
		for again := true; again; {
			var ok bool
			if ok, again = j.Next(rec, &m); ok {
				tally.Add(&m, rec.Messages())
			}
		}
	}, func() uint64 { return tally.Messages }
}

// readAll reads to the end, and returns the most that was on the heap.
func readAll(b *testing.B, from io.Reader, each func(*kernlog.Record)) (peak uint64) {
	b.Helper()
	r, err := kernlog.Open([]string{"-"}, from)
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	var rec kernlog.Record
	var m runtime.MemStats
	n := 0
	for err = r.Next(&rec); err == nil; err = r.Next(&rec) {
		each(&rec)
		if n++; n%benchPart == 0 {
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapAlloc)
		}
	}
	if s := r.Stats(); err != io.EOF || s.Lines != benchLines || len(r.Missing()) > 0 {
		b.Fatalf("%v: %+v, missing %v", err, s, r.Missing())
	}
	return peak
}
