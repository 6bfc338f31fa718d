package stale_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"golang.org/x/sys/unix"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/lab"
	"github.com/ntdiag/ntdiag/diagnose/simulate"
	"github.com/ntdiag/ntdiag/diagnose/stale"
	"github.com/ntdiag/ntdiag/rules"
)

func TestMain(m *testing.M) { os.Exit(lab.Main(m.Run)) }

// TestKernel makes flows, changes what they rest on, and judges them; then the
// entries are deleted and the same packets are sent again: what the kernel
// makes of them is the answer that the verdicts are held to.
func TestKernel(t *testing.T) {
	needTools(t, "nft", "iptables-nft", "iptables-legacy", "ipset", "ip", "conntrack")
	cases, err := readCases("testdata/kernel/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	if len(cases) == 0 {
		t.Fatal("no cases in testdata/kernel")
	}
	for _, c := range cases {
		for _, flavour := range c.flavours {
			name := c.name
			if len(c.flavours) > 1 {
				name += "/" + flavour
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				p := &played{kernelCase: c, bench: newBench(t), flavour: flavour}
				p.play(t)
			})
		}
	}
}

func needTools(t testing.TB, tools ...string) {
	t.Helper()
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			lab.LeaveOut(t, err)
		}
	}
	l, err := lab.New()
	if err != nil {
		lab.LeaveOut(t, err)
	}
	l.Close()
}

// played is one case being played.
type played struct {
	*kernelCase
	*bench
	flavour string
	sent    []sent // by flow
}

// sent is a flow as it was sent.
type sent struct {
	tuple rules.Tuple
	conn  net.Conn // nil for ICMP
}

func (p *played) play(t *testing.T) {
	p.build(t)
	for _, f := range p.first {
		p.file(t, f)
	}
	for _, f := range p.flows {
		s := sent{tuple: f.tuple()}
		if !f.inserted {
			s = p.send(t, f)
		}
		p.sent = append(p.sent, s)
		p.has(t, f, &s.tuple, true)
	}
	for _, f := range p.then {
		p.file(t, f)
	}
	for i, f := range p.flows {
		if f.want.fate == "gone" {
			p.has(t, f, &p.sent[i].tuple, false)
		}
	}
	judge, held := stale.New(p.snapshot(t)), p.entries(t)
	verdicts := make([]*stale.Verdict, len(p.flows))
	for i, f := range p.flows {
		if e := entryOf(held, &p.sent[i].tuple, f.zone); e != nil {
			v := judge.Judge(e)
			verdicts[i] = &v
		} else if f.want.fate != "gone" {
			t.Errorf("flow %d: %s: no entry", i+1, f.line)
		}
	}
	fresh := p.again(t)
	for i, f := range p.flows {
		if v := verdicts[i]; v != nil {
			got := entryOf(fresh, &p.sent[i].tuple, f.zone)
			if why := f.compare(v, got); why != "" {
				t.Errorf("flow %d: %s: %s\n%s", i+1, f.line, why, printVerdict(v, got))
			} else if v.Fate != stale.Fresh {
				t.Logf("flow %d: %s", i+1, printVerdict(v, got))
			}
		}
	}
	p.freshOnes(t, judge, fresh)
}

// freshOnes: what the kernel has just made by the present rules is not stale.
func (p *played) freshOnes(t *testing.T, judge *stale.Judge, fresh []*host.Flow) {
	for _, f := range fresh {
		if v := judge.Judge(f); v.Fate == stale.Stale && v.Confidence == stale.Certain {
			t.Errorf("a fresh entry is called stale:\n%s", printVerdict(&v, f))
		}
	}
}

