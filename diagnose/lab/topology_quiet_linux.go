package lab

import "net/netip"

// Addresses behind the hosts of Quiet: nobody has them, and what is sent to
// them ends there without an answer.
var (
	QuietClient4 = netip.MustParseAddr("10.0.1.10")
	QuietClient6 = netip.MustParseAddr("fd00:1::10")
	QuietServer4 = netip.MustParseAddr("203.0.113.80")
	QuietServer6 = netip.MustParseAddr("2001:db8:113::80")
	// of the router's own devices
	QuietIn4  = netip.MustParseAddr("10.0.0.1")
	QuietIn6  = netip.MustParseAddr("fd00::1")
	QuietOut4 = netip.MustParseAddr("192.0.2.2")
	QuietOut6 = netip.MustParseAddr("2001:db8::2")
)

// Quiet builds a router between two hosts that answer nothing: what passes it
// is what is put on the wires.
//
//	10.0.1.0/24 ── client 10.0.0.10 ── c0 10.0.0.1  router  192.0.2.2 s0 ── 192.0.2.1 server ── 203.0.113.0/24
//	fd00:1::/64           fd00::10        fd00::1           2001:db8::2     2001:db8::1         198.51.100.0/24
//	                                                                                            2001:db8:113::/64
//	                                                                                            2001:db8:100::/64
func (l *Lab) Quiet() (*Net, error) {
	n, err := l.net()
	if err != nil {
		return nil, err
	}
	steps := []func() error{
		func() error {
			return l.Link(End{n.Client, "eth0", prefixes("10.0.0.10/24", "fd00::10/64")},
				End{n.Router, "c0", prefixes("10.0.0.1/24", "fd00::1/64")})
		},
		func() error {
			return l.Link(End{n.Server, "eth0", prefixes("192.0.2.1/24", "2001:db8::1/64")},
				End{n.Router, "s0", prefixes("192.0.2.2/24", "2001:db8::2/64")})
		},
		func() error { return n.Router.routes("10.0.0.10", "10.0.1.0/24") },
		func() error { return n.Router.routes("fd00::10", "fd00:1::/64") },
		func() error { return n.Router.routes("192.0.2.1", "203.0.113.0/24", "198.51.100.0/24") },
		func() error { return n.Router.routes("2001:db8::1", "2001:db8:113::/64", "2001:db8:100::/64") },
	}
	return n, inTurn(steps)
}

func (h *Host) routes(via string, dsts ...string) error {
	for _, dst := range prefixes(dsts...) {
		if err := h.Route(dst, netip.MustParseAddr(via)); err != nil {
			return err
		}
	}
	return nil
}
