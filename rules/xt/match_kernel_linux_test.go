package xt_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/lab"
	"github.com/ntdiag/ntdiag/rules"
)

// probe is one packet and what is asked of it: rules without a target, which
// the kernel counts where they match.
type probe struct {
	name     string
	table    string         // of the rules; mangle when empty
	hook     rules.Hook     // at the router, or at the client for Output
	proto    uint8          // of the packet
	src, dst netip.AddrPort // for ICMP type and code are the ports
	in, out  string         // devices at the hook, "" for none
	// gate tells the packet from all others, in the words of iptables; empty:
	// its protocol, addresses and ports.
	gate string
	// first is a rule before those that ask, in the same chain.
	first string
	// setup are other tables, as iptables-restore takes them.
	setup string
	send  func(n *lab.Net) error
	// packet completes what the packet is: mark, entry.
	packet func(p *rules.Packet)
	ask    []question
}

// question is the options of a rule. An open one ntdiag cannot answer.
type question struct {
	options string
	open    bool
}

// ask makes questions that have an answer.
func ask(options ...string) []question {
	out := make([]question, len(options))
	for i, o := range options {
		out[i].options = o
	}
	return out
}

// open makes questions that ntdiag has to leave open.
func open(options ...string) []question {
	out := ask(options...)
	for i := range out {
		out[i].open = true
	}
	return out
}

var hookChains = map[rules.Hook]string{
	rules.Prerouting: "PREROUTING", rules.Input: "INPUT", rules.Forward: "FORWARD", rules.Output: "OUTPUT", rules.Postrouting: "POSTROUTING",
}

func (q *probe) family() rules.Family {
	if q.dst.Addr().Is4() {
		return rules.FamilyIPv4
	}
	return rules.FamilyIPv6
}

func (q *probe) tableName() string {
	if q.table == "" {
		return "mangle"
	}
	return q.table
}

// ruleset is what the tool loads.
func (q *probe) ruleset() []byte {
	var b bytes.Buffer
	b.WriteString(q.setup)
	gate := q.gate
	if gate == "" {
		gate = fmt.Sprintf("-p %d -s %s -d %s", q.proto, q.src.Addr(), q.dst.Addr())
		switch q.proto {
		case 6: // of a connection the SYN alone
			gate += fmt.Sprintf(" --dport %d --syn", q.dst.Port())
		case 17:
			gate += fmt.Sprintf(" --dport %d", q.dst.Port())
		}
	}
	fmt.Fprintf(&b, "\n*%s\n:ASK - [0:0]\n-A %s %s -j ASK\n", q.tableName(), hookChains[q.hook], gate)
	if q.first != "" {
		fmt.Fprintf(&b, "-A ASK %s\n", q.first)
	}
	for _, a := range q.ask {
		fmt.Fprintf(&b, "-A ASK %s\n", a.options)
	}
	b.WriteString("COMMIT\n")
	return b.Bytes()
}

// askKernel sends the packet past the rules of both tools and compares what
// the kernel counted with what ntdiag says of each rule.
func askKernel(t *testing.T, q *probe) {
	t.Helper()
	for _, b := range backends {
		t.Run(q.name+"/"+b.name, func(t *testing.T) {
			l, err := lab.New()
			if err != nil {
				lab.LeaveOut(t, err)
			}
			defer l.Close()
			n, err := l.Typical("s0")
			if err != nil {
				t.Fatal(err)
			}
			at := n.Router
			if q.hook == rules.Output {
				at = n.Client
			}
			if out, err := command(at, q.ruleset(), b.prefix[q.family()]+"-restore"); errors.Is(err, exec.ErrNotFound) {
				lab.LeaveOut(t, err)
			} else if err != nil {
				t.Fatalf("restore: %v: %s", err, out)
			}
			if err := q.send(n); err != nil {
				t.Fatal(err)
			}
			q.compare(t, at, b.want)
		})
	}
}

