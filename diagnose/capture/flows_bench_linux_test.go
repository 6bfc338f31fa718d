package capture

import (
	"context"
	"encoding/binary"
	"net/netip"
	"runtime"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/lab"
)

// crowdEntry is flow i of many: from 10.0.0.0 up, behind one address.
func crowdEntry(i int) lab.Entry {
	const ports = 50000 // of an address: no two flows are alike behind the one
	n, port := uint32(i/ports), uint16(1024+i%ports)
	addr := func(n uint32) netip.Addr { return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, n))) }
	return lab.Entry{
		Proto: unix.IPPROTO_TCP, Assured: true,
		Src: netip.AddrPortFrom(addr(0x0a000000+n), port),
		Dst: netip.AddrPortFrom(addr(0xcb007100+n), 443),
		NAT: netip.AddrPortFrom(addr(0xc0a80102), port),
	}
}

// crowded is a namespace with NTDIAG_BENCH_FLOWS (1,000,000) entries, and the
// room for as many as more.
func crowded(b *testing.B, more int) (*lab.Host, *Live, int) {
	b.Helper()
	n := benchSize(b, "NTDIAG_BENCH_FLOWS", 1_000_000)
	l, err := lab.New()
	if err != nil {
		b.Skipf("kernel benchmark left out: %v", err)
	}
	b.Cleanup(func() { l.Close() })
	h, err := l.Host("router")
	if err != nil {
		b.Fatal(err)
	}
	if err := h.Sysctl("net.netfilter.nf_conntrack_acct=1", "net.netfilter.nf_conntrack_timestamp=1"); err != nil {
		b.Fatal(err)
	}
	live, err := Open(h.Path())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { live.Close() })
	if _, limit, err := live.Count(); err != nil || limit < uint64(n+more) {
		restore, err := lab.SetGlobal("net.netfilter.nf_conntrack_max=" + strconv.Itoa(n+more+lab.Crowd))
		if err != nil {
			b.Skipf("kernel benchmark left out: %v", err)
		}
		b.Cleanup(func() { _ = restore() })
	}
	if err := h.Fill(n, crowdEntry); err != nil {
		b.Fatal(err)
	}
	return h, live, n
}

// cost is what something took: of the clock, and of the processors.
type cost struct{ wall, user, sys []time.Duration }

func (c *cost) of(b *testing.B, f func() error) {
	b.Helper()
	var was, is unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &was)
	start := time.Now()
	if err := f(); err != nil {
		b.Fatal(err)
	}
	c.wall = append(c.wall, time.Since(start))
	_ = unix.Getrusage(unix.RUSAGE_SELF, &is)
	c.user = append(c.user, time.Duration(is.Utime.Nano()-was.Utime.Nano()))
	c.sys = append(c.sys, time.Duration(is.Stime.Nano()-was.Stime.Nano()))
}

func (c *cost) report(b *testing.B, of string) {
	ms := func(d []time.Duration) float64 { return float64(median(d).Microseconds()) / 1000 }
	b.ReportMetric(ms(c.wall), "ms/"+of)
	b.ReportMetric(ms(c.user), "ms-user/"+of)
	b.ReportMetric(ms(c.sys), "ms-sys/"+of)
}

// rounds is how often each of two is measured, by turns.
const rounds = 5

// BenchmarkFlowsRead reads the table, by turns with a loop that only receives
// it.
func BenchmarkFlowsRead(b *testing.B) {
	h, live, n := crowded(b, 0)
	var ours, floor cost
	var allocs uint64
	for b.Loop() {
		for range rounds {
			floor.of(b, func() error { _, err := lab.Receive(h); return err })
			var was, is runtime.MemStats
			runtime.ReadMemStats(&was)
			ours.of(b, func() error {
				info, err := live.Flows(context.Background(), Filter{}, func(*host.Flow) error { return nil })
				if info.Count != n {
					b.Fatalf("%d flows of %d", info.Count, n)
				}
				return err
			})
			runtime.ReadMemStats(&is)
			allocs = is.Mallocs - was.Mallocs
		}
	}
	b.ReportMetric(float64(n), "entries")
	b.ReportMetric(float64(allocs), "allocs/read")
	ours.report(b, "read")
	floor.report(b, "receive")
	b.ReportMetric(float64(median(ours.wall))/float64(median(floor.wall)), "ratio")
}

// BenchmarkFlowsChurn reads the table while 20,000 entries a second begin in
// it, by turns with a table that nothing happens to.
func BenchmarkFlowsChurn(b *testing.B) {
	const perSecond = 20_000
	h, live, n := crowded(b, 100*perSecond)
	var quiet, busy cost
	var repeated, began, made int
	read := func() error {
		info, err := live.Flows(context.Background(), Filter{}, func(*host.Flow) error { return nil })
		if info.Count < n {
			b.Fatalf("%d flows of %d", info.Count, n)
		}
		repeated, began = repeated+info.Turnover.Repeated, began+info.Turnover.Began
		return err
	}
	for b.Loop() {
		for range rounds {
			quiet.of(b, read)
			ctx, cancel := context.WithCancel(context.Background())
			ended := make(chan error, 1)
			base := made
			go func() {
				k, err := h.Churn(ctx, perSecond, func(i int) lab.Entry {
					e := crowdEntry(n + base + i)
					e.Timeout = 1
					return e
				})
				made += k
				ended <- err
			}()
			busy.of(b, read)
			cancel()
			if err := <-ended; err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(n), "entries")
	b.ReportMetric(float64(made)/float64(rounds), "made/read")
	b.ReportMetric(float64(began)/float64(rounds), "began/read")
	b.ReportMetric(float64(repeated), "repeated")
	quiet.report(b, "quiet")
	busy.report(b, "churn")
	b.ReportMetric(float64(median(busy.wall))/float64(median(quiet.wall)), "ratio")
}