func (p *played) build(t *testing.T) {
	t.Helper()
	for _, l := range p.links {
		p.link(t, l)
	}
	if err := p.Router.Sysctl(p.sysctl...); err != nil {
		t.Fatal(err)
	}
	for _, a := range p.addrs {
		if err := p.host(t, a.host).Addr(a.dev, a.prefix); err != nil {
			t.Fatal(err)
		}
	}
	for _, l := range p.listen {
		proto, port, _ := strings.Cut(l, " ")
		n, err := strconv.ParseUint(port, 10, 16)
		if err == nil {
			err = p.Router.Listen(proto, uint16(n))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// file plays one file of the case on the router.
func (p *played) file(t *testing.T, f txtar.File) {
	t.Helper()
	script := string(f.Data)
	var err error
	switch ext := path.Ext(f.Name); ext {
	case ".nft":
		_, err = p.run(script, "nft", "-f", "-")
	case ".v4", ".v6":
		_, err = p.run(script, map[string]string{".v4": "ip", ".v6": "ip6"}[ext]+"tables-"+p.flavour+"-restore", "--noflush")
	case ".ipset":
		_, err = p.run(script, "ipset", "restore")
	case ".sh":
		_, err = p.run("iptables=iptables-"+p.flavour+" ip6tables=ip6tables-"+p.flavour+"\n"+script, "sh", "-e")
	default:
		err = fmt.Errorf("what to do with it")
	}
	if err != nil {
		if why := lab.NotHere(err, script); why != nil {
			lab.LeaveOut(t, why)
		}
		t.Fatalf("%s: %v", f.Name, err)
	}
}

func (p *played) send(t *testing.T, f *caseFlow) sent {
	t.Helper()
	h := p.host(t, f.host).Marked(f.mark).Bound(f.dev)
	s := sent{tuple: f.tuple()}
	var err error
	switch {
	case f.proto == "icmp":
		err = h.Ping(s.tuple.Src, s.tuple.Dst, s.tuple.SrcPort, !f.noreply)
	case f.proto == "udp":
		s.conn, err = h.UDP(f.source(), f.dst, !f.noreply)
	case f.noreply:
		err = h.Knock(f.source(), f.dst)
	default:
		s.conn, err = h.TCP(f.source(), f.dst)
	}
	if err != nil {
		t.Fatalf("%s: %v", f.line, err)
	}
	if s.conn != nil {
		from := netip.MustParseAddrPort(s.conn.LocalAddr().String())
		s.tuple.Src, s.tuple.SrcPort = from.Addr(), from.Port()
	}
	return s
}

var payload = []byte("ping\n")

// again drops every entry, sends the packets of all flows once more, and is
// what the table then holds.
func (p *played) again(t *testing.T) []*host.Flow {
	t.Helper()
	for _, s := range p.sent {
		if c, ok := s.conn.(*net.TCPConn); ok {
			_ = c.SetLinger(0)
			c.Close()
		}
	}
	p.must(t, "conntrack", "-F")
	for i, f := range p.flows {
		s := &p.sent[i]
		h := p.host(t, f.host).Marked(f.mark).Bound(f.dev)
		var err error
		switch from := netip.AddrPortFrom(s.tuple.Src, s.tuple.SrcPort); {
		case f.proto == "icmp":
			err = h.Ping(s.tuple.Src, s.tuple.Dst, s.tuple.SrcPort, false)
		case f.proto == "tcp":
			err = h.Knock(from, f.dst)
		case s.conn != nil:
			if _, err = s.conn.Write(payload); errors.Is(err, unix.ECONNREFUSED) { // of what was sent before
				_, err = s.conn.Write(payload)
			}
		default:
			_, err = h.UDP(from, f.dst, false)
		}
		if err != nil && f.want.again != "none" && f.want.fate != "gone" {
			t.Errorf("again: %s: %v", f.line, err)
		}
		if f.want.again != "none" && f.want.fate != "gone" {
			p.has(t, f, &s.tuple, true)
		}
	}
	return p.entries(t)
}

// has waits until there is an entry of the tuple, or none.
func (p *played) has(t *testing.T, f *caseFlow, tuple *rules.Tuple, want bool) {
	t.Helper()
	if !p.until(t, func(all []*host.Flow) bool { return (entryOf(all, tuple, f.zone) != nil) == want }) {
		t.Errorf("%s: entry of %v: want %v", f.line, *tuple, want)
	}
}

// entryOf finds the entry of a tuple, in a zone where that is not negative.
func entryOf(all []*host.Flow, tuple *rules.Tuple, zone int) *host.Flow {
	for _, e := range all {
		if e.Original == *tuple && (zone < 0 || e.Zone == uint16(zone)) {
			return e
		}
	}
	return nil
}

// compare holds a verdict against what is expected, and against what a new
// packet got, nil for no entry.
func (f *caseFlow) compare(v *stale.Verdict, got *host.Flow) string {
	w := &f.want
	is := expected{fate: v.Fate.String(), again: w.again}
	if v.Fate == stale.Stale {
		is.class, is.confidence, is.manip = string(v.Class), string(v.Confidence), v.Manip.String()
		is.now = nowTexts(v)
	}
	if is.fate != w.fate || is.class != w.class || is.confidence != w.confidence || is.manip != w.manip || !slices.Equal(is.now, w.now) {
		return fmt.Sprintf("it is %s %s %s %s now %s", is.fate, is.class, is.confidence, is.manip, strings.Join(is.now, " or "))
	}
	text := strings.Join(append([]string{v.Why}, v.Unknown...), "; ")
	for _, s := range f.says {
		if !strings.Contains(text, s) {
			return fmt.Sprintf("it does not say %q", s)
		}
	}
	var risks []string
	for _, r := range v.Risks {
		risks = append(risks, string(r))
	}
	if f.risks != nil && !slices.Equal(risks, f.risks) {
		return fmt.Sprintf("risks %v", risks)
	}
	switch {
	case w.again == "any":
	case (got == nil) != (w.again == "none"):
		return "an entry, or none, where the other is expected"
	case got == nil:
	case sameButPort(&v.Flow, got) != (w.again == "same"):
		return "a new packet does not get the " + w.again
	case w.confidence == "certain" && !foretold(v, got):
		return "a new packet gets something else than is said"
	}
	return ""
}

// nowTexts are the targets of the end that changed, the likeliest first.
func nowTexts(v *stale.Verdict) []string {
	var out []string
	for _, pair := range append([][2]*simulate.NAT{v.Now}, v.Others...) {
		text := "-"
		if n := pair[v.Manip]; n != nil {
			text = n.To.Text(v.Flow.HasPorts() && n.To.HasPort && n.To.Port != simulate.PortKept)
		}
		if !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	return out
}

// sameButPort: the kernel may have chosen another source port, or another id.
func sameButPort(a, b *host.Flow) bool {
	x, y := a.Reply, b.Reply
	x.DstPort, y.DstPort = 0, 0
	if a.IsICMP() {
		x.SrcPort, y.SrcPort = 0, 0
	}
	return x == y
}

// foretold tells whether both rewrites are among those that the verdict names.
func foretold(v *stale.Verdict, got *host.Flow) bool {
	return slices.ContainsFunc(append([][2]*simulate.NAT{v.Now}, v.Others...), func(pair [2]*simulate.NAT) bool {
		for m, e := range got.Ends() {
			if got.IsICMP() && rules.Manip(m) == rules.ManipDst {
				e.From.Port = e.To.Port
			}
			if n := pair[m]; n == nil && e.From.Addr != e.To.Addr || n != nil && n.Makes(e.From, e.To) == rules.No {
				return false
			}
		}
		return true
	})
}

func printVerdict(v *stale.Verdict, got *host.Flow) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s %s: %s\n  entry %v\n        %v status %v zone %d\n  assumed %q unknown %q risks %v", v.Fate, v.Class, v.Confidence, v.Manip, v.Why,
		v.Flow.Original, v.Flow.Reply, v.Flow.Status.Names(), v.Flow.Zone, v.Assumed, v.Unknown, v.Risks)
	if got != nil {
		fmt.Fprintf(&b, "\n  again %v", got.Reply)
	}
	return b.String()
}

// source is where the flow is sent from: client and server have many addresses,
// the router chooses for itself.
func (f *caseFlow) source() netip.AddrPort {
	if f.src.IsValid() {
		return f.src
	}
	a := map[string][2]netip.Addr{"client": {lab.ClientAddr4, lab.ClientAddr6}, "server": {lab.ServerAddr4, lab.ServerAddr6}}[f.host]
	if f.dst.Addr().Is4() {
		return netip.AddrPortFrom(a[0], 0)
	}
	return netip.AddrPortFrom(a[1], 0)
}

// tuple is the original tuple, as far as it is known before it is sent.
func (f *caseFlow) tuple() rules.Tuple {
	src := f.source()
	t := rules.Tuple{Src: src.Addr(), Dst: f.dst.Addr(), SrcPort: src.Port(), DstPort: f.dst.Port()}
	switch f.proto {
	case "tcp":
		t.Proto = host.ProtoTCP
	case "udp":
		t.Proto = host.ProtoUDP
	default:
		t.Proto, t.DstPort = host.ProtoICMP, 8<<8
		if t.Dst.Is6() {
			t.Proto, t.DstPort = host.ProtoICMPv6, 128<<8
		}
		if t.SrcPort == 0 {
			t.SrcPort = 1000
		}
	}
	return t
}
