package plain

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/ntdiag/ntdiag/diagnose/bundle"
	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/lab"
)

func TestMain(m *testing.M) { os.Exit(lab.Main(m.Run)) }

// ruleset puts into entries all that they can hold.
const ruleset = `table inet f {
 ct helper ftp { type "ftp" protocol tcp; }
 chain z { type filter hook prerouting priority -300;
  udp dport 7001 ct zone set 7
  udp dport 7002 ct original zone set 8
  udp dport 7003 ct reply zone set 9
 }
 chain f { type filter hook forward priority 0;
  tcp dport 21 ct helper set "ftp"
  tcp dport 7000 ct mark set 0xdeadbeef
 }
 chain d { type nat hook prerouting priority -100; tcp dport 8080 dnat ip to 192.168.1.80:80; }
 chain s { type nat hook postrouting priority 100; oifname "s0" masquerade; }
}
`

func typical(t *testing.T) *lab.Net {
	t.Helper()
	l, err := lab.New()
	if err != nil {
		lab.LeaveOut(t, err)
	}
	t.Cleanup(func() { l.Close() })
	n, err := l.Typical("s0")
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func live(t *testing.T, h *lab.Host) *capture.Live {
	t.Helper()
	l, err := capture.Open(h.Path())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// tool runs a program of the machine on h; one that is not there leaves the
// test out.
func tool(t *testing.T, h *lab.Host, input string, args ...string) string {
	t.Helper()
	out, err := h.Run(input, args[0], args[1:]...)
	if err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			lab.LeaveOut(t, err)
		}
		t.Fatal(err)
	}
	return out
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// same compares what ours gives with what the tool prints, at a moment when the
// latter does not change: times tick.
func same(t *testing.T, want func() string, got func() string) {
	t.Helper()
	for try := 0; ; try++ {
		before, ours, after := want(), got(), want()
		if before != after && try < 10 {
			continue
		}
		if before != after {
			// on a busy machine no two readings are of one second, and sorted
			// lines follow the seconds
			before, ours = sorted(seconds.ReplaceAllString(before, "${1}N")), sorted(seconds.ReplaceAllString(ours, "${1}N"))
		}
		if d := gocmp.Diff(before, ours); d != "" {
			t.Errorf("the tool -, ours +:\n%s", d)
		}
		if before == "" {
			t.Error("nothing was printed")
		}
		return
	}
}

// seconds are how long an entry or an expectation has left, and its age.
var seconds = regexp.MustCompile(`(?m)(^\S+ +\d+ \S+ +\d+ |^|delta-time=)\d+\b`)

func TestFlows(t *testing.T) {
	n := typical(t)
	tool(t, n.Router, ruleset, "nft", "-f", "-")
	must(t, n.Router.Sysctl("net.netfilter.nf_conntrack_acct=1"))
	_ = n.Router.Sysctl("net.netfilter.nf_conntrack_timestamp=1") // not there without its config
	server := func(port uint16) netip.AddrPort { return netip.AddrPortFrom(lab.ServerAddr4, port) }
	server6 := func(port uint16) netip.AddrPort { return netip.AddrPortFrom(lab.ServerAddr6, port) }
	for _, to := range []netip.AddrPort{server(80), server(7000), server6(80), netip.AddrPortFrom(lab.RouterIn4, 8080)} {
		_, err := n.Client.TCP(netip.AddrPort{}, to)
		must(t, err)
	}
	for port := uint16(7000); port < 7004; port++ {
		_, err := n.Client.UDP(netip.AddrPort{}, server(port), port == 7000)
		must(t, err)
	}
	_, err := n.Client.UDP(netip.AddrPort{}, server6(53), true)
	must(t, err)
	must(t, n.Client.Ping(lab.ClientAddr4, lab.ServerAddr4, 77, true))
	must(t, n.Client.Ping(lab.ClientAddr6, lab.ServerAddr6, 78, true))
	must(t, n.Client.Emit(lab.Packet{Src: lab.ClientAddr4, Dst: lab.ServerAddr4, L4: lab.GRE{Proto: 0x0800, Payload: make([]byte, 24)}}))
	for _, proto := range []uint8{50, 253} {
		must(t, n.Client.Datagram(proto, lab.ClientAddr4, lab.ServerAddr4))
	}
	_, err = ftp(n)
	must(t, err)
	tool(t, n.Router, "", "conntrack", "-I", "-p", "sctp", "-s", "192.0.2.1", "-d", "192.0.2.2", "--sport", "9", "--dport", "10", "-t", "100", "--state", "ESTABLISHED",
		"--orig-vtag", "1", "--reply-vtag", "2", "-m", "5", "-u", "ASSURED")
	tool(t, n.Router, "", "conntrack", "-I", "-p", "udp", "-s", "::192.0.2.1", "-d", "::ffff:192.0.2.2", "--sport", "9", "--dport", "10", "-t", "100")
	l := live(t, n.Router)
	all := map[string]bool{}
	same(t, func() string {
		return sorted(tool(t, n.Router, "", "conntrack", "-L", "-f", "ipv4", "-o", "extended,id") + tool(t, n.Router, "", "conntrack", "-L", "-f", "ipv6", "-o", "extended,id"))
	}, func() string {
		var b []byte
		now := time.Now()
		_, err := l.Flows(context.Background(), capture.Filter{}, func(f *host.Flow) error {
			b = AppendFlow(b, f, now)
			return nil
		})
		must(t, err)
		for _, w := range strings.Fields(string(b)) {
			key, _, _ := strings.Cut(w, "=")
			all[key] = true
		}
		return sorted(string(b))
	})
	for _, w := range []string{"tcp", "udp", "icmp", "icmpv6", "gre", "sctp", "unknown", "[UNREPLIED]", "[ASSURED]", "srckey", "zone", "zone-orig", "zone-reply", "helper", "mark", "packets", "type"} {
		if !all[w] {
			t.Errorf("no entry has %s", w)
		}
	}
}

// ftp asks a server to connect back to port 5005 of the client.
func ftp(n *lab.Net) (net.Conn, error) {
	c, err := n.Client.TCP(netip.AddrPort{}, netip.AddrPortFrom(lab.ServerAddr4, 21))
	if err != nil {
		return nil, err
	}
	// each line in a segment of its own: the helper looks after the end of one
	for _, line := range []string{"x\r\n", "PORT 10,0,0,10,19,141\r\n"} {
		if _, err := io.WriteString(c, line); err != nil {
			return nil, err
		}
		if _, err := io.ReadFull(c, make([]byte, len(line))); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func sorted(text string) string {
	lines := strings.SplitAfter(text, "\n")
	slices.SortFunc(lines, cmp.Compare[string])
	return strings.Join(lines, "")
}

func TestExpectations(t *testing.T) {
	n := typical(t)
	tool(t, n.Router, ruleset, "nft", "-f", "-")
	_, err := ftp(n)
	must(t, err)
	l := live(t, n.Router)
	same(t, func() string { return tool(t, n.Router, "", "conntrack", "-L", "expect") }, func() string {
		all, err := l.Expectations(context.Background())
		must(t, err)
		return text(t, "conntrack-expect.txt", &bundle.State{Expectations: all})
	})
}

// text is one of Texts.
func text(t *testing.T, name string, s *bundle.State) string {
	t.Helper()
	i := slices.IndexFunc(Texts, func(x Text) bool { return x.Name == name })
	var b bytes.Buffer
	must(t, Texts[i].Write(&b, s))
	return b.String()
}

func TestCounters(t *testing.T) {
	n := typical(t)
	tool(t, n.Router, ruleset, "nft", "-f", "-")
	l := live(t, n.Router)
	same(t, func() string { return tool(t, n.Router, "", "conntrack", "-S") }, func() string {
		stats, err := l.Stats(context.Background())
		must(t, err)
		return text(t, "conntrack-stats.txt", &bundle.State{Readings: []bundle.Reading{{Stats: stats}}})
	})
}

const routed = `link add v0 type veth peer name v1
link set v0 up
link set v1 up
addr add 198.51.100.1/24 dev v0
addr add 198.51.100.7/24 dev v0
addr add 10.9.0.1 peer 10.9.0.2/32 dev v0
addr add 2001:db8::1/64 dev v0 nodad
route add 10.20.0.0/16 via 198.51.100.9 metric 100 src 198.51.100.7
route add blackhole 10.30.0.0/16
route add throw 10.31.0.0/16 table 77
route add prohibit 10.32.0.0/16
route add 10.40.0.0/16 nexthop via 198.51.100.8 nexthop via 192.168.1.80
route add 10.50.0.0/16 via inet6 2001:db8::9 dev v0 proto bird
route add 10.60.0.0/16 via 203.0.113.1 dev v0 onlink
route add default dev v0 table 100
rule add from 192.0.2.2 lookup 100 priority 1000
rule add fwmark 0x10/0xf0 iif v0 lookup 101
rule add fwmark 0x11 lookup 101
rule add to 10.8.0.0/16 prohibit
rule add not from 10.0.0.0/8 lookup main suppress_prefixlength 0 priority 4
rule add goto 32766 priority 5 oif v1
rule add nop priority 6
neigh add 198.51.100.9 lladdr 02:00:00:00:00:09 dev v0 nud permanent
neigh add 198.51.100.10 lladdr 02:00:00:00:00:0a dev v0 nud noarp
neigh add 198.51.100.11 dev v0 nud failed
`

const routed6 = `route add unreachable 2001:db8:30::/48
route add 2001:db8:40::/48 nexthop via 2001:db8::8 dev v0 nexthop via fd00:b::80 dev s0
route add default via 2001:db8::fe table 100
rule add from 2001:db8::2 lookup 100 priority 1000
neigh add 2001:db8::9 lladdr 02:00:00:00:00:09 dev v0 router
`

// noWeight takes off what the model does not hold.
var noWeight = regexp.MustCompile(`(weight \d+ |pref medium)`)

func TestNetwork(t *testing.T) {
	n := typical(t)
	tool(t, n.Router, routed, "ip", "-batch", "-")
	tool(t, n.Router, routed6, "ip", "-6", "-batch", "-")
	l := live(t, n.Router)
	state := func() *bundle.State {
		s, err := l.Snapshot(context.Background())
		must(t, err)
		neigh, err := l.Neighbours(context.Background())
		must(t, err)
		return &bundle.State{Snapshot: s, Neighbours: neigh}
	}
	for _, tc := range []struct {
		name string
		want func() string
	}{
		{"ip-route.txt", func() string {
			return noWeight.ReplaceAllString(tool(t, n.Router, "", "ip", "-4", "route", "show", "table", "all")+tool(t, n.Router, "", "ip", "-6", "route", "show", "table", "all"), "")
		}},
		{"ip-rule.txt", func() string { return tool(t, n.Router, "", "ip", "rule") }},
		{"ip-6-rule.txt", func() string { return tool(t, n.Router, "", "ip", "-6", "rule") }},
		{"ip-neigh.txt", func() string { return tool(t, n.Router, "", "ip", "neigh") }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			same(t, func() string { return sorted(tc.want()) }, func() string { return sorted(text(t, tc.name, state())) })
		})
	}
	t.Run("ip-addr.txt", func(t *testing.T) {
		same(t, func() string { return inet(tool(t, n.Router, "", "ip", "addr")) }, func() string { return inet(text(t, "ip-addr.txt", state())) })
	})
}

// inet keeps of `ip addr` which devices have which addresses.
func inet(text string) string {
	device := regexp.MustCompile(`^(\d+: [^:@]+).*`)
	var b strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(strings.TrimRight(line, " \n"), " v0:x")
		if m := device.FindStringSubmatch(line); m != nil {
			b.WriteString(m[1] + "\n")
		} else if line = strings.TrimSpace(line); strings.HasPrefix(line, "inet") {
			line = regexp.MustCompile(` brd \S+`).ReplaceAllString(line, "")
			b.WriteString(line + "\n")
		}
	}
	return b.String()
}

func TestXfrm(t *testing.T) {
	n := typical(t)
	tool(t, n.Router, `xfrm policy add src 10.0.0.0/24 dst 10.8.0.0/16 proto tcp sport 80 dport 443 dev s0 dir out action block priority 7
xfrm policy add src 10.8.0.0/16 dst 10.0.0.0/24 dir in priority 3 mark 0x10 mask 0xf0 if_id 0x2a tmpl src 192.0.2.2 dst 192.0.2.1 proto esp spi 0x1234 reqid 5 mode tunnel level use tmpl proto comp mode transport
xfrm policy add src 2001:db8::/32 dst 2001:db8:1::/48 dir fwd tmpl src 2001:db8::1 dst 2001:db8::2 proto ah mode tunnel
`, "ip", "-batch", "-")
	l := live(t, n.Router)
	same(t, func() string { return tool(t, n.Router, "", "ip", "xfrm", "policy") }, func() string {
		s, err := l.Snapshot(context.Background())
		must(t, err)
		all, err := l.XfrmPolicies(context.Background())
		must(t, err)
		return text(t, "ip-xfrm-policy.txt", &bundle.State{Snapshot: s, Xfrm: all})
	})
}

func TestSysctls(t *testing.T) {
	n := typical(t)
	s, err := live(t, n.Router).Snapshot(context.Background())
	must(t, err)
	ours := text(t, "sysctl.txt", &bundle.State{Snapshot: s})
	if !strings.Contains(ours, "net.ipv4.ip_forward = 1\n") {
		t.Errorf("no forwarding: %s", ours)
	}
	for line := range strings.Lines(ours) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " = ")
		if value == "" {
			t.Errorf("%s has no value", key)
		}
	}
}

