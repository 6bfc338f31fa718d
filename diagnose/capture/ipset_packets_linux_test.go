package capture

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ntdiag/ntdiag/diagnose/lab"
	"github.com/ntdiag/ntdiag/rules"
)

// ipsetRouter forwards what is put on the wire before it: eth0 towards the
// client, eth1 where its default routes go.
type ipsetRouter struct {
	t              *testing.T
	client, router *lab.Host
	mac            net.HardwareAddr // of eth0
}

func newIPSetRouter(t *testing.T) *ipsetRouter {
	t.Helper()
	l, err := lab.New()
	if err != nil {
		lab.LeaveOut(t, err)
	}
	t.Cleanup(func() { l.Close() })
	must := func(err error) {
		if err != nil {
			t.Helper()
			t.Fatal(err)
		}
	}
	host := func(name string) *lab.Host {
		h, err := l.Host(name)
		must(err)
		return h
	}
	r := &ipsetRouter{t: t, client: host("client"), router: host("router")}
	server := host("server")
	nets := func(s ...string) (out []netip.Prefix) {
		for _, p := range s {
			out = append(out, netip.MustParsePrefix(p))
		}
		return out
	}
	must(r.router.Sysctl("net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"))
	must(l.Link(lab.End{Host: r.client, Dev: "c0"}, lab.End{Host: r.router, Dev: "eth0", Addrs: nets("192.168.7.1/24", "fd97::1/64")}))
	must(l.Link(lab.End{Host: server, Dev: "s0", Addrs: nets("192.168.8.2/24", "fd98::2/64")},
		lab.End{Host: r.router, Dev: "eth1", Addrs: nets("192.168.8.1/24", "fd98::1/64")}))
	must(r.router.Route(netip.MustParsePrefix("0.0.0.0/0"), netip.MustParseAddr("192.168.8.2")))
	must(r.router.Route(netip.MustParsePrefix("::/0"), netip.MustParseAddr("fd98::2")))
	must(r.router.Do(func() error {
		dev, err := net.InterfaceByName("eth0")
		if err == nil {
			r.mac = dev.HardwareAddr
		}
		return err
	}))
	return r
}

