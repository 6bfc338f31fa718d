package stale_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/lab"
	"github.com/ntdiag/ntdiag/diagnose/remove"
	"github.com/ntdiag/ntdiag/diagnose/stale"
)

// connect opens a TCP connection from a host to dst, which leads to the
// server's plainPort, and is both its ends.
func (b *bench) connect(t *testing.T, from *lab.Host, dst string) (near, far net.Conn) {
	t.Helper()
	plain(t, b.Server)
	var l net.Listener
	err := b.Server.Do(func() (err error) {
		l, err = net.Listen("tcp4", fmt.Sprintf(":%d", plainPort))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	err = from.Do(func() (err error) {
		near, err = net.DialTimeout("tcp", dst, 2*time.Second)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close() })
	if far, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { far.Close() })
	return near, far
}

// What becomes of a connection whose entry was deleted, by who sends next.
type outcome string

const (
	goesOn  outcome = "goes on"
	isReset outcome = "is reset" // whoever sent
)

// TestTCPPickedUp deletes the entries of connections and has either end send
// next. With tcp_loose its packet makes a new entry: that of the near end meets
// the rules as a SYN would; that of the far end makes an entry the other way
// round, or finds nobody. Without tcp_loose it is invalid: it goes on as it is.
func TestTCPPickedUp(t *testing.T) {
	needTools(t, "nft")
	const (
		chains = `table inet plain { chain pre { type filter hook prerouting priority 0; ct state new counter; }; chain out { type filter hook output priority 0; ct state new counter; }; }
			table ip t {
				chain pre { type nat hook prerouting priority dstnat; udp dport 1 redirect; }
				chain out { type nat hook output priority -100; }
				chain post { type nat hook postrouting priority srcnat; }
			}
			`
		dnat    = chains + "add rule ip t pre ip daddr 10.0.0.1 tcp dport 8000 dnat to 192.168.1.80\n"
		dnat2   = chains + "add rule ip t pre ip daddr 10.0.0.1 tcp dport 8000 dnat to 192.168.1.81\n"
		redir   = chains + "add rule ip t pre ip daddr 192.168.1.80 tcp dport 8000 redirect to :7\n"
		snat    = chains + "add rule ip t post ip saddr 10.0.0.0/24 snat to 192.168.1.2\n"
		snat2   = chains + "add rule ip t post ip saddr 10.0.0.0/24 snat to 192.168.1.3\n"
		masq    = chains + "add rule ip t post oifname s0 masquerade\n"
		synOnly = "table ip f { chain fw { type filter hook forward priority 0; ct state new tcp flags & (fin|syn|rst|ack) != syn reject with tcp reset; }; }\n"
		outDNAT = chains + "add rule ip t out ip daddr 192.168.1.85 tcp dport 8000 dnat to 192.168.1.80\n"
		outBack = chains + "add rule ip t out ip daddr 192.168.1.85 tcp dport 8000 dnat to 192.168.1.81\n"
	)
	for _, c := range []struct {
		name, dst, first, then string
		loose                  byte
		near, far              outcome     // when that end sends
		nearBack, farBack      remove.Back // what stands there then
	}{
		{"dnat as before", "10.0.0.1", dnat, dnat, '1', goesOn, isReset, remove.BackFresh, ""},
		{"dnat gone", "10.0.0.1", dnat, chains, '1', isReset, isReset, "", ""},
		{"dnat changed", "10.0.0.1", dnat, dnat2, '1', isReset, isReset, "", ""},
		{"redirect added", "192.168.1.80", chains, redir, '1', isReset, goesOn, "", remove.BackReversed},
		{"redirect added, and SYN only", "192.168.1.80", chains, redir + synOnly, '1', isReset, isReset, "", ""},
		{"snat as before", "192.168.1.80", snat, snat, '1', goesOn, isReset, remove.BackFresh, ""},
		{"snat gone", "192.168.1.80", snat, chains, '1', isReset, isReset, "", ""},
		{"snat changed", "192.168.1.80", snat, snat2, '1', isReset, isReset, "", ""},
		{"masquerade as before", "192.168.1.80", masq, masq, '1', goesOn, isReset, remove.BackFresh, ""},
		{"masquerade added", "192.168.1.80", chains, masq, '1', isReset, goesOn, "", remove.BackReversed},
		{"own, dnat as before", "192.168.1.85", outDNAT, outDNAT, '1', goesOn, isReset, remove.BackFresh, ""},
		{"own, dnat gone", "192.168.1.85", outDNAT, chains, '1', isReset, isReset, "", ""},
		{"own, dnat changed", "192.168.1.85", outDNAT, outBack, '1', isReset, isReset, "", ""},
		{"dnat changed, not loose", "10.0.0.1", dnat, dnat2, '0', isReset, isReset, "", ""},
		{"masquerade added, not loose", "192.168.1.80", chains, masq, '0', goesOn, goesOn, "", ""},
	} {
		for side, want := range map[string]outcome{"near": c.near, "far": c.far} {
			t.Run(c.name+"/"+side, func(t *testing.T) {
				t.Parallel()
				b := newBench(t)
				if err := b.Router.Sysctl("net.netfilter.nf_conntrack_tcp_loose=" + string(c.loose)); err != nil {
					t.Fatal(err)
				}
				if err := b.Router.Addr("s0", netip.MustParsePrefix("192.168.1.3/24")); err != nil {
					t.Fatal(err)
				}
				b.load(t, nft, c.first)
				from := b.Client
				if strings.HasPrefix(c.name, "own") {
					from = b.Router
				}
				near, far := b.connect(t, from, c.dst+":8000")
				b.load(t, nft, "flush ruleset\n"+c.then)
				back := c.nearBack
				if side == "far" {
					near, far, back = far, near, c.farBack
				}
				v := b.only(t)
				got := outcome("")
				if is := b.remove(t, func() { got = speaks(t, near, far) }, v); is[0] != back {
					t.Errorf("back: %q, want %q", is[0], back)
				}
				if got != want {
					t.Errorf("it %s, want %s", got, want)
				}
				rewritten := v.Flow.Status&(host.StatusSrcNAT|host.StatusDstNAT) != 0
				for risk, want := range map[stale.Risk]bool{stale.RiskTCPLoose: c.loose == '1', stale.RiskReversed: c.loose == '1', stale.RiskInvalid: c.loose == '0' && !rewritten} {
					if v.Fate == stale.Stale && hasRisk(v, risk) != want {
						t.Errorf("risks %v", v.Risks)
					}
				}
			})
		}
	}
}

// only is the verdict on the one TCP entry that there is.
func (b *bench) only(t *testing.T) stale.Verdict {
	t.Helper()
	judge := stale.New(b.snapshot(t))
	var all []stale.Verdict
	for _, f := range b.entries(t) {
		if f.Original.Proto == host.ProtoTCP {
			all = append(all, judge.Judge(f))
		}
	}
	if len(all) != 1 {
		t.Fatalf("%d entries", len(all))
	}
	return all[0]
}

// speaks has one end of a connection send, and waits for what comes of it.
func speaks(t *testing.T, one, other net.Conn) outcome {
	t.Helper()
	sends(t, one)
	limit := time.Now().Add(2 * time.Second)
	type result struct {
		outcome
		err error
	}
	results := make(chan result, 2)
	for o, c := range map[outcome]net.Conn{goesOn: other, isReset: one} {
		if err := c.SetReadDeadline(limit); err != nil {
			t.Fatal(err)
		}
		go func() {
			_, err := c.Read(make([]byte, 100))
			results <- result{o, err}
		}()
	}
	defer func() {
		for _, c := range []net.Conn{one, other} {
			c.SetReadDeadline(time.Now()) //nolint:errcheck // the other reader is to end
		}
	}()
	for range 2 {
		switch r := <-results; {
		case r.outcome == goesOn && r.err == nil, r.outcome == isReset && errors.Is(r.err, unix.ECONNRESET):
			return r.outcome
		}
	}
	return "says nothing"
}
