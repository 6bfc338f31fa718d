package stale_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/lab"
	"github.com/ntdiag/ntdiag/diagnose/remove"
	"github.com/ntdiag/ntdiag/diagnose/stale"
)

// kubeService is a service of one endpoint, as kube-proxy writes it.
const kubeService = `*nat
:KUBE-SERVICES - [0:0]
:KUBE-SVC-METRICS - [0:0]
:KUBE-SEP-81 - [0:0]
-A PREROUTING -j KUBE-SERVICES
-A OUTPUT -j KUBE-SERVICES
-A KUBE-SERVICES -d 10.96.0.10/32 -p udp -m udp --dport 8125 -j KUBE-SVC-METRICS
-A KUBE-SVC-METRICS -j KUBE-SEP-81
-A KUBE-SEP-81 -p udp -m udp -j DNAT --to-destination 192.168.1.81:8000
COMMIT
`

const kubeReplaced = `*nat
:KUBE-SVC-METRICS - [0:0]
:KUBE-SEP-82 - [0:0]
:KUBE-SEP-81 - [0:0]
-A KUBE-SVC-METRICS -j KUBE-SEP-82
-A KUBE-SEP-82 -p udp -m udp -j DNAT --to-destination 192.168.1.82:8000
-X KUBE-SEP-81
COMMIT
`

// A sender of metrics that never hears an answer keeps the backend that it had
// when that is replaced: each datagram renews the entry.
func TestOneWaySenderKeepsDeadBackend(t *testing.T) {
	needTools(t, "nft", "iptables-nft-restore")
	b := newBench(t)
	plain(t, b.Server)
	b.load(t, restore, kubeService)
	old, replaced := receiver(t, b.Server, "192.168.1.81"), receiver(t, b.Server, "192.168.1.82")
	c := sender(t, b.Client, "", "10.96.0.10:8125")
	old.gets(t)
	b.load(t, restore, kubeReplaced)
	sends(t, c)
	old.gets(t)
	v := b.one(t, stale.TargetChanged, stale.Certain)
	if v.Flow.Status.Has(host.StatusSeenReply) || len(v.Risks) > 0 {
		t.Errorf("status %v, risks %v: nobody answers it", v.Flow.Status.Names(), v.Risks)
	}
	b.remove(t, nil, v)
	sends(t, c)
	replaced.gets(t)
}

// Docker publishes a UDP port to which packets came before: they made an entry
// without NAT, and never reach the container.
func TestPublishedPortNotNATed(t *testing.T) {
	needTools(t, "nft", "iptables-nft-restore")
	const docker = `*nat
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s 10.0.0.0/24 ! -o c0 -j MASQUERADE
COMMIT
`
	b := newBench(t)
	plain(t, b.Client)
	b.load(t, restore, docker)
	container := receiver(t, b.Client, "10.0.0.10")
	phone := sender(t, b.Server, "192.168.1.80:5060", "192.168.1.2:5060")
	b.load(t, restore, "*nat\n-A DOCKER ! -i c0 -p udp -m udp --dport 5060 -j DNAT --to-destination 10.0.0.10:8000\nCOMMIT\n")
	sends(t, phone)
	v := b.one(t, stale.RuleAdded, stale.Certain)
	b.remove(t, nil, v)
	sends(t, phone)
	if from := container.gets(t); from.Addr() != lab.ServerAddr4 {
		t.Errorf("the container sees %s", from)
	}
}

