package lab

import (
	"net/netip"
	"testing"
	"time"
)

// typical makes the usual network. Where the system allows no namespaces the
// test is left out, unless NTDIAG_REQUIRE_KERNEL says that it may not be.
func typical(t *testing.T) *Net {
	t.Helper()
	l, err := New()
	if err != nil {
		LeaveOut(t, err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	n, err := l.Typical("s0")
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestTrafficThroughRouter(t *testing.T) {
	n := typical(t)
	tests := []struct {
		name string
		send func() error
	}{
		{"tcp4", func() error {
			_, err := n.Client.TCP(netip.AddrPort{}, netip.MustParseAddrPort("192.168.1.85:80"))
			return err
		}},
		{"tcp6", func() error {
			_, err := n.Client.TCP(netip.AddrPort{}, netip.MustParseAddrPort("[fd00:b::80]:80"))
			return err
		}},
		{"tcp4 to an address nobody has", func() error {
			_, err := n.Client.TCP(netip.AddrPort{}, netip.MustParseAddrPort("10.8.2.12:80"))
			return err
		}},
		{"udp4", func() error {
			_, err := n.Client.UDP(netip.MustParseAddrPort("10.0.0.11:5000"), netip.MustParseAddrPort("192.168.1.83:53"), true)
			return err
		}},
		{"udp6", func() error {
			_, err := n.Client.UDP(netip.MustParseAddrPort("[fd00:a::12]:5000"), netip.MustParseAddrPort("[2001:db8::1]:53"), true)
			return err
		}},
		{"icmp4", func() error { return n.Client.Ping(netip.Addr{}, netip.MustParseAddr("10.8.2.12"), 77, true) }},
		{"icmp6", func() error { return n.Client.Ping(netip.Addr{}, ServerAddr6, 77, true) }},
		{"server to client", func() error {
			_, err := n.Server.TCP(netip.AddrPort{}, netip.MustParseAddrPort("10.0.0.10:22"))
			return err
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			start := time.Now()
			if err := tt.send(); err != nil {
				t.Fatal(err)
			}
			if d := time.Since(start); d > time.Second {
				t.Errorf("took %v", d)
			}
		})
	}
}

// TestDemoRules sends every flow of the demonstration through its rules.
func TestDemoRules(t *testing.T) {
	n := typical(t)
	if err := n.Router.Listen("udp", 5353); err != nil {
		t.Fatal(err)
	}
	change, err := n.Router.demoRules()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range demoFlows {
		if err := n.send(f); err != nil {
			t.Error(err)
		}
	}
	if err := change(); err != nil {
		t.Error(err)
	}
}
