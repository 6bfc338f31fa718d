package invalid_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/invalid"
	"github.com/ntdiag/ntdiag/diagnose/kernlog"
	"github.com/ntdiag/ntdiag/diagnose/lab"
)

// fullCase is packets that find the table in a state. The table is one for all
// namespaces; that it is full is told by the entries of one.
type fullCase struct {
	name    string
	flows   int
	assured bool // have seen answers
	globals []string
	probes  int // SYNs of flows that there are not yet
	moves   string
	state   string
	leave   int  // how many of them leave; -1 for those that were not dropped
	full    bool // "table full" is printed
	alone   bool // other namespaces lose packets too
}

// fullCases follow __nf_conntrack_alloc, early_drop and __nf_conntrack_confirm.
// early_drop looks into 8 buckets of a hash table that is thinly filled: it finds
// an entry for some of the probes.
var fullCases = []fullCase{
	{name: "every entry is assured: none is thrown out", flows: lab.Crowd, assured: true,
		globals: []string{tableOf(lab.Crowd), "net.core.message_cost=0"},
		probes:  1, moves: "drop=1", full: true},
	{name: "no entry is assured: all of one bucket go", flows: lab.Crowd,
		globals: []string{tableOf(lab.Crowd)},
		probes:  12, moves: "early_drop", leave: -1},
	{name: "40000 entries in 512 buckets: the chain is too long", flows: 40000,
		globals: []string{"net.netfilter.nf_conntrack_buckets=512"},
		probes:  1, moves: "chaintoolong=1 insert_failed=1", state: "new=1", alone: true},
}

func tableOf(n int) string { return fmt.Sprintf("net.netfilter.nf_conntrack_max=%d", n) }

