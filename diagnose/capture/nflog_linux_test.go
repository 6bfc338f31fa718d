package capture

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ntdiag/ntdiag/diagnose/lab"
	"github.com/ntdiag/ntdiag/rules"
)

// logging makes a host whose conntrack logs what it takes for invalid to
// group 0, and opens it.
func logging(t testing.TB) (*lab.Host, *Live) {
	t.Helper()
	l, err := lab.New()
	if err != nil {
		lab.LeaveOut(t, err)
	}
	t.Cleanup(func() { l.Close() })
	h, err := l.Host("logger")
	if err != nil {
		t.Fatal(err)
	}
	needTool(t, "nft")
	if _, err := h.Run("table inet t { chain c { type filter hook input priority 0; ct state invalid counter; }; }", "nft", "-f", "-"); err != nil {
		t.Fatal(err)
	}
	return h, openHere(t, h.Path())
}

func setLogging(t testing.TB, live *Live) {
	t.Helper()
	for _, kv := range [][2]string{{KeyLoggerIPv4, LoggerNFLog}, {KeyLoggerIPv6, LoggerNFLog}, {KeyLogInvalid, "255"}} {
		if err := live.SetSysctl(kv[0], kv[1]); err != nil {
			t.Fatal(err)
		}
	}
}

// resets sends n TCP RSTs of no connection over lo, with consecutive sequence
// numbers from first on. Each is logged twice: on its way out and in.
func resets(h *lab.Host, first uint32, n int) error {
	return h.Do(func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		to := &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}
		for i := range n {
			if err := unix.Sendto(fd, reset(first+uint32(i)), 0, to); err != nil {
				return err
			}
		}
		return nil
	})
}