// A phone registers while the firewall is still loading: conntrack is there and
// masquerade is not, and the flow keeps its private source.
func TestFlowOlderThanMasquerade(t *testing.T) {
	needTools(t, "nft")
	b := newBench(t)
	plain(t, b.Server)
	b.load(t, nft, `table inet filter { chain forward { type filter hook forward priority filter; ct state invalid drop; }; }`)
	registrar := receiver(t, b.Server, "192.168.1.80")
	phone := sender(t, b.Client, "10.0.0.10:5060", "192.168.1.80:8000")
	if from := registrar.gets(t); from.Addr() != lab.ClientAddr4 {
		t.Fatalf("the registrar sees %s", from)
	}
	b.load(t, nft, `table ip nat { chain post { type nat hook postrouting priority srcnat; oifname "s0" masquerade; }; }`)
	sends(t, phone)
	if from := registrar.gets(t); from.Addr() != lab.ClientAddr4 {
		t.Fatalf("the registrar sees %s", from)
	}
	b.remove(t, nil, b.one(t, stale.NotYetNAT, stale.Certain))
	sends(t, phone)
	if from := registrar.gets(t); from.Addr() != lab.RouterOut4 {
		t.Errorf("the registrar sees %s", from)
	}
}

// The line is dialled again and has another address: flows of masquerade are
// dropped by the kernel, those of snat keep the old one.
func TestSNATAddressGoneAfterRedial(t *testing.T) {
	needTools(t, "nft", "ip")
	snat := func(to string) string {
		return `table ip nat { chain post { type nat hook postrouting priority srcnat;
			oifname "s0" udp dport 8000 snat to ` + to + `
			oifname "s0" masquerade
		}; }`
	}
	b := newBench(t)
	plain(t, b.Server)
	b.load(t, nft, snat("192.168.1.2"))
	peer := receiver(t, b.Server, "192.168.1.80")
	tunnel := sender(t, b.Client, "10.0.0.10:51820", "192.168.1.80:8000")
	if from := peer.gets(t); from.Addr() != lab.RouterOut4 {
		t.Fatalf("the peer sees %s", from)
	}
	sender(t, b.Client, "10.0.0.10:5000", "192.168.1.80:9")
	b.load(t, []string{"sh", "-e"}, "ip addr del 192.168.1.2/24 dev s0\nip addr add 192.168.1.99/24 dev s0\nip route replace default via 192.168.1.80\n")
	b.load(t, nft, "flush ruleset\n"+snat("192.168.1.99"))
	sends(t, tunnel)
	if from := peer.gets(t); from.Addr() != lab.RouterOut4 {
		t.Fatalf("the peer sees %s", from)
	}
	if !b.until(t, func(all []*host.Flow) bool {
		return !slices.ContainsFunc(all, func(f *host.Flow) bool { return f.Original.DstPort == 9 })
	}) {
		t.Fatal("the masqueraded entry stays")
	}
	v := b.one(t, stale.SNATAddressGone, stale.Certain)
	b.remove(t, nil, v)
	sends(t, tunnel)
	if from := peer.gets(t); from.Addr() != netip.MustParseAddr("192.168.1.99") {
		t.Fatalf("the peer sees %s", from)
	}
	sends(t, peer)
	if err := reads(tunnel); err != nil {
		t.Errorf("the answer: %v", err)
	}
}

// multiWAN routes by a mark that is kept in the entry, as mwan3 does.
const multiWAN = `*mangle
:mwan_policy - [0:0]
-A PREROUTING -j CONNMARK --restore-mark --nfmask 0x3f00 --ctmask 0x3f00
-A PREROUTING -i c0 -m mark --mark 0x0/0x3f00 -j mwan_policy
-A PREROUTING -j CONNMARK --save-mark --nfmask 0x3f00 --ctmask 0x3f00
COMMIT
*nat
-A POSTROUTING -o s0 -j MASQUERADE
-A POSTROUTING -o w1 -j MASQUERADE
COMMIT
`

