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
	if err := router.Do(func() error { return insert(n) }); err != nil {
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

// nest appends an attribute whose value f appends.
func nest(b []byte, typ uint16, f func([]byte) []byte) []byte {
	at := len(b)
	b = binary.NativeEndian.AppendUint16(append(b, 0, 0), typ)
	b = f(b)
	binary.NativeEndian.PutUint16(b[at:], uint16(len(b)-at))
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

func raw(b []byte, typ uint16, v ...byte) []byte {
	return nest(b, typ, func(b []byte) []byte { return append(b, v...) })
}

const nested = unix.NLA_F_NESTED

// appendTuple is CTA_TUPLE_ORIG or CTA_TUPLE_REPLY of a TCP flow.
func appendTuple(b []byte, typ uint16, src, dst netip.AddrPort) []byte {
	return nest(b, typ|nested, func(b []byte) []byte {
		b = nest(b, 1|nested, func(b []byte) []byte { // CTA_TUPLE_IP
			return raw(raw(b, 1, src.Addr().AsSlice()...), 2, dst.Addr().AsSlice()...)
		})
		return nest(b, 2|nested, func(b []byte) []byte { // CTA_TUPLE_PROTO
			b = raw(b, 1, unix.IPPROTO_TCP)
			b = raw(b, 2, byte(src.Port()>>8), byte(src.Port()))
			return raw(b, 3, byte(dst.Port()>>8), byte(dst.Port()))
		})
	})
}

// appendCreate is one IPCTNL_MSG_CT_NEW with CTA_NAT_SRC, as a masquerade
// would have left it (ctnetlink_create_conntrack).
func appendCreate(b []byte, i int) []byte {
	src, dst, nat := benchFlow(i)
	at := len(b)
	b = append(b, make([]byte, 16)...)
	b = append(b, unix.AF_INET, 0, 0, 0)
	b = appendTuple(b, 1, src, dst)
	b = appendTuple(b, 2, dst, src)
	b = raw(b, 3, 0, 0, 0, 0x0e)    // CTA_STATUS: seen reply, assured, confirmed
	b = raw(b, 7, 0, 0, 0x0e, 0x10) // CTA_TIMEOUT: an hour
	b = nest(b, 4|nested, func(b []byte) []byte {
		return nest(b, 1|nested, func(b []byte) []byte { return raw(b, 1, 3) }) // TCP, established
	})
	b = nest(b, 6|nested, func(b []byte) []byte { // CTA_NAT_SRC
		a := nat.Addr().AsSlice()
		b = raw(raw(b, 1, a...), 2, a...)
		return nest(b, 3|nested, func(b []byte) []byte {
			p := []byte{byte(nat.Port() >> 8), byte(nat.Port())}
			return raw(raw(b, 1, p...), 2, p...)
		})
	})
	h := b[at:]
	binary.NativeEndian.PutUint32(h, uint32(len(h)))
	binary.NativeEndian.PutUint16(h[4:], unix.NFNL_SUBSYS_CTNETLINK<<8)
	binary.NativeEndian.PutUint16(h[6:], unix.NLM_F_REQUEST|unix.NLM_F_CREATE|unix.NLM_F_EXCL)
	return b
}

// insert makes n entries, some hundred a message; the kernel answers only what
// it refuses.
func insert(n int) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		return fmt.Errorf("insert: %w", err)
	}
	defer unix.Close(fd)
	var b, answer []byte
	answer = make([]byte, 64<<10)
	for i := range n {
		b = appendCreate(b, i)
		if len(b) < 60<<10 && i < n-1 {
			continue
		}
		if err := unix.Sendto(fd, b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
			return fmt.Errorf("insert: %w", err)
		}
		b = b[:0]
		switch got, _, err := unix.Recvfrom(fd, answer, unix.MSG_DONTWAIT); {
		case err == nil && got >= 20:
			return fmt.Errorf("insert: entry before %d: %w", i, unix.Errno(-int32(binary.NativeEndian.Uint32(answer[16:]))))
		case err != nil && err != unix.EAGAIN:
			return fmt.Errorf("insert: %w", err)
		}
	}
	return nil
}
