package evidence

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ntdiag/ntdiag/diagnose/bundle"
	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/lab"
	"github.com/ntdiag/ntdiag/rules"
)

// iproute are the devices, addresses, routes and policy rules of all forms that
// ip has words for.
const iproute = `link add br0 type bridge nf_call_iptables 1
link add d0 type veth peer name p0
link set p0 up
link set d0 master br0 up
link set br0 up group 7
link add d1 type veth peer name p1
link set d1 up
link set p1 up
link add d2 type veth peer name p2
link set d2 up
link set p2 up
addr add 10.9.0.1/24 brd + dev br0
addr add 10.9.0.2/24 dev br0
addr add 10.10.0.1 peer 10.10.0.2/32 dev d1
addr add fd09::1/64 dev br0 nodad
addr add 169.254.1.1/16 scope link dev d2
route add 172.16.0.0/12 via 10.9.0.9 metric 50
route add 172.17.0.0/16 via 10.9.0.9 src 10.9.0.2
route add unreachable 198.51.100.0/24
route add blackhole 203.0.113.0/24 metric 7
route add throw 10.77.0.0/16 table 77
route add 10.88.0.0/16 nexthop via 10.9.0.3 dev br0 weight 2 nexthop via 10.9.0.4 dev br0
route add 10.99.0.0/16 dev br0 table 77 scope link tos 8
-6 route add fd77::/48 via fd09::9 metric 33
-6 route add unreachable fd78::/48
-6 route add fd79::/64 nexthop via fd09::3 dev br0 nexthop via fd09::4 dev br0
rule add from 10.9.0.0/24 lookup 77 priority 100
rule add not from 10.8.0.0/16 fwmark 0x1/0xff iif br0 lookup 77 priority 101
rule add to 10.7.0.0/16 oif d1 blackhole priority 102
rule add lookup main suppress_prefixlength 0 priority 103
rule add from all ipproto tcp dport 80 lookup 77 priority 104
-6 rule add from fd09::/64 lookup 77 priority 100`

func command(t *testing.T, h *lab.Host, name string, args ...string) string {
	t.Helper()
	out, err := h.Run("", name, args...)
	if errors.Is(err, exec.ErrNotFound) {
		lab.LeaveOut(t, err)
	}
	if err != nil {
		t.Fatalf("%s %v: %v: %s", name, args, err, out)
	}
	return out
}

