package capture

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

// network makes devices, routes and policy rules of every kind that lookups
// follow.
const network = `
link add d0 type veth peer name p0
link set p0 addrgenmode none
link set p0 up
link add d1 type veth peer name p1
link set p1 addrgenmode none
link set p1 up
link add d2 type veth peer name p2
link set p2 addrgenmode none
link set p2 up
addr add 10.0.0.1/24 dev d0
addr add 10.0.0.2/24 dev d0
addr add 10.9.0.1/16 dev d0
addr add 192.168.1.2/24 dev d1
addr add 172.16.0.1 peer 172.16.0.9/32 dev d2
addr add 2001:db8::1/64 dev d0 nodad
addr add 2001:db8:1::2/64 dev d1 nodad
link set d0 up
link set d1 up
link set d2 up
route add default via 192.168.1.1
route add 10.20.0.0/16 via 10.0.0.254 metric 100
route add 10.20.0.0/16 via 192.168.1.254 metric 50
route add 10.20.30.0/24 via 10.0.0.253 src 10.0.0.2
route add blackhole 10.30.0.0/16
route add unreachable 10.31.0.0/16
route add throw 10.32.0.0/16
route add prohibit 10.33.0.0/16
route add 10.40.0.0/16 nexthop via 10.0.0.251 nexthop via 192.168.1.251
route add default via 10.0.0.250 table 100
route add 10.50.0.0/16 via 10.0.0.249 table 101
route add 10.20.0.0/16 via 10.0.0.248 table 102
route add 10.60.0.0/16 dev d2 table 103
rule add from 192.168.1.2 lookup 100 priority 1000
rule add fwmark 0x10/0xf0 lookup 101 priority 1001
rule add fwmark 0x20/0xf0 lookup 102 priority 1002
rule add to 10.60.0.0/16 lookup 103 priority 1003
rule add iif d1 lookup 100 priority 1004
rule add lookup main suppress_prefixlength 0 priority 1006
rule add to 10.80.0.0/16 prohibit priority 1007
rule add to 10.81.0.0/16 goto 32766 priority 1008
rule add to 10.82.0.0/16 nop priority 1009
rule add not to 0.0.0.0/1 lookup 100 priority 1010
`

const network6 = `
route add default via 2001:db8:1::1
route add 2001:db8:20::/48 via 2001:db8::fe
route add unreachable 2001:db8:30::/48
route add default via 2001:db8::fd table 100
rule add from 2001:db8:1::2 lookup 100 priority 1000
rule add fwmark 0x20 lookup 100 priority 1001
`

func makeNetwork(t *testing.T) {
	t.Helper()
	run(t, network, "ip", "-batch", "-")
	// an IPv6 address gets its local route some time after it was added
	waitFor(t, "the local routes", func() bool {
		local := run(t, "", "ip", "-6", "route", "show", "table", "local")
		return strings.Contains(local, "2001:db8::1 ") && strings.Contains(local, "2001:db8:1::2 ")
	})
	run(t, network6, "ip", "-6", "-batch", "-")
}

// kernelRoute is what `ip -j route get` answers, or its error.
type kernelRoute struct {
	Type    string `json:"type"`
	Dev     string `json:"dev"`
	Gateway string `json:"gateway"`
}

var noRoute = map[string]rules.AddrType{
	"Invalid argument": rules.AddrBlackhole, "Network is unreachable": rules.AddrUnreachable,
	"No route to host": rules.AddrUnreachable, "Permission denied": rules.AddrProhibit,
}

func askKernel(t *testing.T, q rules.RouteQuery, links map[uint32]string) (kernelRoute, rules.AddrType) {
	t.Helper()
	args := []string{"-c", "ip -j route get \"$@\" 2>&1 || true", "sh", q.Dst.String()}
	if q.Src.IsValid() {
		args = append(args, "from", q.Src.String())
	}
	if q.Iif != 0 {
		args = append(args, "iif", links[q.Iif])
	}
	if q.Oif != 0 {
		args = append(args, "oif", links[q.Oif])
	}
	if q.Mark != 0 {
		args = append(args, "mark", strconv.Itoa(int(q.Mark)))
	}
	out := run(t, "", "sh", args...)
	for text, typ := range noRoute {
		if strings.Contains(out, text) {
			return kernelRoute{}, typ
		}
	}
	var rs []kernelRoute
	if err := json.Unmarshal([]byte(out), &rs); err != nil || len(rs) == 0 {
		t.Fatalf("ip route get %v: %v: %s", args[3:], err, out)
	}
	return rs[0], 0
}

