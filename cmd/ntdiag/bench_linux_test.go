package main

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ntdiag/ntdiag/diagnose/lab"
)

// BenchmarkExplainFullTable asks for one flow of a table of
// NTDIAG_BENCH_FLOWS (1,000,000) entries, by turns with `ntdiag explain` and
// with `conntrack -G`, which looks one entry up and explains nothing.
func BenchmarkExplainFullTable(b *testing.B) {
	n := benchFlows(b)
	l, err := lab.New()
	benchNeeds(b, err)
	defer l.Close()
	_, err = exec.LookPath("conntrack")
	benchNeeds(b, err)
	router, err := l.Host("router")
	benchNeeds(b, err)
	raiseMax(b, n+100000)
	start := time.Now()
	if err := router.Fill(n, benchEntry); err != nil {
		b.Fatal(err)
	}
	b.Logf("%d entries inserted in %v", n, time.Since(start).Round(time.Millisecond))
	src, dst, _ := benchFlow(n / 2)
	ask := []*asked{
		{name: "explain", args: []string{ntdiagBinary(), "explain", "tcp", src.String(), dst.String()}},
		{name: "conntrack-G", args: []string{"conntrack", "-G", "-p", "tcp",
			"-s", src.Addr().String(), "-d", dst.Addr().String(),
			"--sport", strconv.Itoa(int(src.Port())), "--dport", strconv.Itoa(int(dst.Port()))}},
	}
	for b.Loop() {
		for range 21 {
			for _, a := range ask {
				if err := router.Do(func() error { return a.run(src.Addr().String()) }); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	ours, theirs := ask[0].median(), ask[1].median()
	b.ReportMetric(float64(n), "entries")
	b.ReportMetric(float64(ours.Microseconds()), "µs/explain")
	b.ReportMetric(float64(theirs.Microseconds()), "µs/conntrack-G")
	b.ReportMetric(float64(ours)/float64(theirs), "ratio")
}

// asked is one command line with the times it took.
type asked struct {
	name string
	args []string
	took []time.Duration
}

func (a *asked) run(want string) error {
	start := time.Now()
	out, err := exec.Command(a.args[0], a.args[1:]...).CombinedOutput()
	a.took = append(a.took, time.Since(start))
	var exit *exec.ExitError
	if err != nil && !(a.name == "explain" && asExit(err, &exit) && exit.ExitCode() == exitFound) {
		return fmt.Errorf("%s: %w: %s", a.name, err, out)
	}
	if !strings.Contains(string(out), want) || strings.Contains(string(out), "No conntrack entry") {
		return fmt.Errorf("%s did not find the flow: %s", a.name, out)
	}
	return nil
}

func asExit(err error, to **exec.ExitError) bool {
	e, ok := err.(*exec.ExitError)
	*to = e
	return ok
}

func (a *asked) median() time.Duration {
	slices.Sort(a.took)
	return a.took[len(a.took)/2]
}

// ntdiagBinary is what `make build` made, else this test binary by its name in
// the path, which starts slower.
func ntdiagBinary() string {
	if _, err := os.Stat("../../bin/ntdiag"); err == nil {
		return "../../bin/ntdiag"
	}
	return "ntdiag"
}

func benchNeeds(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Skipf("kernel benchmark skipped: %v", err)
	}
}

func benchFlows(b *testing.B) int {
	text := os.Getenv("NTDIAG_BENCH_FLOWS")
	if text == "" {
		return 1_000_000
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		b.Fatalf("NTDIAG_BENCH_FLOWS=%q is not a number of flows", text)
	}
	return n
}

const maxPath = "/proc/sys/net/netfilter/nf_conntrack_max"

// raiseMax makes room for n entries. The limit is one for the whole machine:
// it is put back at the end, on a failure and on an interrupt.
func raiseMax(b *testing.B, n int) {
	old, err := os.ReadFile(maxPath)
	benchNeeds(b, err)
	if now, _ := strconv.Atoi(strings.TrimSpace(string(old))); now >= n {
		return
	}
	benchNeeds(b, os.WriteFile(maxPath, []byte(strconv.Itoa(n)), 0))
	restore := func() { _ = os.WriteFile(maxPath, old, 0) }
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	go func() {
		if _, open := <-stop; open {
			restore()
			os.Exit(1)
		}
	}()
	b.Cleanup(func() { signal.Stop(stop); close(stop); restore() })
}

// perAddr is how many ports of one address are used, so that no two flows
// clash behind the one address that they are rewritten to.
const perAddr = 50000

// benchFlow is flow i: its source, its destination, and its source after NAT.
func benchFlow(i int) (src, dst, nat netip.AddrPort) {
	host, port := uint32(i/perAddr), uint16(1024+i%perAddr)
	return netip.AddrPortFrom(addr4(0x0a000000+host), port),
		netip.AddrPortFrom(addr4(0xcb007100+host), 443),
		netip.AddrPortFrom(addr4(0xc0a80102), port)
}

func addr4(n uint32) netip.Addr {
	return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, n)))
}

func benchEntry(i int) lab.Entry {
	src, dst, nat := benchFlow(i)
	return lab.Entry{Proto: unix.IPPROTO_TCP, Src: src, Dst: dst, NAT: nat, Assured: true}
}
