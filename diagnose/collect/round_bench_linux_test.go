package collect

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/bundle"
	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/lab"
	"github.com/ntdiag/ntdiag/diagnose/redact"
)

const (
	// roundEnv names the file that a process of this program writes one round
	// into, instead of running tests.
	roundEnv = "NTDIAG_BENCH_ROUND"

	mostRatio = 2.0 // of the time that conntrack -L takes
	mostMiB   = 150
)

// BenchmarkRound reads a table of NTDIAG_BENCH_FLOWS (1,000,000) entries behind
// NAT, redacts it, and writes it as one round: as JSON and as conntrack prints
// it, compressed, into a file. By turns with it `conntrack -L -o extended`
// prints the same table to nowhere. Each is a process of its own.
func BenchmarkRound(b *testing.B) {
	n := 1_000_000
	if text := os.Getenv("NTDIAG_BENCH_FLOWS"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil {
			b.Fatal(err)
		}
	}
	h := crowded(b, n)
	path := b.TempDir() + "/b.tar.zst"
	var ours, theirs, cpu, theirCPU []time.Duration
	peak := 0
	for b.Loop() {
		for range 5 {
			c := exec.Command("conntrack", "-L", "-o", "extended")
			theirs = append(theirs, timed(b, h, c))
			theirCPU = append(theirCPU, worked(c))
			c = exec.Command("/proc/self/exe")
			c.Env = append(os.Environ(), roundEnv+"="+path)
			var out strings.Builder
			c.Stdout = &out
			ours = append(ours, timed(b, h, c))
			cpu = append(cpu, worked(c))
			var flows, kB int
			if _, err := fmt.Sscan(out.String(), &flows, &kB); err != nil || flows != n {
				b.Fatalf("%q: %v; want %d flows", out.String(), err, n)
			}
			peak = max(peak, kB/1024)
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	ratio := float64(median(ours)) / float64(median(theirs))
	b.ReportMetric(float64(n), "entries")
	b.ReportMetric(median(ours).Seconds(), "s/round")
	b.ReportMetric(median(cpu).Seconds(), "cpu-s/round")
	b.ReportMetric(median(theirs).Seconds(), "s/conntrack-L")
	b.ReportMetric(median(theirCPU).Seconds(), "cpu-s/conntrack-L")
	b.ReportMetric(ratio, "ratio")
	b.ReportMetric(float64(peak), "MiB-peak")
	b.ReportMetric(float64(info.Size())/(1<<20), "MiB-file")
	if ratio > mostRatio {
		b.Errorf("a round takes %.2f times as long as conntrack -L, at most %v", ratio, mostRatio)
	}
	if peak > mostMiB {
		b.Errorf("a round takes %d MiB, at most %d", peak, mostMiB)
	}
}

func timed(b *testing.B, h *lab.Host, c *exec.Cmd) time.Duration {
	b.Helper()
	c.Stderr = os.Stderr
	if c.Args[0] == "conntrack" {
		c.Stderr = nil // how many it has shown
	}
	start := time.Now()
	if err := h.Do(c.Run); err != nil {
		b.Fatal(err)
	}
	return time.Since(start)
}

func worked(c *exec.Cmd) time.Duration {
	return c.ProcessState.UserTime() + c.ProcessState.SystemTime()
}

func median(d []time.Duration) time.Duration {
	d = slices.Sorted(slices.Values(d))
	return d[len(d)/2]
}

// crowded is a router with some rules and n entries that they made.
func crowded(b *testing.B, n int) *lab.Host {
	needs := func(err error) {
		b.Helper()
		if err != nil {
			b.Skipf("kernel benchmark skipped: %v", err)
		}
	}
	_, err := exec.LookPath("conntrack")
	needs(err)
	l, err := lab.New()
	needs(err)
	b.Cleanup(func() { l.Close() })
	net, err := l.Typical("s0")
	needs(err)
	_, err = net.Router.Run(ruleset, "nft", "-f", "-")
	needs(err)
	const most = "/proc/sys/net/netfilter/nf_conntrack_max"
	text, err := os.ReadFile(most)
	needs(err)
	if now, _ := strconv.Atoi(strings.TrimSpace(string(text))); now < n+lab.Crowd {
		needs(os.WriteFile(most, []byte(strconv.Itoa(n+lab.Crowd)), 0))
		b.Cleanup(func() { _ = os.WriteFile(most, text, 0) })
	}
	if err := net.Router.Fill(n, entry); err != nil {
		b.Fatal(err)
	}
	return net.Router
}

// entry is entry i: of a client of its own in 10.0.0.0/8, to one of 1,009 servers.
func entry(i int) lab.Entry {
	at := func(base, i uint32) netip.Addr {
		return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, base+i)))
	}
	client, server := uint32(i*13%(1<<24-1)), uint32(i*7%1009)
	e := lab.Entry{
		Proto:   6,
		Src:     netip.AddrPortFrom(at(0x0a000001, client), uint16(1024+i%60000)),
		Dst:     netip.AddrPortFrom(at(0xcb007100, server), 443),
		NAT:     netip.AddrPortFrom(at(0xc0a80102, uint32(i/50000)), uint16(1024+i%50000)),
		Assured: true,
	}
	if i%4 == 0 {
		e.Proto = 17
		e.Dst = netip.AddrPortFrom(e.Dst.Addr(), 53)
	}
	return e
}

// roundAlone writes the round, and prints the flows it has and the kilobytes
// that this process had in memory at most.
func roundAlone(ctx context.Context, path string, out io.Writer) error {
	live, err := capture.Open("")
	if err != nil {
		return err
	}
	defer live.Close()
	src, err := redact.Wrap(ctx, live, redact.Key{1}, redact.Options{})
	if err != nil {
		return err
	}
	file, err := bundle.CreateFile(ctx, path, true)
	if err != nil {
		return err
	}
	defer file.Abort()
	n, _, err := live.Count()
	if err != nil {
		return err
	}
	w, err := bundle.NewWriter(file, bundle.Info{Created: time.Now(), Flows: 2 * n})
	if err != nil {
		return err
	}
	s := &Space{Source: src}
	if err := s.begin(ctx, w); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	if err := file.Commit(); err != nil {
		return err
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	_, peak, _ := strings.Cut(string(status), "VmHWM:")
	_, err = fmt.Fprintln(out, s.read[0], strings.Fields(peak)[0])
	return err
}