func TestRoutesAgreeWithTheKernel(t *testing.T) {
	newNetns(t)
	makeNetwork(t)
	run(t, "", "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward; echo 0 > /proc/sys/net/ipv4/conf/all/rp_filter")
	s := snapshot(t)
	names, index := map[uint32]string{}, map[string]uint32{"": 0}
	for _, l := range s.Links {
		names[l.Index], index[l.Name] = l.Name, l.Index
	}
	v4 := []string{
		"10.0.0.1", "10.0.0.77", "10.0.0.255", "10.9.3.4", "192.168.1.2", "192.168.1.9", "172.16.0.9", "172.16.0.1",
		"8.8.8.8", "10.20.1.1", "10.20.30.1", "10.30.1.1", "10.31.1.1", "10.32.1.1", "10.33.1.1", "10.50.1.1",
		"10.60.1.1", "10.70.1.1", "10.80.1.1", "10.81.1.1", "10.82.1.1", "127.0.0.1", "224.0.0.5", "203.0.113.5", "255.255.255.255",
	}
	v6 := []string{"2001:db8::1", "2001:db8::77", "2001:db8:1::9", "2001:db8:20::1", "2001:db8:30::1", "2001:4860::1", "::1"}
	ways := []struct {
		src      string
		mark     uint32
		iif, oif string
	}{
		{}, {mark: 0x10}, {mark: 0x25}, {mark: 1}, {src: "192.168.1.2"}, {src: "10.0.0.2", mark: 0x20}, {oif: "d1"}, {oif: "d0"},
		{src: "192.168.1.55", iif: "d1"}, {src: "10.0.0.55", iif: "d0", mark: 0x11},
	}
	six := []struct {
		src      string
		mark     uint32
		iif, oif string
	}{{}, {mark: 0x20}, {src: "2001:db8:1::2"}, {oif: "d1"}, {src: "2001:db8::55", iif: "d0"}}
	n := 0
	for i, dsts := range [][]string{v4, v6} {
		for _, w := range [][]struct {
			src      string
			mark     uint32
			iif, oif string
		}{ways, six}[i] {
			for _, d := range dsts {
				q := rules.RouteQuery{Dst: netip.MustParseAddr(d), Mark: w.mark, MarkKnown: true, Iif: index[w.iif], Oif: index[w.oif]}
				if w.src != "" {
					q.Src = netip.MustParseAddr(w.src)
				}
				if skipRoute(s, q) {
					continue
				}
				compareRoute(t, s, q, names)
				n++
			}
		}
	}
	t.Logf("%d lookups", n)
}

// skipRoute leaves out where `ip route get` answers more than the tables: it
// takes a destination to be on the link that a socket is bound to when the
// tables have no way, and drops martians.
func skipRoute(s *host.Snapshot, q rules.RouteQuery) bool {
	if q.Iif != 0 {
		return q.Dst.IsLoopback() || q.Dst.IsMulticast()
	}
	q.Src = netip.IPv4Unspecified()
	r, known := s.Lookup(q)
	return q.Dst.Is4() && q.Oif != 0 && (known == rules.No || r.Type >= rules.AddrBlackhole)
}

func compareRoute(t *testing.T, s *host.Snapshot, q rules.RouteQuery, names map[uint32]string) {
	t.Helper()
	want, fails := askKernel(t, q, names)
	if !q.Src.IsValid() {
		// what `ip route get` asks with: no address at all
		q.Src = unspecified(q.Dst)
	}
	got, known := s.Lookup(q)
	what := fmt.Sprintf("%s from %v mark %#x iif %q oif %q", q.Dst, q.Src, q.Mark, names[q.Iif], names[q.Oif])
	switch {
	case fails != 0:
		if known == rules.No && fails == rules.AddrUnreachable || known == rules.Yes && got.Type == fails {
			return
		}
		t.Errorf("%s: got %+v (%v), the kernel fails with type %d", what, got, known, fails)
	case known != rules.Yes:
		t.Errorf("%s: %v, the kernel says %+v", what, known, want)
	case want.Type == "local":
		if got.Type != rules.AddrLocal {
			t.Errorf("%s: type %d, want local", what, got.Type)
		}
	case want.Type == "broadcast" && q.Iif != 0:
		if got.Type != rules.AddrBroadcast {
			t.Errorf("%s: type %d, want broadcast", what, got.Type)
		}
	case got.Multipath:
	case names[got.Oif] != want.Dev || got.Gateway.IsValid() != (want.Gateway != "") || want.Gateway != "" && got.Gateway.String() != want.Gateway:
		t.Errorf("%s: dev %s via %v, the kernel says %+v", what, names[got.Oif], got.Gateway, want)
	}
}

