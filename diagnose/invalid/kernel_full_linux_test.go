package invalid_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/invalid"
	"github.com/ntdiag/ntdiag/diagnose/kernlog"
	"github.com/ntdiag/ntdiag/diagnose/lab"
)

// fullCase is a packet that finds the whole machine's table in a state.
type fullCase struct {
	name    string
	flows   int
	open    func(port uint16) []sent // makes one flow of them
	globals []string
	moves   string
	state   string
	leaves  string
	full    bool // "table full" is printed
}

// fullCases follow __nf_conntrack_alloc, early_drop and __nf_conntrack_confirm.
var fullCases = []fullCase{
	{"every entry is assured: none is thrown out", 3000, assured,
		[]string{"net.netfilter.nf_conntrack_max=3000"}, "drop=1", "", nothing, true},
	{"no entry is assured: all of one bucket go", 3000, unanswered,
		[]string{"net.netfilter.nf_conntrack_max=3000", "net.netfilter.nf_conntrack_buckets=1024"},
		"early_drop=*", "new=1", same, false},
	{"40000 entries in 512 buckets: the chain is too long", 40000, unanswered,
		[]string{"net.netfilter.nf_conntrack_buckets=512"}, "chaintoolong=1 insert_failed=1", "new=1", nothing, false},
}

func unanswered(port uint16) []sent {
	return []sent{client(lab.UDP{SPort: port, DPort: 53, Payload: []byte("question")})}
}

func assured(port uint16) []sent {
	out := slices.Clone(established)
	for i := range out {
		l4 := out[i].L4.(lab.TCP)
		l4.SPort, l4.DPort = port, 80
		if out[i].from == atServer {
			l4.SPort, l4.DPort = 80, port
		}
		out[i].L4 = l4
	}
	return out
}

func TestKernelFull(t *testing.T) {
	b := newBed(t)
	lab.Global(t)() // left out here where it may not be
	kmsg, err := capture.OpenKmsg(false)
	if err != nil {
		lab.LeaveOut(t, err)
	}
	defer kmsg.Close()
	for _, c := range fullCases {
		t.Run(c.name, func(t *testing.T) {
			b.reset(t, "")
			c.fill(t, b)
			p := client(seg(syn, 1000, 0)).as("10.0.1.11").wire(ends4, noNAT)
			got := b.observe(t, atClient, ends4, func() error {
				defer lab.Global(t, c.globals...)()
				return b.put(atClient, p)
			})
			leaves := c.leaves
			if leaves == same {
				leaves = shown(p.Bytes())
			}
			if !fits(got.moved, c.moves) {
				t.Errorf("moved %q, want %q", got.moved, c.moves)
			}
			if got.state != c.state {
				t.Errorf("ct state %q, want %q", got.state, c.state)
			}
			if left := shownAll(got.left); left != leaves {
				t.Errorf("left as %q, want %q", left, leaves)
			}
			if c.full {
				b.tableFull(t, kmsg)
			}
		})
	}
}

// fill makes the flows and waits until they are there.
func (c *fullCase) fill(t *testing.T, b *bed) {
	t.Helper()
	for i := range c.flows {
		for _, s := range c.open(uint16(20000 + i)) {
			if err := b.put(s.from, s.wire(ends4, noNAT)); err != nil {
				t.Fatal(err)
			}
		}
		if i%40 != 0 && i != c.flows-1 {
			continue // the taps hold some hundred packets
		}
		for _, from := range []place{atClient, atServer} {
			if err := b.passed(from, ends4, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n, _, err := b.live.Count(); err != nil || int(n) != c.flows {
		t.Fatalf("%d entries, made %d: %v", n, c.flows, err)
	}
}

// tableFull looks for the line that names the router's namespace. It is
// rate-limited together with others of the machine (net_ratelimit).
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
// which is one: the helper drops the packet, and the kernel's log says why.
func TestKernelExpectFull(t *testing.T) {
	b := newBed(t)
	lab.Global(t)() // left out here where it may not be
	kmsg, err := capture.OpenKmsg(false)
	if err != nil {
		lab.LeaveOut(t, err)
	}
	defer kmsg.Close()
	const other = "10.0.1.11"
	before := append(slices.Clone(login), client(seg(ack|psh, 1009, 5012, "PORT 10,0,1,10,4,1\r\n")))
	for _, s := range login {
		if s.from == atServer {
			before = append(before, s.to(other))
		} else {
			before = append(before, s.as(other))
		}
	}
	c := kernelCase{
		rules: ftp, before: before, send: client(seg(ack|psh, 1009, 5012, "PORT 10,0,1,11,4,1\r\n")).as(other),
		log:   []line{{"helper-expectation", "nf_ct_ftp: dropping packet: cannot add expectation "}},
		state: "established", leaves: nothing,
	}
	p := c.prepare(t, b)
	got := b.observe(t, atClient, ends4, func() error {
		defer lab.Global(t, "net.netfilter.nf_conntrack_expect_max=1")()
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
