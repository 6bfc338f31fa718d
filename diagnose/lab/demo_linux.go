package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// DemoInside runs this program with args in namespaces of its own and returns
// its exit code. It waits also when interrupted: with that program everything
// it made is gone.
func DemoInside(ctx context.Context, args ...string) (int, error) {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	code, err := Reexec(ctx, args, nil)
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSPC) {
		return 0, fmt.Errorf("demo: %w: run it as root, or allow user namespaces", err)
	}
	if err != nil && ctx.Err() == nil {
		return 0, fmt.Errorf("demo: %w", err)
	}
	return code, nil
}

// demoFlow is one flow of the demonstration.
type demoFlow struct {
	proto    string
	host     string
	src, dst string
}

// demoTunnel goes on for as long as there are packets, as between the ends of a
// tunnel (VXLAN), so that its entry never ends.
var demoTunnel = demoFlow{"udp", "client", "10.0.0.10:4789", "10.0.0.1:4789"}

// demoCall and demoOther come from two phones to one relay (STUN) past a rule
// that gives them one port.
var (
	demoCall  = demoFlow{"udp", "client", "10.0.0.13:50010", "10.8.2.12:3478"}
	demoOther = demoFlow{"udp", "client", "10.0.0.14:50020", "10.8.2.12:3478"}
)

// demoFlows are sent before any command runs; each has its own way through
// the rules of demoRules.
var demoFlows = []demoFlow{
	{"tcp", "client", "10.0.0.10:55178", "10.0.0.1:8080"},
	{"tcp", "client", "10.0.0.10:5536", "10.8.2.12:80"},
	{"tcp", "client", "10.0.0.10:55180", "10.0.0.1:443"},
	{"tcp", "client", "10.0.0.10:55182", "10.0.0.1:2202"},
	{"tcp", "client", "10.0.0.12:50000", "10.8.2.12:443"},
	{"tcp", "client", "[fd00:a::10]:55190", "[fd00:a::1]:8080"},
	{"tcp", "client", "10.0.0.10:55184", "10.0.0.1:3306"},
	{"udp", "client", "10.0.0.10:40053", "10.8.2.12:53"},
	{"udp", "client", "10.0.0.10:123", "192.168.1.80:123"},
	demoTunnel,
	{"icmp", "client", "10.0.0.10:4242", "10.8.2.12:0"},
	{"tcp", "router", "192.168.1.2:55200", "10.9.9.9:80"},
	{"tcp", "server", "192.168.1.80:55300", "10.0.0.10:22"},
}

// demoStep is a command line that is shown, what to look for, and what is done
// before, or while the command runs, if anything.
type demoStep struct {
	say    string
	args   []string
	before func(*Net) error
	while  func(*Net, context.Context) error
}

// demoSteps are all of them.
var demoSteps = []demoStep{
	{"Every entry of the router's conntrack table, with its rewrite.",
		[]string{"flows", "--netns", "router"}, nil, nil},
	{"The NAT rules in the order the kernel runs them, with the live flows of each.",
		[]string{"rules", "--netns", "router"}, nil, nil},
	{"Which rules rewrote this flow? It was there before ntdiag looked.",
		[]string{"explain", "--netns", "router", "tcp 10.0.0.10:55178 > 10.0.0.1:8080"}, nil, nil},
	{"The answer for a flow that only leaves through masquerade.",
		[]string{"explain", "--netns", "router", "10.0.0.10:5536", "10.8.2.12:80"}, nil, nil},
	{"A verdict map leads to the rule.",
		[]string{"explain", "--netns", "router", "10.0.0.10:55180", "10.0.0.1:443"}, nil, nil},
	{"A mark that an earlier chain set decides: with the whole way.",
		[]string{"explain", "--netns", "router", "-v", "10.0.0.12:50000", "10.8.2.12:443"}, nil, nil},
	{"IPv6.",
		[]string{"explain", "--netns", "router", "[fd00:a::10]:55190", "[fd00:a::1]:8080"}, nil, nil},
	{"Redirected to the router itself.",
		[]string{"explain", "--netns", "router", "udp 10.0.0.10:40053 > 10.8.2.12:53"}, nil, nil},
	{"The rule behind this one was deleted a moment ago; the flow lives on.",
		[]string{"explain", "--netns", "router", "10.0.0.10:55184", "10.0.0.1:3306"}, nil, nil},
	{"Which flows are no longer what the rules make of them? The tunnel's target is\n# another one since a moment ago, and its packets keep coming.",
		[]string{"stale", "--netns", "router"}, nil, nil},
	{"Delete the entry of the tunnel, and no other. The journal puts it back.",
		[]string{"stale", "--netns", "router", "--delete", "--yes", "--to", "192.168.1.87:4789"}, nil, nil},
	{"The next packet of the tunnel goes where the rule says now.",
		[]string{"flows", "--netns", "router", "--dport", "4789"}, func(n *Net) error { return n.send(demoTunnel) }, nil},
	{"What would happen to a packet that nobody has sent?",
		[]string{"simulate", "--netns", "router", "tcp 10.0.0.10:5540 > 10.0.0.1:8080 iif c0 mark 0"}, nil, nil},
	{"Is it so? A check for rules, by its exit code.",
		[]string{"simulate", "--netns", "router", "tcp 10.0.0.12:5540 > 10.0.0.1:2201", "--expect", "dnat to 192.168.1.82:22", "--expect", "snat by \"guests\""}, nil, nil},
	{"Two phones call at once, and one hears nothing. What is lost, and by what?",
		[]string{"counters", "--netns", "router"}, (*Net).calls, nil},
	{"The end of a connection whose entry is gone: why is it invalid, and what becomes of it?",
		[]string{"invalid", "--netns", "router", "--nflog", "--enable", "--for", "500ms"}, nil, (*Net).demoInvalid},
}