func unspecified(like netip.Addr) netip.Addr {
	if like.Is4() {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

func TestRouteMultipath(t *testing.T) {
	newNetns(t)
	makeNetwork(t)
	s := snapshot(t)
	q := rules.RouteQuery{Dst: netip.MustParseAddr("10.40.1.1"), Src: netip.IPv4Unspecified(), MarkKnown: true}
	if r, ok := s.Route(q); !ok || !r.Multipath {
		t.Errorf("got %+v, %v, want one of several", r, ok)
	}
	d1, _ := s.LinkByName("d1")
	q.Oif = d1.Index
	if r, ok := s.Route(q); !ok || r.Multipath || r.Gateway.String() != "192.168.1.251" {
		t.Errorf("by d1: got %+v, %v", r, ok)
	}
}

// TestMasqueradeAddr compares with what the kernel puts into the entry of a
// packet that is really sent.
func TestMasqueradeAddr(t *testing.T) {
	newNetns(t)
	makeNetwork(t)
	run(t, `table inet nat { chain post { type nat hook postrouting priority srcnat; oifname "d*" masquerade; }
}
`, "nft", "-f", "-")
	l := openHere(t, "")
	s, err := l.Snapshot(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for i, dst := range []string{"10.0.0.77", "10.9.3.4", "10.20.30.1", "10.20.1.1", "8.8.8.8", "172.16.0.9", "2001:db8::77", "2001:db8:20::1", "2001:4860::1"} {
		to := netip.MustParseAddr(dst)
		sendUDP(t, to, uint16(9000+i))
		var entry *host.Flow
		if _, err := l.Flows(context.Background(), Filter{}, func(f *host.Flow) error {
			if f.Original.Dst == to {
				c := *f
				entry = &c
				return ErrStop
			}
			return nil
		}); err != nil || entry == nil {
			t.Fatalf("%s: no entry (%v)", dst, err)
		}
		// the socket had no address when the route was looked up
		r, ok := s.Route(rules.RouteQuery{Dst: to, Src: unspecified(to), MarkKnown: true})
		if !ok {
			t.Errorf("%s: no route", dst)
			continue
		}
		nexthop := r.Gateway
		if !nexthop.IsValid() || to.Is6() {
			nexthop = to
		}
		got := s.MasqueradeAddrs(r.Oif, nexthop)
		if !slices.Contains(got, entry.Reply.Dst) || to.Is4() && len(got) != 1 {
			t.Errorf("%s: %v, the kernel took %v", dst, got, entry.Reply.Dst)
		}
	}
}

// TestRedirectAddr compares with the entry of a packet that came in.
func TestRedirectAddr(t *testing.T) {
	newNetns(t)
	needTool(t, "unshare")
	peer := exec.Command("unshare", "-n", "sleep", "60")
	if err := peer.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		peer.Process.Kill()
		peer.Wait()
	}()
	pid := strconv.Itoa(peer.Process.Pid)
	waitFor(t, "the peer's namespace", func() bool {
		mine, _ := os.Readlink("/proc/thread-self/ns/net")
		theirs, _ := os.Readlink("/proc/" + pid + "/ns/net")
		comm, _ := os.ReadFile("/proc/" + pid + "/comm")
		return mine != theirs && string(comm) == "sleep\n"
	})
	run(t, `link add d0 type veth peer name p0
link set p0 netns `+pid+`
addr add 10.0.0.1/24 dev d0
addr add 10.0.0.2/24 dev d0
addr add 10.7.0.1/24 dev d0
addr add 2001:db8::1/64 dev d0 nodad
addr add 2001:db8::2/64 dev d0 nodad
link set d0 up
`, "ip", "-batch", "-")
	run(t, "", "nsenter", "-t", pid, "-n", "sh", "-c", `ip link set p0 up && ip addr add 10.0.0.9/24 dev p0 &&
		ip addr add 2001:db8::9/64 dev p0 nodad && ip route add 10.7.0.0/24 dev p0`)
	run(t, "table inet nat {\nchain pre {\ntype nat hook prerouting priority dstnat; udp dport 7777 redirect to :9\n}\n}\n", "nft", "-f", "-")
	waitFor(t, "the local routes", func() bool {
		return strings.Contains(run(t, "", "ip", "-6", "route", "show", "table", "local"), "2001:db8::2 ")
	})
	l := openHere(t, "")
	s := snapshot(t)
	d0, _ := s.LinkByName("d0")
	for _, dst := range []string{"10.0.0.1", "10.0.0.2", "10.7.0.1", "2001:db8::1", "2001:db8::2"} {
		to := netip.MustParseAddr(dst)
		var entry *host.Flow
		waitFor(t, "the entry of a packet to "+dst, func() bool {
			run(t, "", "nsenter", "-t", pid, "-n", "bash", "-c", "echo x > /dev/udp/"+dst+"/7777")
			_, err := l.Flows(context.Background(), Filter{}, func(f *host.Flow) error {
				if f.Original.Dst == to && f.Original.DstPort == 7777 {
					c := *f
					entry = &c
				}
				return nil
			})
			return err == nil && entry != nil
		})
		got := s.RedirectAddrs(d0.Index, entry.Family)
		if len(got) == 0 || got[0] != entry.Reply.Src {
			t.Errorf("%s: %v, the kernel took %v", dst, got, entry.Reply.Src)
		}
	}
}

// waitFor asks until it is so.
func waitFor(t *testing.T, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !so(); runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("%s: not within 10 s", what)
		}
	}
}

// sendUDP sends one packet from the test's thread.
func sendUDP(t *testing.T, to netip.Addr, port uint16) {
	t.Helper()
	domain, sa := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Port: int(port)})
	if to.Is4() {
		sa.(*unix.SockaddrInet4).Addr = to.As4()
	} else {
		domain, sa = unix.AF_INET6, &unix.SockaddrInet6{Port: int(port), Addr: to.As16()}
	}
	fd, err := unix.Socket(domain, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Sendto(fd, []byte("x"), 0, sa); err != nil {
		t.Fatalf("send to %v: %v", to, err)
	}
}
