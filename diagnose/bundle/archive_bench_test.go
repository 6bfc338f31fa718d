package bundle

import (
	"context"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/flowjson"
	"github.com/ntdiag/ntdiag/diagnose/host"
)

// BenchmarkArchive writes NTDIAG_BENCH_FLOWS flows with their text, and opens
// and reads them. The ratio is to bringing the flows into both forms alone.
func BenchmarkArchive(b *testing.B) {
	n := 1000000
	if s := os.Getenv("NTDIAG_BENCH_FLOWS"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil {
			b.Fatal(err)
		}
	}
	path := b.TempDir() + "/b.tar.zst"
	var form, write, open, read time.Duration
	var heap uint64
	var size, kept int64
	for b.Loop() {
		start := time.Now()
		benchForms(n)
		form += time.Since(start)
		heap = peakHeap(func() {
			start = time.Now()
			benchWrite(b, path, n)
			write += time.Since(start)
		})
		start = time.Now()
		r, err := Open(context.Background(), path)
		must(b, err)
		open += time.Since(start)
		start = time.Now()
		kept = 0
		must(b, r.Flows(context.Background(), &r.Manifest().Namespaces[0], 1, func(*host.Flow) error { kept++; return nil }))
		read += time.Since(start)
		must(b, r.Close())
		info, err := os.Stat(path)
		must(b, err)
		size = info.Size()
	}
	per := func(d time.Duration) float64 { return float64(d.Milliseconds()) / float64(b.N) }
	b.ReportMetric(per(write), "ms/write")
	b.ReportMetric(per(open), "ms/open")
	b.ReportMetric(per(read), "ms/read")
	b.ReportMetric(float64(write)/float64(form), "ratio")
	b.ReportMetric(float64(heap)/(1<<20), "MiB-heap")
	b.ReportMetric(float64(size)/(1<<20), "MiB-file")
	b.ReportMetric(float64(kept), "flows")
}

// benchLine is about what conntrack prints, as fast as that can be.
func benchLine(b []byte, f *host.Flow) []byte {
	b = strconv.AppendUint(append(b, "ipv4     2 tcp      6 "...), uint64(f.Timeout), 10)
	b = append(b, " ESTABLISHED"...)
	for _, t := range []struct {
		src, dst     interface{ AppendTo([]byte) []byte }
		sport, dport uint16
		c            host.Counts
	}{{f.Original.Src, f.Original.Dst, f.Original.SrcPort, f.Original.DstPort, f.Orig}, {f.Reply.Src, f.Reply.Dst, f.Reply.SrcPort, f.Reply.DstPort, f.Repl}} {
		b = t.src.AppendTo(append(b, " src="...))
		b = t.dst.AppendTo(append(b, " dst="...))
		b = strconv.AppendUint(append(b, " sport="...), uint64(t.sport), 10)
		b = strconv.AppendUint(append(b, " dport="...), uint64(t.dport), 10)
		b = strconv.AppendUint(append(b, " packets="...), t.c.Packets, 10)
		b = strconv.AppendUint(append(b, " bytes="...), t.c.Bytes, 10)
	}
	b = strconv.AppendUint(append(b, " [ASSURED] mark="...), uint64(f.Mark), 10)
	b = strconv.AppendUint(append(b, " use="...), uint64(f.Use), 10)
	return append(strconv.AppendUint(append(b, " id="...), uint64(f.ID), 10), '\n')
}

func benchForms(n int) {
	var f host.Flow
	var buf []byte
	for i := range n {
		testFlow(&f, i)
		buf = benchLine(flowjson.Append(buf[:0], &f), &f)
	}
}

func benchWrite(b *testing.B, path string, n int) {
	file, err := CreateFile(context.Background(), path, true)
	must(b, err)
	info := testInfo()
	info.Flows = uint64(n)
	w, err := NewWriter(file, info)
	must(b, err)
	ns := w.Namespace("", "", host.Place{})
	must(b, ns.State(testState()))
	fw, err := ns.Flows(1, FlowOptions{At: created, Expect: uint64(n), Line: benchLine})
	must(b, err)
	var f host.Flow
	for i := range n {
		testFlow(&f, i)
		must(b, fw.Add(&f))
	}
	must(b, fw.Close(capture.FlowsInfo{Count: n}))
	must(b, w.Close())
	must(b, file.Commit())
}

// peakHeap is how much more memory is in use at most while fn runs.
func peakHeap(fn func()) uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	before, peak := m.HeapAlloc, uint64(0)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond):
				runtime.ReadMemStats(&m)
				peak = max(peak, m.HeapAlloc)
			}
		}
	}()
	fn()
	close(stop)
	<-done
	return peak - min(peak, before)
}
