package capture

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/lab"
)

// TestNFLogBridge: of a packet that came over a bridge, the port is told beside
// the bridge.
func TestNFLogBridge(t *testing.T) {
	const callIPTables = "net.bridge.bridge-nf-call-iptables"
	h, live := logging(t)
	if v := live.Sysctl(callIPTables); !v.OK {
		if v.Why == host.NotThere {
			lab.LeaveOut(t, errors.New("no br_netfilter"))
		}
		t.Fatal(v.Why)
	}
	if err := live.SetSysctl(callIPTables, "1"); err != nil {
		t.Fatal(err)
	}
	peer := bridged(t, h)
	n := bindLog(t, live)
	setLogging(t, live)
	index := map[string]uint32{}
	err := h.Do(func() error {
		for _, dev := range []string{"br0", "port"} {
			link, err := netlink.LinkByName(dev)
			if err != nil {
				return err
			}
			index[dev] = uint32(link.Attrs().Index)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := peer.Emit(lab.Packet{Src: peerAddr, Dst: bridgeAddr, L4: lab.TCP{SPort: 5, DPort: 6, Flags: 4}}); err != nil {
		t.Fatal(err)
	}
	collectLogged(t, n, func(p *Logged) bool {
		if len(p.Payload) < 20 || [4]byte(p.Payload[12:16]) != peerAddr.As4() {
			return false // what else is said on a new link
		}
		if p.In != index["br0"] || p.PhysIn != index["port"] || p.Out != 0 || p.PhysOut != 0 || len(p.Header) != 14 {
			t.Errorf("%+v, devices %v", p, index)
		}
		return true
	})
}

var (
	peerAddr   = netip.MustParseAddr("10.9.9.1")
	bridgeAddr = netip.MustParseAddr("10.9.9.2")
)

// bridged gives h a bridge br0, and a neighbour at its port.
func bridged(t *testing.T, h *lab.Host) *lab.Host {
	t.Helper()
	l, err := lab.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	peer, err := l.Host("peer")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Link(lab.End{Host: peer, Dev: "eth0", Addrs: []netip.Prefix{netip.PrefixFrom(peerAddr, 24)}}, lab.End{Host: h, Dev: "port"}); err != nil {
		t.Fatal(err)
	}
	err = h.Do(func() error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = "br0"
		br := &netlink.Bridge{LinkAttrs: attrs}
		if err := netlink.LinkAdd(br); err != nil {
			return err
		}
		port, err := netlink.LinkByName("port")
		if err == nil {
			err = netlink.LinkSetMaster(port, br)
		}
		return errors.Join(err, netlink.LinkSetUp(br))
	})
	if errors.Is(err, unix.EOPNOTSUPP) {
		lab.LeaveOut(t, errors.New("no bridges"))
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Addr("br0", netip.PrefixFrom(bridgeAddr, 24)); err != nil {
		t.Fatal(err)
	}
	return peer
}
