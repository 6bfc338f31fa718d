package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/lab"
	"github.com/ntdiag/ntdiag/diagnose/survey"
)

// BenchmarkSurveyFullTable reads a table of NTDIAG_BENCH_FLOWS (1,000,000)
// entries, by turns only reading it and counting what it is made of: that is to
// hide behind the kernel's own time.
func BenchmarkSurveyFullTable(b *testing.B) {
	n := benchFlows(b)
	l, err := lab.New()
	benchNeeds(b, err)
	defer l.Close()
	router, err := l.Host("router")
	benchNeeds(b, err)
	lab.Global(b, fmt.Sprintf("net.netfilter.nf_conntrack_max=%d", n+100000))
	if err := router.Fill(n, benchEntry); err != nil {
		b.Fatal(err)
	}
	live, err := capture.Open(router.Path())
	if err != nil {
		b.Fatal(err)
	}
	defer live.Close()
	read := func(each func(*host.Flow)) time.Duration {
		start := time.Now()
		info, err := live.Flows(b.Context(), capture.Filter{}, func(f *host.Flow) error {
			each(f)
			return nil
		})
		if err != nil || info.Count < n {
			b.Fatalf("%d entries of %d: %v", info.Count, n, err)
		}
		return time.Since(start)
	}
	var alone, counting time.Duration
	for b.Loop() {
		for range 3 {
			alone += read(func(*host.Flow) {})
			s := survey.New([]survey.PortRange{{Lo: 40000, Hi: 41000}})
			counting += read(s.Add)
			if s.SNAT < n || len(s.Sources(1)) == 0 {
				b.Fatalf("%d flows with SNAT of %d", s.SNAT, n)
			}
		}
	}
	b.ReportMetric(float64(n), "entries")
	b.ReportMetric(alone.Seconds()/float64(3*b.N), "s/read")
	b.ReportMetric(counting.Seconds()/float64(3*b.N), "s/survey")
	b.ReportMetric(float64(counting)/float64(alone), "ratio")
}