// The first line fails and comes back: what began meanwhile stays on the backup,
// as its entry keeps the mark.
func TestFailbackKeepsBackupLink(t *testing.T) {
	needTools(t, "nft", "iptables-nft-restore", "ip")
	b := newBench(t)
	b.link(t, link{host: "backup", prefix: netip.MustParsePrefix("192.168.2.80/24"), at: devAddr{dev: "w1", prefix: netip.MustParsePrefix("192.168.2.2/24")}})
	plain(t, b.Server)
	plain(t, b.hosts["backup"])
	const service = "203.0.113.5"
	for name, dev := range map[string]string{"server": "eth0", "backup": "eth-w1"} {
		if err := b.hosts[name].Addr(dev, netip.MustParsePrefix(service+"/32")); err != nil {
			t.Fatal(err)
		}
	}
	b.load(t, []string{"sh", "-e"}, `
ip route add default via 192.168.1.80 table 1
ip route add default via 192.168.2.80 table 2
ip rule add fwmark 0x100/0x3f00 table 1
ip rule add fwmark 0x200/0x3f00 table 2
`)
	policy := func(mark string) {
		b.load(t, restore, "*mangle\n:mwan_policy - [0:0]\n-A mwan_policy -j MARK --set-xmark "+mark+"/0x3f00\nCOMMIT\n")
	}
	b.load(t, restore, multiWAN)
	policy("0x200") // the first line is down
	first, second := receiver(t, b.Server, service), receiver(t, b.hosts["backup"], service)
	c := sender(t, b.Client, "10.0.0.10:5060", service+":8000")
	second.gets(t)
	policy("0x100") // and up again
	sends(t, c)
	second.gets(t)
	b.remove(t, nil, b.one(t, stale.RouteChanged, stale.Certain))
	sends(t, c)
	if from := first.gets(t); from.Addr() != lab.RouterOut4 {
		t.Errorf("the service sees %s", from)
	}
}

// An answer comes before the next request: its packet makes an entry the other
// way round, and the flow goes on past the rule that was added.
func TestReversedByAnswer(t *testing.T) {
	needTools(t, "nft")
	b := newBench(t)
	plain(t, b.Server)
	b.load(t, nft, `table ip nat { chain pre { type nat hook prerouting priority dstnat; udp dport 1 redirect; }; }`)
	old, proxy := receiver(t, b.Server, "192.168.1.80"), receiver(t, b.Server, "192.168.1.81")
	c := sender(t, b.Client, "10.0.0.10:5000", "192.168.1.80:8000")
	old.gets(t)
	sends(t, old)
	if err := reads(c); err != nil {
		t.Fatal(err)
	}
	b.load(t, nft, "add rule ip nat pre ip daddr 192.168.1.80 udp dport 8000 dnat to 192.168.1.81")
	v := b.one(t, stale.RuleAdded, stale.Certain)
	if !hasRisk(v, stale.RiskReversed) {
		t.Errorf("risks %v", v.Risks)
	}
	back := b.remove(t, func() {
		sends(t, old)
		if err := reads(c); err != nil {
			t.Fatal(err)
		}
	}, v)
	if back[0] != remove.BackReversed {
		t.Fatalf("back: %q", back[0])
	}
	sends(t, c)
	old.gets(t)
	// what a new packet of its own tuple, an answer, would get is what it has
	for _, f := range b.entries(t) {
		if w := stale.New(b.snapshot(t)).Judge(f); w.Fate != stale.Fresh {
			t.Errorf("the reversed entry: %s", printVerdict(&w, nil))
		} else {
			b.remove(t, nil, w)
		}
	}
	sends(t, c)
	proxy.gets(t)
}

// What a flowtable forwards does not see the hooks: the verdict is the same,
// and the risk is named. This kernel may lack flowtables: the entry is a real
// one with the bit that they set.
func TestOffloaded(t *testing.T) {
	needTools(t, "nft")
	b := newBench(t)
	b.load(t, nft, `table ip nat { chain pre { type nat hook prerouting priority dstnat; udp dport 53 dnat to 192.168.1.81; }; }`)
	if _, err := b.Client.UDP(netip.AddrPort{}, netip.MustParseAddrPort("10.0.0.1:53"), true); err != nil {
		t.Fatal(err)
	}
	flows := b.entries(t)
	b.load(t, nft, "flush chain ip nat pre\nadd rule ip nat pre udp dport 53 dnat to 192.168.1.82\n")
	judge := stale.New(b.snapshot(t))
	for _, bit := range []host.Status{0, host.StatusOffload, host.StatusHWOffload} {
		f := *flows[0]
		f.Status |= bit
		if bit != 0 {
			f.Has &^= host.HasTimeout
		}
		v := judge.Judge(&f)
		if v.Class != stale.TargetChanged || v.Confidence != stale.Certain {
			t.Errorf("status %v: %s", f.Status.Names(), printVerdict(&v, nil))
		}
		if hasRisk(v, stale.RiskOffload) != (bit != 0) {
			t.Errorf("status %v: risks %v", f.Status.Names(), v.Risks)
		}
	}
}