func TestKernelFull(t *testing.T) {
	lab.Global(t) // all the time: the hash table is one for all, tests of this kind fill it
	b := newBed(t)
	kmsg, err := capture.OpenKmsg(false)
	if err != nil {
		lab.LeaveOut(t, err)
	}
	defer kmsg.Close()
	for _, c := range fullCases {
		t.Run(c.name, func(t *testing.T) {
			if c.alone && os.Getenv("NTDIAG_ALONE") == "" {
				t.Skip("other namespaces would lose packets: make test-alone runs it, where there is nothing else")
			}
			b.reset(t, "")
			c.fill(t, b)
			got := b.observe(t, atClient, ends4, func() error {
				defer lab.Global(t, c.globals...)()
				for i := range c.probes {
					p := client(lab.TCP{SPort: uint16(1000 + i), DPort: 80, Flags: syn}).as("10.0.1.11")
					if err := b.put(atClient, p.wire(ends4, noNAT)); err != nil {
						return err
					}
				}
				return nil
			})
			c.compare(t, &got)
			if c.full {
				b.tableFull(t, kmsg)
			}
			if err := b.flush(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func (c *fullCase) compare(t *testing.T, got *outcome) {
	t.Helper()
	if c.leave >= 0 {
		if got.moved != c.moves || got.state != c.state || len(got.left) != c.leave {
			t.Errorf("moved %q, ct state %q, left as %q", got.moved, got.state, shownAll(got.left))
		}
		return
	}
	// each probe either finds room or is dropped
	var dropped, thrown int
	for _, field := range strings.Fields(got.moved) {
		name, n, _ := strings.Cut(field, "=")
		v, _ := strconv.Atoi(n)
		switch name {
		case "drop":
			dropped = v
		case c.moves:
			thrown = v
		default:
			t.Errorf("moved %q", got.moved)
		}
	}
	if left := len(got.left); left == 0 || left != c.probes-dropped || thrown < left {
		t.Errorf("%d of %d left, moved %q", left, c.probes, got.moved)
	}
}

// fill makes the flows.
func (c *fullCase) fill(t *testing.T, b *bed) {
	t.Helper()
	if err := b.router.Fill(c.flows, func(i int) lab.Entry {
		return lab.Entry{
			Proto: unix.IPPROTO_UDP, Assured: c.assured,
			Src: netip.AddrPortFrom(ends4.client, uint16(5000+i%50000)), Dst: netip.AddrPortFrom(ends4.server, uint16(53+i/50000)),
		}
	}); err != nil {
		t.Fatal(err)
	}
	if n, _, err := b.live.Count(); err != nil || int(n) != c.flows {
		t.Fatalf("%d entries, made %d: %v", n, c.flows, err)
	}
}

// tableFull looks for the line that names the router's namespace.
func (b *bed) tableFull(t *testing.T, kmsg *capture.Kmsg) {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Fstat(b.router.Fd(), &st); err != nil {
		t.Fatal(err)
	}
	for {
		var r kernlog.Record
		var m invalid.Message
		if some, err := kmsg.Pending(&r); err != nil || !some {
			t.Errorf("not in the kernel's log: table full in netns %d (%v)", st.Ino, err)
			return
		}
		if !invalid.Parse(r.Text, &m) || m.Kind != invalid.KindTableFull || m.Netns != st.Ino {
			continue
		}
		if moved := m.Moved(release); !slices.Equal(moved, []string{"drop"}) || m.Rest != nil {
			t.Errorf("%q: moved %q, not understood %q", r.Text, moved, m.Rest)
		}
		return
	}
}

// TestKernelExpectFull has a helper expect one connection more than there may be,
// the helper drops the packet, and the kernel's log says why.
func TestKernelExpectFull(t *testing.T) {
	lab.Global(t)() // left out here where it may not be
	b := newBed(t)
	kmsg, err := capture.OpenKmsg(false)
	if err != nil {
		lab.LeaveOut(t, err)
	}
	defer kmsg.Close()
	// as many connections as may be expected, each of another client
	var before []sent
	logIn := func(client string) {
		for _, s := range login {
			if s.from == atServer {
				before = append(before, s.to(client))
			} else {
				before = append(before, s.as(client))
			}
		}
	}
	const expected = 20
	for i := range expected {
		own := fmt.Sprintf("10.0.1.%d", 100+i)
		logIn(own)
		port := "PORT " + strings.ReplaceAll(own, ".", ",") + ",4,1\r\n"
		before = append(before, client(seg(ack|psh, 1009, 5012, port)).as(own))
	}
	const other = "10.0.1.11"
	logIn(other)
	c := kernelCase{
		rules: ftp, before: before, send: client(seg(ack|psh, 1009, 5012, "PORT 10,0,1,11,4,1\r\n")).as(other),
		log:   []line{{"helper-expectation", "nf_ct_ftp: dropping packet: cannot add expectation "}},
		state: "established", leaves: nothing,
	}
	p := c.prepare(t, b)
	got := b.observe(t, atClient, ends4, func() error {
		defer lab.Global(t, fmt.Sprintf("net.netfilter.nf_conntrack_expect_max=%d", expected), "net.core.message_cost=0")()
		return b.put(atClient, p)
	})
	c.explained(t, &got, p)
	c.compare(t, &got, p)
	for {
		var r kernlog.Record
		var m invalid.Message
		if some, err := kmsg.Pending(&r); err != nil || !some {
			t.Fatalf("not in the kernel's log: expectation table full (%v)", err)
		}
		if invalid.Parse(r.Text, &m) && m.Kind == invalid.KindExpectFull {
			if m.Reason == nil || m.Rest != nil {
				t.Errorf("%q: %+v", r.Text, m)
			}
			return
		}
	}
}

// TestKernelNoAddress has masquerade find no address on any device.
func TestKernelNoAddress(t *testing.T) {
	b := newBed(t)
	kmsg, err := capture.OpenKmsg(false)
	if err != nil {
		lab.LeaveOut(t, err)
	}
	defer kmsg.Close()
	b.reset(t, string(masquerade))
	for _, args := range [][]string{
		{"-4", "address", "flush", "dev", "s0"}, {"-4", "address", "flush", "dev", "c0"},
		{"-4", "route", "add", "203.0.113.0/24", "dev", "s0"},
	} {
		if _, err := b.router.Run("", "ip", args...); err != nil {
			t.Fatal(err)
		}
	}
	before, err := b.stats()
	if err != nil {
		t.Fatal(err)
	}
	if err := b.put(atClient, client(query).wire(ends4, noNAT)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for {
		var r kernlog.Record
		var m invalid.Message
		if err := kmsg.Next(ctx, &r); err != nil {
			t.Fatalf("not in the kernel's log: %v", err)
		}
		if invalid.Parse(r.Text, &m) && m.Kind == invalid.KindNoAddress && string(m.Out) == "s0" {
			if m.Reason == nil || m.Rest != nil {
				t.Errorf("%q: %+v", r.Text, m)
			}
			break
		}
	}
	after, err := b.stats()
	if err != nil {
		t.Fatal(err)
	}
	if got := since(after.moved, before.moved); got != "" {
		t.Errorf("moved %q, want nothing", got)
	}
}