// reset is a RST 127.0.0.1:7 > 127.0.0.1:9 with its checksums; the kernel
// makes the one of the IP header.
func reset(seq uint32) []byte {
	b := make([]byte, 40)
	b[0], b[3], b[8], b[9] = 0x45, 40, 64, unix.IPPROTO_TCP
	copy(b[12:], []byte{127, 0, 0, 1, 127, 0, 0, 1})
	tcp := b[20:]
	be.PutUint16(tcp, 7)
	be.PutUint16(tcp[2:], 9)
	be.PutUint32(tcp[4:], seq)
	tcp[12], tcp[13] = 5<<4, 4
	sum := uint32(unix.IPPROTO_TCP + len(tcp))
	for _, part := range [][]byte{b[12:20], tcp} {
		for i := 0; i < len(part); i += 2 {
			sum += uint32(be.Uint16(part[i:]))
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	be.PutUint16(tcp[16:], ^uint16(sum))
	return b
}

func bindLog(t testing.TB, live *Live) *NFLog {
	t.Helper()
	n, err := live.NFLog(0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	return n
}

// collectLogged runs n until enough says so.
func collectLogged(t *testing.T, n *NFLog, enough func(*Logged) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	done := false
	err := n.Run(ctx, func(p *Logged) error {
		if done = enough(p); done {
			return ErrStop
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if !done {
		t.Fatalf("not in %v", patience)
	}
}

func TestNFLog(t *testing.T) {
	h, live := logging(t)
	n := bindLog(t, live)
	setLogging(t, live)
	if n.Start().Buffer <= 0 {
		t.Errorf("buffer %d", n.Start().Buffer)
	}
	before := time.Now()
	if err := resets(h, 1000, 3); err != nil {
		t.Fatal(err)
	}
	var got []string
	collectLogged(t, n, func(p *Logged) bool {
		if p.Family != uint8(rules.FamilyIPv4) || len(p.Payload) != 40 || p.Lost != 0 {
			t.Errorf("%+v", p)
		}
		if p.At.Before(before.Add(-time.Second)) || p.At.After(time.Now().Add(time.Second)) {
			t.Errorf("at %v, sent after %v", p.At, before)
		}
		way := "in"
		if p.Out != 0 {
			way = "out"
			if !p.HasUID || p.In != 0 {
				t.Errorf("on its way out: %+v", p)
			}
		} else if p.HasUID || p.In != 1 || len(p.Header) != 14 {
			t.Errorf("on its way in: %+v", p)
		}
		src, _ := netip.AddrFromSlice(p.Payload[12:16])
		got = append(got, fmt.Sprintf("%s %s%v %d", way, p.Prefix, src, be.Uint32(p.Payload[24:])))
		return len(got) == 6
	})
	text := strings.TrimSuffix(strings.TrimPrefix(got[0], "out "), "127.0.0.1 1000")
	if !strings.HasPrefix(text, "nf_ct_proto_6: invalid") {
		t.Errorf("text %q", text)
	}
	var want []string
	for seq := 1000; seq < 1003; seq++ {
		want = append(want, fmt.Sprintf("out %s127.0.0.1 %d", text, seq), fmt.Sprintf("in %s127.0.0.1 %d", text, seq))
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if n.Lost() != 0 || n.Unparsed() != 0 {
		t.Errorf("lost %d, unparsed %d", n.Lost(), n.Unparsed())
	}
}

// TestNFLogKeeps: what was logged before a receiver was told to end is handed
// over by Drain, none twice.
func TestNFLogKeeps(t *testing.T) {
	h, live := logging(t)
	n := bindLog(t, live)
	setLogging(t, live)
	if err := resets(h, 0, 500); err != nil {
		t.Fatal(err)
	}
	var seqs []uint32
	collectLogged(t, n, func(p *Logged) bool {
		seqs = append(seqs, be.Uint32(p.Payload[24:]))
		return len(seqs) == 7
	})
	err := n.Drain(func(p *Logged) error {
		seqs = append(seqs, be.Uint32(p.Payload[24:]))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(seqs) != 1000 {
		t.Fatalf("%d packets, want 1000", len(seqs))
	}
	for i, s := range seqs {
		if s != uint32(i/2) {
			t.Fatalf("packet %d is %d", i, s)
		}
	}
}

// TestNFLogLost: of what does not fit, every packet is counted, and where the
// gap is.
func TestNFLogLost(t *testing.T) {
	h, live := logging(t)
	n := bindLog(t, live)
	if err := unix.SetsockoptInt(n.c.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 64<<10); err != nil {
		t.Fatal(err)
	}
	setLogging(t, live)
	const burst = 2000
	if err := resets(h, 0, burst); err != nil {
		t.Fatal(err)
	}
	came := 0
	count := func(p *Logged) error {
		if p.Lost != 0 {
			t.Errorf("lost %d before packet %d, although all waited", p.Lost, came)
		}
		came++
		return nil
	}
	if err := n.Drain(count); err != nil {
		t.Fatal(err)
	}
	if came == 0 || came+int(n.Lost()) != 2*burst {
		t.Errorf("%d came and %d were lost, of %d", came, n.Lost(), 2*burst)
	}
	lost := n.Lost()
	if err := resets(h, 0, 1); err != nil {
		t.Fatal(err)
	}
	collectLogged(t, n, func(p *Logged) bool {
		if p.Lost != lost {
			t.Errorf("lost %d before the first afterwards, want %d", p.Lost, lost)
		}
		return true
	})
	if n.Lost() != lost {
		t.Errorf("lost %d, want %d", n.Lost(), lost)
	}
}

func TestNFLogTaken(t *testing.T) {
	_, live := logging(t)
	n := bindLog(t, live)
	_, err := live.NFLog(0)
	if !errors.Is(err, ErrGroupTaken) || !strings.Contains(err.Error(), fmt.Sprintf("(pid %d)", os.Getpid())) {
		t.Errorf("second listener: %v", err)
	}
	other, err := live.NFLog(7)
	if err != nil {
		t.Fatalf("another group: %v", err)
	}
	other.Close()
	n.Close()
	again, err := live.NFLog(0)
	if err != nil {
		t.Fatalf("after it was let go: %v", err)
	}
	again.Close()
}

// TestNFLogRules: what rules log to the group comes as well, as it is.
func TestNFLogRules(t *testing.T) {
	h, live := logging(t)
	n := bindLog(t, live)
	rule := `add rule inet t c udp dport 9 meta mark set 0x77 log prefix "of a rule: " group 0 queue-threshold 20`
	if _, err := h.Run(rule, "nft", "-f", "-"); err != nil {
		t.Fatal(err)
	}
	for _, a := range []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.IPv6Loopback()} {
		if err := h.Emit(lab.Packet{Src: a, Dst: a, L4: lab.UDP{SPort: 8, DPort: 9, Payload: make([]byte, 1000)}}); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	collectLogged(t, n, func(p *Logged) bool {
		got = append(got, fmt.Sprintf("%d %d %s%#x %d", p.Family, p.Hook, p.Prefix, p.Mark, len(p.Payload)))
		return len(got) == 2
	})
	// NF_INET_LOCAL_IN; of a long packet no more than was asked for
	want := []string{"2 1 of a rule: 0x77 512", "10 1 of a rule: 0x77 512"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}