const demoPicture = `
  client 10.0.0.10 ── c0 10.0.0.1  router  192.168.1.2 s0 ── 192.168.1.80 server
         fd00:a::10      fd00:a::1         fd00:b::2         fd00:b::80

Three network namespaces of this program's own, NAT rules in the router, and
%d flows through it. Nothing else is touched, nothing is left behind.
`

// Demo builds the network and runs the commands on it. It is for the process
// that DemoInside started.
func Demo(ctx context.Context, opt DemoOptions) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	l, err := New()
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	defer l.Close() // what it could not close ends with this process
	n, err := buildDemo(l)
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	fmt.Fprintf(opt.Out, demoPicture, len(demoFlows))
	for _, s := range demoSteps {
		if ctx.Err() != nil {
			return errors.New("demo: interrupted")
		}
		if s.before != nil {
			if err := s.before(n); err != nil {
				return fmt.Errorf("demo: %w", err)
			}
		}
		fmt.Fprintf(opt.Out, "\n# %s\n$ ntdiag %s\n", s.say, shellWords(s.args))
		if err := n.runStep(ctx, s, opt); err != nil {
			return fmt.Errorf("demo: %w", err)
		}
	}
	return nil
}

func (n *Net) runStep(ctx context.Context, s demoStep, opt DemoOptions) error {
	if s.while == nil {
		return opt.Run(ctx, s.args...)
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- s.while(n, ctx) }()
	err := opt.Run(ctx, s.args...)
	cancel() // it waits for nothing any more
	return errors.Join(err, <-done)
}

// demoInvalid sends the end of connections that the router knows nothing of,
// once it logs what is invalid.
func (n *Net) demoInvalid(ctx context.Context) error {
	const key = "/proc/sys/net/netfilter/nf_conntrack_log_invalid"
	for logs := false; !logs; {
		select {
		case <-ctx.Done():
			return errors.New("the router never logged what is invalid")
		case <-time.After(time.Millisecond):
		}
		err := n.Router.Do(func() error {
			b, err := os.ReadFile(key)
			logs = strings.TrimSpace(string(b)) == "255"
			return err
		})
		if err != nil {
			return err
		}
	}
	w, err := n.Client.Wire("eth0", n.Router, "c0")
	if err != nil {
		return err
	}
	for i := range 3 {
		end := TCP{SPort: 55186, DPort: 80, Flags: FIN | ACK, Seq: uint32(1000 + i), Ack: 5000}
		if err := w.Send(Packet{Src: ClientAddr4, Dst: netip.MustParseAddr("10.8.2.12"), L4: end}); err != nil {
			return err
		}
	}
	return nil
}

func buildDemo(l *Lab) (*Net, error) {
	if err := l.PublishNames(); err != nil {
		return nil, err
	}
	n, err := l.Typical("s0")
	if err != nil {
		return nil, err
	}
	// before any entry is made: only new ones get a start time and counters
	if err := n.Router.Sysctl("net.netfilter.nf_conntrack_timestamp=1", "net.netfilter.nf_conntrack_acct=1"); err != nil {
		return nil, err
	}
	if err := n.Router.Listen("udp", 5353); err != nil {
		return nil, err
	}
	change, err := n.Router.demoRules()
	if err != nil {
		return nil, err
	}
	for _, f := range demoFlows {
		if err := n.send(f); err != nil {
			return nil, err
		}
	}
	return n, change()
}

func (n *Net) send(f demoFlow) error {
	hosts := map[string]*Host{"client": n.Client, "router": n.Router, "server": n.Server}
	src, err := netip.ParseAddrPort(f.src)
	if err != nil {
		return err
	}
	dst, err := netip.ParseAddrPort(f.dst)
	if err != nil {
		return err
	}
	h := hosts[f.host]
	switch f.proto {
	case "tcp":
		_, err = h.TCP(src, dst)
	case "udp":
		_, err = h.UDP(src, dst, true)
	case "icmp":
		err = h.Ping(src.Addr(), dst.Addr(), src.Port(), true)
	}
	if err != nil {
		return fmt.Errorf("flow %s %s > %s: %w", f.proto, f.src, f.dst, err)
	}
	return nil
}

// calls loads a rule of one port, and sends two flows that meet it: the second
// gets no entry.
func (n *Net) calls() error {
	if err := n.Router.demoOnePort(); err != nil {
		return err
	}
	if err := n.send(demoCall); err != nil {
		return err
	}
	_, err := n.Client.UDP(netip.MustParseAddrPort(demoOther.src), netip.MustParseAddrPort(demoOther.dst), false)
	return err
}

// shellWords quotes the words that a shell would take apart.
func shellWords(args []string) string {
	out := make([]string, len(args))
	for i, a := range args {
		out[i] = a
		if strings.ContainsAny(a, " <>|&;()$`\\\"'*?[]#~") {
			out[i] = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
		}
	}
	return strings.Join(out, " ")
}
