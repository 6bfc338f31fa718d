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
	benchPart  = 1_000_000 // lines of a member of the packed file
	maxHeap    = 64 << 20  // with the packed file, and what waits for the collector
)

// BenchmarkLog reads a syslog of ten million lines on one core: alone, and as
// ntdiag invalid does, with what conntrack wrote parsed and summed up. That is to
// be 500,000 lines a second at least, and to need no more memory for more lines.
func BenchmarkLog(b *testing.B) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	packed := kernlog.PackedLog(b, benchPart)
	text := func() io.Reader { return kernlog.NewMixedLog(benchLines) }
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
				b.Errorf("%d bytes on the heap", peak)
			}
			b.ReportMetric(float64(peak)/(1<<20), "heap-MiB")
			lines := float64(b.N) * benchLines
			b.ReportMetric(lines/b.Elapsed().Seconds(), "lines/s")
			b.ReportMetric(lines/(cpu()-before).Seconds(), "lines/cpu-s") // on a machine that does other things too
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