// A transparent proxy on the router sends with the address of its client: the
// rules for what comes in from the client are not for that.
func TestTransparentProxy(t *testing.T) {
	needTools(t, "nft", "ip")
	b := newBench(t)
	b.load(t, []string{"sh", "-e"}, "ip rule add fwmark 1 table 100\nip route add local 0.0.0.0/0 dev lo table 100\n")
	const rest = "table ip t { chain pre { type nat hook prerouting priority dstnat; udp dport 1 redirect; }; }\n"
	b.load(t, nft, rest)
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		return errors.Join(c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_TRANSPARENT, 1) }), err)
	}}
	err := b.Router.Do(func() error {
		proxy, err := lc.ListenPacket(context.Background(), "udp4", "10.0.0.10:5000")
		if err != nil {
			return err
		}
		defer proxy.Close()
		_, err = proxy.WriteTo(payload, net.UDPAddrFromAddrPort(netip.MustParseAddrPort("192.168.1.80:9")))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	b.load(t, nft, "add rule ip t pre udp dport 9 dnat to 192.168.1.81")
	if v := b.one(t, stale.RuleAdded, stale.Likely); len(v.Unknown) != 1 {
		t.Errorf("%s", printVerdict(&v, nil))
	}
}

// What a helper expects gets its rewrite from the connection that announced it,
// and no rule is asked: nothing is said of it.
func TestExpectedByHelper(t *testing.T) {
	needTools(t, "nft")
	b := newBench(t)
	b.load(t, nft, `table ip t {
		ct helper ftp { type "ftp" protocol tcp; }
		chain help { type filter hook prerouting priority filter; tcp dport 21 ct helper set "ftp"; }
		chain post { type nat hook postrouting priority srcnat; oifname "s0" masquerade; }
	}`)
	control, err := b.Client.TCP(netip.AddrPortFrom(lab.ClientAddr4, 0), netip.AddrPortFrom(lab.ServerAddr4, 21))
	if err != nil {
		t.Fatal(err)
	}
	// the server echoes the command as it got it, rewritten on the way
	var v [6]int
	fmt.Fprintf(control, "PORT 10,0,0,10,4,7\r\n")
	if _, err := fmt.Fscanf(control, "PORT %d,%d,%d,%d,%d,%d", &v[0], &v[1], &v[2], &v[3], &v[4], &v[5]); err != nil {
		t.Fatal(err)
	}
	to := netip.AddrPortFrom(netip.AddrFrom4([4]byte{byte(v[0]), byte(v[1]), byte(v[2]), byte(v[3])}), uint16(v[4]<<8|v[5]))
	if _, err := b.Server.TCP(netip.AddrPortFrom(lab.ServerAddr4, 20), to); err != nil {
		t.Fatal(err)
	}
	b.load(t, nft, "flush chain ip t post\nadd rule ip t post ip saddr 10.9.9.9 masquerade\n")
	judge := stale.New(b.snapshot(t))
	seen := map[string]bool{}
	for _, f := range b.entries(t) {
		switch w := judge.Judge(f); f.Original.SrcPort {
		case 20:
			seen["data"] = true
			if w.Fate != stale.Undecided || !strings.Contains(w.Why, "helper") {
				t.Errorf("data: %s", printVerdict(&w, nil))
			}
		default:
			seen["control"] = true
			if w.Class != stale.RuleGone || w.Confidence != stale.Certain || !hasRisk(w, stale.RiskMaster) {
				t.Errorf("control: %s", printVerdict(&w, nil))
			}
		}
	}
	if !seen["data"] || !seen["control"] {
		t.Errorf("flows seen: %v", seen)
	}
}