// compare waits until the packet has passed the gate.
func (q *probe) compare(t *testing.T, at *lab.Host, backend rules.Backend) {
	t.Helper()
	live, err := capture.Open(at.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer live.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for {
		s, err := live.Snapshot(ctx)
		if err != nil {
			t.Fatalf("the packet did not come by: %v", err)
		}
		gate, asked := q.chains(s, backend)
		if gate == nil || asked == nil {
			t.Fatalf("no chain to ask: %v", s.Missing)
		}
		if passed := counted(gate.Rules[len(gate.Rules)-1]); passed > 1 {
			t.Fatalf("%d packets passed the gate", passed)
		} else if passed == 1 {
			q.answers(t, s, asked)
			return
		}
	}
}

func (q *probe) chains(s *host.Snapshot, backend rules.Backend) (gate, asked *rules.Chain) {
	for _, tb := range s.Rules.Tables {
		if tb.Name != q.tableName() || tb.Family != q.family() || tb.Backend != backend {
			continue
		}
		for _, c := range tb.Chains {
			switch c.Name {
			case hookChains[q.hook]:
				gate = c
			case "ASK":
				asked = c
			}
		}
	}
	return gate, asked
}

func counted(r *rules.Rule) uint64 {
	for _, s := range r.Statements {
		if c, ok := s.(*rules.Counter); ok {
			return c.Packets
		}
	}
	return 0
}

func (q *probe) answers(t *testing.T, s *host.Snapshot, asked *rules.Chain) {
	t.Helper()
	answered := asked.Rules
	if q.first != "" {
		answered = answered[1:]
	}
	if len(answered) != len(q.ask) {
		t.Fatalf("%d rules, asked %d", len(answered), len(q.ask))
	}
	p := q.firstPacket(s)
	for i, r := range answered {
		a := rules.Decided(true)
		for _, st := range r.Statements {
			if c, ok := st.(rules.Condition); ok {
				a = a.And(c.Test(&p))
			}
		}
		kernel := rules.TruthOf(counted(r) > 0)
		t.Logf("%-60s kernel %s, ntdiag %s", q.ask[i].options, kernel, a.Truth)
		switch {
		case a.Truth == rules.Unknown && !q.ask[i].open:
			t.Errorf("%s: not known for %v; kernel: %s", q.ask[i].options, a.Unknown.List(), kernel)
		case a.Truth != rules.Unknown && a.Truth != kernel:
			t.Errorf("%s: %s, kernel: %s", q.ask[i].options, a.Truth, kernel)
		case a.Truth != rules.Unknown && q.ask[i].open:
			t.Errorf("%s: %s, which nothing tells", q.ask[i].options, a.Truth)
		}
	}
}

// firstPacket is the packet as the walk knows it at the hook.
func (q *probe) firstPacket(s *host.Snapshot) rules.Packet {
	device := func(name string) rules.Iface {
		if name == "" {
			return rules.Iface{State: rules.IfaceNone}
		}
		link, _ := s.LinkByName(name)
		return rules.Iface{State: rules.IfaceKnown, Link: link}
	}
	order := s.Rules.Order
	tuple := rules.Tuple{Proto: q.proto, Src: q.src.Addr(), Dst: q.dst.Addr(), SrcPort: q.src.Port(), DstPort: q.dst.Port()}
	reply := rules.Tuple{Proto: q.proto, Src: tuple.Dst, Dst: tuple.Src, SrcPort: tuple.DstPort, DstPort: tuple.SrcPort}
	p := rules.Packet{
		Order: order, Family: q.family(), Hook: q.hook, Host: s, Proto: q.proto,
		Iif: device(q.in), Oif: device(q.out),
		Mark: rules.KnownUint(order, 4, 0), Priority: rules.UnknownBytes(4, rules.FromPriority),
		Tracked: rules.Yes, Untracked: rules.No,
		Ct: rules.Conntrack{
			Mark: rules.KnownUint(order, 4, 0), Labels: rules.KnownBytes(make([]byte, 16)), Zone: rules.KnownUint(order, 2, 0),
			Status: rules.KnownUint(order, 4, 0), State: rules.KnownUint(order, 4, rules.CtStateNew), HelperKnown: rules.Yes,
			Original: tuple, Reply: reply,
		},
	}
	p.Net = rules.Image{N: 20}
	if p.Family == rules.FamilyIPv6 {
		p.Net.N = 40
	}
	p.Net.Open(0, p.Net.N, rules.FromIPHeader)
	p.SetAddr(false, tuple.Src)
	p.SetAddr(true, tuple.Dst)
	q.transport(&p.Trans)
	if q.packet != nil {
		q.packet(&p)
	}
	return p
}

func (q *probe) transport(im *rules.Image) {
	src, dst := q.src.Port(), q.dst.Port()
	switch q.proto {
	case 6:
		im.N = 20
		im.Open(0, 20, rules.FromTCPHeader)
		im.Set(13, []byte{2}, rules.FromTCPHeader)
		im.Known[13] = 0x3f
	case 17, 136, 132:
		im.N = 8
		im.Open(0, 8, rules.FromPayload)
	case 1, 58:
		im.N = 8
		im.Open(0, 8, rules.FromICMPHeader)
		im.Set(0, []byte{byte(src), byte(dst)}, rules.FromEntry)
		return
	default:
		return
	}
	im.Set(0, []byte{byte(src >> 8), byte(src), byte(dst >> 8), byte(dst)}, rules.FromEntry)
}

// toServer is one packet from the client to the server, of both families.
func toServer(v6 bool, sport, dport uint16) (src, dst netip.AddrPort) {
	if v6 {
		return netip.AddrPortFrom(lab.ClientAddr6, sport), netip.AddrPortFrom(lab.ServerAddr6, dport)
	}
	return netip.AddrPortFrom(lab.ClientAddr4, sport), netip.AddrPortFrom(lab.ServerAddr4, dport)
}

// knock sends a SYN, datagram a UDP packet, both from client.
func knock(src, dst netip.AddrPort) func(*lab.Net) error {
	return func(n *lab.Net) error { return n.Client.Knock(src, dst) }
}

func datagram(src, dst netip.AddrPort) func(*lab.Net) error {
	return func(n *lab.Net) error {
		_, err := n.Client.UDP(src, dst, false)
		return err
	}
}

// families fills in the words of a family: @S and @D are client and server.
func families(v6 bool, options []question) []question {
	src, dst := toServer(v6, 0, 0)
	out := make([]question, len(options))
	words := strings.NewReplacer("@S", src.Addr().String(), "@D", dst.Addr().String())
	for i, q := range options {
		out[i] = question{words.Replace(q.options), q.open}
	}
	return out
}