// run runs a command inside the router.
func (r *ipsetRouter) run(stdin, name string, args ...string) (out string) {
	r.t.Helper()
	needTool(r.t, name)
	err := r.router.Do(func() error {
		cmd := exec.Command(name, args...)
		cmd.Stdin = strings.NewReader(stdin)
		b, err := cmd.CombinedOutput()
		if out = string(b); err != nil {
			return fmt.Errorf("%s %v: %w: %s", name, args, err, b[:min(len(b), 500)])
		}
		return nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return out
}

// ipsetPacketCase is one packet on the wire. Its class of service tells it
// from what the router says of its own accord.
type ipsetPacketCase struct {
	ipsetProbeCase
	sport uint16
	local bool // sent by the router itself
}

const ipsetTOS = 0xa8

func (c *ipsetPacketCase) String() string {
	return fmt.Sprintf("%s %s -> %s proto %d ports %d %d mac %s mark %d local %t", c.iface, c.ip, c.ip2, c.proto, c.sport, c.port, c.mac, c.mark, c.local)
}

// bytes is the packet from its IP header on.
func (c *ipsetPacketCase) bytes() []byte {
	body := make([]byte, 28)
	be.PutUint16(body, c.sport)
	be.PutUint16(body[2:], c.port)
	if c.proto == 1 || c.proto == 58 {
		be.PutUint16(body, c.port)
	}
	if c.ip.Is6() {
		h := []byte{0x60 | ipsetTOS>>4, ipsetTOS & 0xf << 4, 0, 0, 0, byte(len(body)), c.proto, 64}
		return append(append(append(h, c.ip.AsSlice()...), c.ip2.AsSlice()...), body...)
	}
	h := []byte{0x45, ipsetTOS, 0, byte(20 + len(body)), 0, 1, 0, 0, 64, c.proto, 0, 0}
	h = append(append(h, c.ip.AsSlice()...), c.ip2.AsSlice()...)
	var sum uint32
	for i := 0; i < len(h); i += 2 {
		sum += uint32(be.Uint16(h[i:]))
	}
	sum = sum&0xffff + sum>>16
	be.PutUint16(h[10:], ^uint16(sum+sum>>16))
	return append(h, body...)
}

func (r *ipsetRouter) send(c *ipsetPacketCase) {
	r.t.Helper()
	send := r.inject
	if c.local {
		send = r.sendLocal
	}
	if err := send(c); err != nil {
		r.t.Fatalf("send %+v: %v", c, err)
	}
}

// inject puts the packet on the wire at the client's end.
func (r *ipsetRouter) inject(c *ipsetPacketCase) error {
	return r.client.Do(func() error {
		dev, err := net.InterfaceByName("c0")
		if err != nil {
			return err
		}
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		src, err := net.ParseMAC(c.mac)
		if err != nil {
			return err
		}
		frame := append(append([]byte{}, r.mac...), src...)
		if c.ip.Is6() {
			frame = append(frame, 0x86, 0xdd)
		} else {
			frame = append(frame, 8, 0)
		}
		return unix.Sendto(fd, append(frame, c.bytes()...), 0, &unix.SockaddrLinklayer{Ifindex: dev.Index})
	})
}

// sendLocal sends it from the router.
func (r *ipsetRouter) sendLocal(c *ipsetPacketCase) error {
	return r.router.Do(func() error {
		family, to := unix.AF_INET, unix.Sockaddr(nil)
		if c.ip.Is6() {
			family, to = unix.AF_INET6, &unix.SockaddrInet6{Addr: c.ip2.As16()}
		} else {
			to = &unix.SockaddrInet4{Addr: c.ip2.As4()}
		}
		fd, err := unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return unix.Sendto(fd, c.bytes(), 0, to)
	})
}

var ipsetHooks = []struct {
	chain string
	hook  rules.Hook
}{
	{"PREROUTING", rules.Prerouting}, {"FORWARD", rules.Forward}, {"OUTPUT", rules.Output}, {"POSTROUTING", rules.Postrouting},
}

// at is the packet at a hook of the router, false where it does not come by.
func (c *ipsetPacketCase) at(h rules.Hook, mac net.HardwareAddr) (*rules.Packet, bool) {
	p := c.packet()
	p.Hook = h
	if c.proto != 1 && c.proto != 58 {
		p.Trans.Set(0, be.AppendUint16(nil, c.sport), rules.FromEntry)
	}
	p.Link.Set(0, mac, rules.FromEntry)
	dev := func(name string) rules.Iface {
		return rules.Iface{State: rules.IfaceKnown, Link: rules.Link{Index: 9, Name: name, Type: 1}}
	}
	none := rules.Iface{State: rules.IfaceNone}
	p.Iif, p.Oif = dev("eth0"), dev("eth1")
	if c.local {
		p.Iif = none
	}
	if h == rules.Prerouting {
		p.Oif = none
	}
	return p, c.local == (h == rules.Output) || h == rules.Postrouting
}

// ipsetRule is one rule that only counts, in a chain of mangle.
type ipsetRule struct {
	hook  int // index into ipsetHooks
	match *rules.InIPSet
}

func (r *ipsetRule) text() string {
	return "-A " + ipsetHooks[r.hook].chain + " -m set " + r.match.Options()
}

// ipsetRules draws rules for every set in every chain: directions in all ways,
// too few of them, and each option. iptables refuses sets of the other family;
// as members of a list they are asked all the same.
func (g *ipsetGen) ipsetRules(rs *rules.Ruleset, family rules.Family) (out []ipsetRule) {
	for hook := range ipsetHooks {
		for _, s := range rs.IPSets {
			if s.Family != rules.FamilyUnspec && s.Family != family {
				continue
			}
			for range 2 {
				m := matches(s, g.IntN(5) == 0)
				for i := range m.Dims {
					m.Dims[i] = rules.IPSetDir(g.IntN(2))
				}
				if s.Type == "list:set" {
					m.Dims = []rules.IPSetDir{rules.IPSetDir(g.IntN(2)), rules.IPSetDir(g.IntN(2)), rules.IPSetDir(g.IntN(2))}
				}
				if len(m.Dims) > 1 && g.IntN(8) == 0 {
					m.Dims = m.Dims[1:]
				}
				m.Invert = g.IntN(4) == 0
				m.KeepCounters, m.KeepSubcounters = g.IntN(6) == 0, g.IntN(6) == 0
				if g.IntN(6) == 0 {
					op := []rules.IPSetCounterOp{rules.IPSetCounterEq, rules.IPSetCounterNe, rules.IPSetCounterLt, rules.IPSetCounterGt}
					m.Packets = rules.IPSetCounterMatch{Op: op[g.IntN(4)], Value: 3}
					if g.IntN(2) == 0 {
						m.Bytes = rules.IPSetCounterMatch{Op: op[g.IntN(4)], Value: 200}
					}
				}
				out = append(out, ipsetRule{hook, m})
			}
		}
	}
	return out
}

// counted reads how often each rule has counted, in the order of ipsetRules;
// the first rule of each chain and the last of all are not among them.
func (r *ipsetRouter) counted(tool string, n int) (packets []int, last int, lines []string) {
	r.t.Helper()
	for _, line := range strings.Split(r.run("", tool+"-save", "-c", "-t", "mangle"), "\n") {
		var p, b int
		if _, err := fmt.Sscanf(line, "[%d:%d]", &p, &b); err != nil {
			continue
		}
		_, rule, _ := strings.Cut(line, "] ")
		switch {
		case strings.Contains(rule, "--match-set"):
			packets, lines = append(packets, p), append(lines, rule)
		case strings.HasSuffix(rule, "POSTROUTING"):
			last = p
		}
	}
	if len(packets) != n {
		r.t.Fatalf("%s has %d rules, not %d", tool, len(packets), n)
	}
	return packets, last, lines
}

// TestIPSetMatchIsTheKernels sends packets through rules that ask ipsets, and
// compares what each rule counted with InIPSet.
func TestIPSetMatchIsTheKernels(t *testing.T) {
	for _, tool := range []string{"iptables-legacy", "ip6tables-legacy"} {
		if _, err := exec.LookPath(tool); err != nil {
			lab.LeaveOut(t, err)
		}
		t.Run(tool, func(t *testing.T) { ipsetMatchIsTheKernels(t, tool, 11) })
	}
}

func ipsetMatchIsTheKernels(t *testing.T, tool string, seed uint64) {
	family := rules.FamilyIPv4
	if tool == "ip6tables-legacy" {
		family = rules.FamilyIPv6
	}
	r := newIPSetRouter(t)
	g := &ipsetGen{Rand: rand.New(rand.NewPCG(seed, 5)), filled: true}
	rs := &rules.Ruleset{}
	if err := r.router.Do(func() error {
		makeIPSets(t, g, 25)
		rs = readIPSets(t)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	drawn := g.ipsetRules(rs, family)
	var b strings.Builder
	b.WriteString("*mangle\n")
	for _, h := range ipsetHooks {
		fmt.Fprintf(&b, "-A %s -m tos ! --tos 0x%x -j RETURN\n", h.chain, ipsetTOS)
	}
	for i := range drawn {
		b.WriteString(drawn[i].text() + "\n")
	}
	b.WriteString("-A POSTROUTING\nCOMMIT\n")
	r.run(b.String(), tool+"-restore")
	if _, _, lines := r.counted(tool, len(drawn)); true {
		for i := range drawn {
			if lines[i] != drawn[i].text() {
				t.Errorf("iptables-save prints %q, not %q", lines[i], drawn[i].text())
			}
		}
	}
	if err := r.router.Do(func() error { decoded(t, drawn, snapshot(t).Rules); return nil }); err != nil {
		t.Fatal(err)
	}
	tally := map[rules.Truth]int{}
	for n := range 60 {
		g.v6 = family == rules.FamilyIPv6
		c := ipsetPacketCase{ipsetProbeCase: g.probe(), sport: ipsetPorts[g.IntN(len(ipsetPorts))], local: n%4 == 3}
		if n%10 == 9 {
			c.proto = []uint8{47, 50, 89}[g.IntN(3)] // no ports
		}
		r.run("", tool, "-t", "mangle", "-Z")
		r.send(&c)
		packets := r.arrived(tool, len(drawn))
		for i := range drawn {
			p, passes := c.at(ipsetHooks[drawn[i].hook].hook, r.mac)
			if !passes {
				continue
			}
			a := drawn[i].match.Test(p)
			tally[a.Truth]++
			if a.Truth == rules.Unknown && !mayBeOpen(drawn[i].match) {
				t.Errorf("%s: unknown because of %v, though all of it is known", drawn[i].text(), a.Unknown.List())
			}
			if want := rules.TruthOf(packets[i] > 0); a.Truth != rules.Unknown && a.Truth != want {
				t.Errorf("%s: %v, the kernel says %v, of %v (set %s)", drawn[i].text(), a, want, &c, drawn[i].match.Set.CreateLine())
			}
		}
		if t.Failed() && n > 3 {
			break
		}
	}
	t.Logf("seed %d: %d rules, asked: %v", seed, len(drawn), tally)
}

// decoded puts what the reader makes of each rule in the place of what was
// drawn.
func decoded(t *testing.T, drawn []ipsetRule, rs *rules.Ruleset) {
	t.Helper()
	var read []*rules.InIPSet
	for _, tb := range rs.Tables {
		for _, c := range tb.Chains {
			for _, rule := range c.Rules {
				for _, s := range rule.Statements {
					if m, ok := s.(*rules.InIPSet); ok && tb.Backend == rules.BackendIptablesLegacy {
						read = append(read, m)
					}
				}
			}
		}
	}
	if len(read) != len(drawn) {
		t.Fatalf("%d rules read, not %d", len(read), len(drawn))
	}
	for i := range drawn {
		if got, want := read[i].Options(), drawn[i].match.Options(); got != want || read[i].Set == nil {
			t.Fatalf("rule %d is read as %q, not %q", i, got, want)
		}
		drawn[i].match = read[i]
	}
}

// mayBeOpen: time, counters, or the hash of hash:net,iface may decide.
func mayBeOpen(m *rules.InIPSet) bool {
	for _, s := range append(m.Set.Members, m.Set) {
		if s.HasTimeout || s.Type == "hash:net,iface" {
			return true
		}
	}
	return m.Set.Counters && (m.Packets.Op|m.Bytes.Op) != 0
}

// TestIPSetElementTakesAddress: an element of bitmap:ip,mac without a MAC
// address matches the first packet, whose address it takes.
func TestIPSetElementTakesAddress(t *testing.T) {
	r := newIPSetRouter(t)
	r.run("create m bitmap:ip,mac range 10.0.0.0/24\nadd m 10.0.0.1\nadd m 10.0.0.2,02:00:00:00:00:02\n", "ipset", "restore")
	read := func() (s *rules.IPSet) {
		err := r.router.Do(func() error { s = readIPSets(t).IPSetByName("m"); return nil })
		if err != nil || s == nil {
			t.Fatal("the set is not there", err)
		}
		return s
	}
	const rule = "-A PREROUTING -m set --match-set m src,src"
	r.run("*mangle\n"+rule+"\n-A POSTROUTING\nCOMMIT\n", "iptables-legacy-restore")
	for i, tt := range []struct {
		ip, mac string
		want    rules.Truth
	}{
		{"10.0.0.1", "02:00:00:00:00:07", rules.Yes},
		{"10.0.0.1", "02:00:00:00:00:08", rules.No},
		{"10.0.0.1", "02:00:00:00:00:07", rules.Yes},
		{"10.0.0.2", "02:00:00:00:00:07", rules.No},
		{"10.0.0.2", "02:00:00:00:00:02", rules.Yes},
	} {
		c := ipsetPacketCase{ipsetProbeCase: ipsetProbeCase{ip: netip.MustParseAddr(tt.ip), ip2: netip.MustParseAddr("10.9.9.9"), proto: 17, mac: tt.mac}}
		p, _ := c.at(rules.Prerouting, r.mac)
		got := matches(read(), false).Test(p)
		r.run("", "iptables-legacy", "-t", "mangle", "-Z")
		r.send(&c)
		packets := r.arrived("iptables-legacy", 1)
		if kernel := rules.TruthOf(packets[0] > 0); got.Truth != tt.want || kernel != tt.want {
			t.Errorf("packet %d: %v, the kernel %v, want %v", i, got, kernel, tt.want)
		}
	}
}

// arrived waits until the packet has come by the last rule.
func (r *ipsetRouter) arrived(tool string, n int) []int {
	r.t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		if packets, last, _ := r.counted(tool, n); last > 0 {
			return packets
		}
	}
	r.t.Fatal("the packet did not come through")
	return nil
}
