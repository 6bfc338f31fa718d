package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/lab"
)

// BenchmarkBundle makes a redacted bundle of NTDIAG_BENCH_FLOWS (1,000,000)
// entries, whole: two readings of the table, what commands say, the search for
// originals. Beside it `conntrack -L` reads the table once.
func BenchmarkBundle(b *testing.B) {
	n := benchFlows(b)
	l, err := lab.New()
	benchNeeds(b, err)
	defer l.Close()
	_, err = exec.LookPath("conntrack")
	benchNeeds(b, err)
	router, err := l.Host("router")
	benchNeeds(b, err)
	raiseMax(b, n+100000)
	if err := router.Fill(n, benchEntry); err != nil {
		b.Fatal(err)
	}
	timed := func(name string, args ...string) (took time.Duration, peak int64) {
		c := exec.Command(name, args...)
		if name == "conntrack" {
			out, err := os.Create(filepath.Join(b.TempDir(), "conntrack.txt"))
			if err != nil {
				b.Fatal(err)
			}
			defer out.Close()
			c.Stdout = out
		}
		start := time.Now()
		if err := router.Do(c.Run); err != nil {
			b.Fatal(err)
		}
		return time.Since(start), c.ProcessState.SysUsage().(*syscall.Rusage).Maxrss
	}
	for b.Loop() {
		theirs, _ := timed("conntrack", "-L", "-o", "extended,id")
		file := filepath.Join(b.TempDir(), "b.tar.zst")
		ours, peak := timed(ntdiagBinary(), "bundle", "create", "--interval", "0s", file)
		info, err := os.Stat(file)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(n), "entries")
		b.ReportMetric(ours.Seconds(), "s/bundle")
		b.ReportMetric(float64(ours)/float64(theirs), "ratio-to-conntrack-L")
		b.ReportMetric(float64(peak)/1024, "MiB-peak")
		b.ReportMetric(float64(info.Size())/(1<<20), "MiB-file")
	}
}