func TestRulesets(t *testing.T) {
	n := typical(t)
	tool(t, n.Router, "*nat\n-A POSTROUTING -o s0 -j MASQUERADE\n-A PREROUTING -p tcp --dport 8080 -j DNAT --to-destination 192.168.1.80:80\nCOMMIT\n", "iptables-nft-restore")
	tool(t, n.Router, "*nat\n-A POSTROUTING -o s0 -j MASQUERADE\nCOMMIT\n", "ip6tables-nft-restore")
	l := live(t, n.Router)
	for name, args := range map[string][]string{
		"iptables-nft-save.txt":  {"iptables-nft-save"},
		"ip6tables-nft-save.txt": {"ip6tables-nft-save"},
	} {
		same(t, func() string { return noRemarks(tool(t, n.Router, "", args...)) }, func() string {
			s, err := l.Snapshot(context.Background())
			must(t, err)
			return noRemarks(text(t, name, &bundle.State{Snapshot: s}))
		})
	}
	s, err := l.Snapshot(context.Background())
	must(t, err)
	if got := text(t, "ruleset.nft", &bundle.State{Snapshot: s}); !strings.Contains(got, "table ip nat {") || !strings.Contains(got, "table ip6 nat {") {
		t.Error(got)
	}
	if got := text(t, "iptables-legacy-save.txt", &bundle.State{Snapshot: s}); got != "" {
		t.Errorf("no table is of legacy: %s", got)
	}
}

// noRemarks leaves out when it was printed, and the chains: of a base chain that
// is not there iptables-nft-save says that it accepts.
func noRemarks(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, ":") {
			b.WriteString(line)
		}
	}
	return b.String()
}