// texts writes what commands print into files of a directory.
func texts(t *testing.T, h *lab.Host, commands ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, c := range commands {
		w := strings.Fields(c)
		out := command(t, h, w[0], w[1:]...)
		if err := os.WriteFile(filepath.Join(dir, strings.ReplaceAll(c, " ", "_")), []byte(out), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func open(t *testing.T, dir string) *bundle.Source {
	t.Helper()
	s, err := Open(t.Context(), dir, nil, "", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestNetworkOfKernel: what ip prints is read as what the kernel tells.
func TestNetworkOfKernel(t *testing.T) {
	l, err := lab.New()
	if err != nil {
		lab.LeaveOut(t, err)
	}
	defer l.Close()
	h, err := l.Host("h")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(iproute) {
		command(t, h, "ip", strings.Fields(line)...)
	}
	live, err := capture.Open(h.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer live.Close()
	want, err := live.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	routes := []string{"ip route show table all", "ip -6 route show table all"}
	rulesOf := []string{"ip rule", "ip -6 rule"}
	for _, form := range [][]string{{"ip -d addr"}, {"ip -s -d link", "ip -o addr"}, {"ip -d -o link", "ip -d -o addr"}} {
		t.Run(strings.Join(form, " and "), func(t *testing.T) {
			got := open(t, texts(t, h, slices.Concat(form, routes, rulesOf)...)).State().Snapshot
			compareNetwork(t, want, got)
			for _, m := range got.Missing {
				if m.What != host.PartNft && m.What != partSysctls {
					t.Errorf("missing: %s: %s", m.What, m.Why)
				}
			}
		})
	}
	// the table of local addresses is made of the addresses
	got := open(t, texts(t, h, "ip -d addr", "ip route", "ip -6 route", "ip rule")).State().Snapshot
	for _, a := range []string{"10.9.0.1", "10.9.0.255", "127.3.2.1", "10.10.0.1", "169.254.1.1", "fd09::1", "::1"} {
		addr := netip.MustParseAddr(a)
		x, ok1 := want.AddrType(addr, 0)
		y, ok2 := got.AddrType(addr, 0)
		if x != y || ok1 != ok2 {
			t.Errorf("%s is of type %d %v, of the texts %d %v", a, x, ok1, y, ok2)
		}
	}
}

func compareNetwork(t *testing.T, want, got *host.Snapshot) {
	t.Helper()
	sortBy := cmpopts.SortSlices
	if d := gocmp.Diff(want.Links, got.Links, sortBy(func(a, b rules.Link) bool { return a.Index < b.Index })); d != "" {
		t.Errorf("links (-kernel +text):\n%s", d)
	}
	addrs := []gocmp.Option{
		cmpopts.EquateComparable(netip.Prefix{}), sortBy(func(a, b host.Addr) bool { return a.Prefix.String() < b.Prefix.String() }),
		cmpopts.IgnoreFields(host.Addr{}, "Flags"),
	}
	if d := gocmp.Diff(want.Addrs, got.Addrs, addrs...); d != "" {
		t.Errorf("addresses (-kernel +text):\n%s", d)
	}
	// ip prints no scope of IPv6, and not every flag
	order := func(a, b host.RouteEntry) bool {
		return cmp.Or(cmp.Compare(a.Table, b.Table), strings.Compare(a.Dst.String(), b.Dst.String()), cmp.Compare(a.Priority, b.Priority),
			strings.Compare(a.Gateway.String(), b.Gateway.String()), cmp.Compare(a.Oif, b.Oif), cmp.Compare(a.Type, b.Type)) < 0
	}
	routes := []gocmp.Option{
		cmpopts.EquateComparable(netip.Prefix{}, netip.Addr{}), sortBy(order),
		cmpopts.IgnoreFields(host.RouteEntry{}, "Flags"),
	}
	if d := gocmp.Diff(want.Routes, got.Routes, routes...); d != "" {
		t.Errorf("routes (-kernel +text):\n%s", d)
	}
	policy := []gocmp.Option{
		// the kernel names a mask too
		gocmp.FilterPath(func(p gocmp.Path) bool { return p.Last().String() == ".Other" }, gocmp.Comparer(func(a, b []string) bool {
			return (len(a) == 0) == (len(b) == 0)
		})),
		cmpopts.EquateComparable(netip.Prefix{}), cmpopts.SortSlices(func(a, b host.PolicyRule) bool {
			return cmp.Or(cmp.Compare(a.Family, b.Family), cmp.Compare(a.Priority, b.Priority)) < 0
		}),
	}
	if d := gocmp.Diff(want.RuleTable, got.RuleTable, policy...); d != "" {
		t.Errorf("policy rules (-kernel +text):\n%s", d)
	}
}

// TestFlowsOfKernel: a line of conntrack is read as the entry that it was made
// of, in what it tells.
func TestFlowsOfKernel(t *testing.T) {
	l, err := lab.New()
	if err != nil {
		lab.LeaveOut(t, err)
	}
	defer l.Close()
	n, err := l.Typical("s0")
	if err != nil {
		t.Fatal(err)
	}
	command(t, n.Router, "sh", "-c", `iptables-nft -t nat -A PREROUTING -p tcp --dport 8080 -j DNAT --to-destination 192.168.1.80:80 &&
iptables-nft -t nat -A POSTROUTING -o s0 -j MASQUERADE && iptables-nft -t raw -A PREROUTING -p udp --dport 1001 -j CT --zone 7 &&
ip6tables-nft -t nat -A POSTROUTING -o s0 -j MASQUERADE && iptables-nft -t mangle -A PREROUTING -p udp -j CONNMARK --set-mark 0x15`)
	v4 := func(port uint16) (netip.AddrPort, netip.AddrPort) {
		return netip.AddrPortFrom(lab.ClientAddr4, 40000+port), netip.AddrPortFrom(lab.ServerAddr4, port)
	}
	src, dst := v4(8080)
	conn, err := n.Client.TCP(src, dst)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, port := range []uint16{1001, 53} {
		src, dst := v4(port)
		c, err := n.Client.UDP(src, dst, port == 53)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	if err := n.Client.Ping(lab.ClientAddr4, lab.ServerAddr4, 77, true); err != nil {
		t.Fatal(err)
	}
	if err := n.Client.Ping(lab.ClientAddr6, lab.ServerAddr6, 78, true); err != nil {
		t.Fatal(err)
	}
	live, err := capture.Open(n.Router.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer live.Close()
	for _, form := range []string{"conntrack -L", "conntrack -L -o extended,id", "conntrack -L -o ktimestamp,labels,id", "cat /proc/thread-self/net/nf_conntrack"} {
		t.Run(form, func(t *testing.T) {
			var text string
			if strings.HasPrefix(form, "cat") {
				if err := n.Router.Do(func() error {
					b, err := os.ReadFile(strings.Fields(form)[1])
					text = string(b)
					return err
				}); errors.Is(err, os.ErrNotExist) {
					t.Skip("this kernel has no /proc/net/nf_conntrack")
				} else if err != nil {
					t.Fatal(err)
				}
			} else {
				text = command(t, n.Router, "conntrack", strings.Fields(form)[1:]...)
				if !strings.Contains(text, "icmpv6") {
					text += command(t, n.Router, "conntrack", append(strings.Fields(form)[1:], "-f", "ipv6")...)
				}
			}
			file := filepath.Join(t.TempDir(), "flows.txt")
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := Open(t.Context(), "", []Named{{"conntrack", file}}, "", nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			if d := gocmp.Diff(told(t, live), told(t, s), cmpopts.EquateComparable(netip.Addr{})); d != "" {
				t.Errorf("(-kernel +text):\n%s\n%s", d, text)
			}
		})
	}
}

// told are the entries, with what every line of conntrack tells.
func told(t *testing.T, s capture.Source) []host.Flow {
	t.Helper()
	var out []host.Flow
	if _, err := s.Flows(context.Background(), capture.Filter{}, func(f *host.Flow) error {
		one := *f
		one.ID, one.Timeout, one.Use, one.Secctx, one.Start = 0, 0, 0, "", 0
		one.Orig, one.Repl = host.Counts{}, host.Counts{}
		one.TCPFlags, one.TCPScale, one.Labels = [2]uint8{}, [2]uint8{}, [16]byte{}
		one.Has &= host.HasTCPState | host.HasMark | host.HasZoneOrig | host.HasZoneReply
		out = append(out, one)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(out, func(a, b host.Flow) int {
		return strings.Compare(fmt.Sprint(a.Original), fmt.Sprint(b.Original))
	})
	return out
}
