package stale_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/journal"
	"github.com/ntdiag/ntdiag/diagnose/lab"
	"github.com/ntdiag/ntdiag/diagnose/remove"
	"github.com/ntdiag/ntdiag/diagnose/stale"
)

// plainPort is one that plain takes without conntrack and NAT of the host's own.
const plainPort = 8000

const plainRules = `table inet plain {
	chain pre { type filter hook prerouting priority raw; th dport 8000 notrack; }
	chain out { type filter hook output priority raw; th sport 8000 notrack; }
}`

// plain has a host take what comes to plainPort as it is.
func plain(t *testing.T, h *lab.Host) {
	t.Helper()
	if _, err := h.Run(plainRules, "nft", "-f", "-"); err != nil {
		t.Fatal(err)
	}
}

// end is one end of a flow.
type end interface {
	Read([]byte) (int, error)
	Write([]byte) (int, error)
	SetReadDeadline(time.Time) error
	Close() error
}

// udpEnd is the one that was sent to.
type udpEnd struct {
	net.PacketConn
	peer net.Addr // who sent last
}

func (u *udpEnd) Read(b []byte) (n int, err error) {
	n, u.peer, err = u.ReadFrom(b)
	return n, err
}

func (u *udpEnd) Write(b []byte) (int, error) { return u.WriteTo(b, u.peer) }

// receiver is a UDP socket of h, at plainPort of an address.
func receiver(t *testing.T, h *lab.Host, a string) *udpEnd {
	t.Helper()
	u := &udpEnd{}
	err := h.Do(func() (err error) {
		u.PacketConn, err = net.ListenPacket("udp", net.JoinHostPort(a, fmt.Sprint(plainPort)))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { u.Close() })
	return u
}

// gets waits for a datagram, and is who sent it.
func (u *udpEnd) gets(t *testing.T) netip.AddrPort {
	t.Helper()
	if err := reads(u); err != nil {
		t.Fatal(err)
	}
	return netip.MustParseAddrPort(u.peer.String())
}

// reads waits for what comes to an end.
func reads(e end) error {
	if err := e.SetReadDeadline(time.Now().Add(2 * time.Second)); err != nil {
		return err
	}
	_, err := e.Read(make([]byte, 100))
	return err
}

// sender is a UDP socket of h that sends to dst.
func sender(t *testing.T, h *lab.Host, src, dst string) net.Conn {
	t.Helper()
	var from netip.AddrPort
	if src != "" {
		from = netip.MustParseAddrPort(src)
	}
	c, err := h.UDP(from, netip.MustParseAddrPort(dst), false)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// sends sends once more. An error of what was sent before is not its own.
func sends(t *testing.T, c end) {
	t.Helper()
	_, err := c.Write(payload)
	if err != nil {
		_, err = c.Write(payload)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// stale are the verdicts on the flows that are stale, by now.
func (b *bench) stale(t *testing.T) []stale.Verdict {
	t.Helper()
	judge := stale.New(b.snapshot(t))
	var out []stale.Verdict
	for _, f := range b.entries(t) {
		if v := judge.Judge(f); v.Fate == stale.Stale {
			t.Logf("%s", printVerdict(&v, nil))
			out = append(out, v)
		}
	}
	return out
}

// one is the only stale flow, which is of the class, certain or likely.
func (b *bench) one(t *testing.T, class stale.Class, c stale.Confidence) stale.Verdict {
	t.Helper()
	all := b.stale(t)
	if len(all) != 1 || all[0].Class != class || all[0].Confidence != c {
		t.Fatalf("%d flows are stale, want one: %s, %s", len(all), class, c)
	}
	return all[0]
}

// table is the router's, with a moment after each delete.
type table struct {
	*capture.Entries
	after func()
}

func (tb *table) Delete(ctx context.Context, f *host.Flow) error {
	err := tb.Entries.Delete(ctx, f)
	if err == nil && tb.after != nil {
		tb.after()
	}
	return err
}

// remove deletes the flows of the verdicts, each of which must go, and is what
// stood there afterwards.
func (b *bench) remove(t *testing.T, after func(), verdicts ...stale.Verdict) []remove.Back {
	t.Helper()
	e, err := b.live.Entries()
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	w, err := journal.Create(t.TempDir(), journal.Header{Created: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	var plan []remove.Planned
	for _, v := range verdicts {
		plan = append(plan, remove.Planned{Flow: v.Flow, Risks: v.Risks})
	}
	results, err := remove.Run(context.Background(), &table{e, after}, w, plan, remove.Options{Judge: stale.New(b.snapshot(t))})
	if err != nil {
		t.Fatal(err)
	}
	var back []remove.Back
	for _, r := range results {
		if r.Action != journal.Deleted {
			t.Fatalf("%v: %s %s", r.Flow.Original, r.Action, r.Said)
		}
		back = append(back, r.Back)
	}
	return back
}

// load gives the router rules.
func (b *bench) load(t testing.TB, program []string, rules string) {
	t.Helper()
	if _, err := b.run(rules, program[0], program[1:]...); err != nil {
		t.Fatal(err)
	}
}

var (
	nft     = []string{"nft", "-f", "-"}
	restore = []string{"iptables-nft-restore", "--noflush"}
)

// risksOf tells whether a verdict names the risk.
func hasRisk(v stale.Verdict, r stale.Risk) bool { return slices.Contains(v.Risks, r) }
