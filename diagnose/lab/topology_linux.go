package lab

import (
	"fmt"
	"net"
	"net/netip"
)

// Net is the typical network of this package: one client, one router, one
// server, each with spare addresses, all others reached by the server.
type Net struct {
	*Lab
	Client, Router, Server *Host
}

// Addresses of Net.
var (
	ClientAddr4 = netip.MustParseAddr("10.0.0.10")
	ClientAddr6 = netip.MustParseAddr("fd00:a::10")
	ServerAddr4 = netip.MustParseAddr("192.168.1.80")
	ServerAddr6 = netip.MustParseAddr("fd00:b::80")
	RouterIn4   = netip.MustParseAddr("10.0.0.1")
	RouterIn6   = netip.MustParseAddr("fd00:a::1")
	RouterOut4  = netip.MustParseAddr("192.168.1.2")
	RouterOut6  = netip.MustParseAddr("fd00:b::2")
)

// spare is how many consecutive addresses client and server have.
const spare = 10

// Typical builds Net inside l; outside is the name of the router's device
// towards the server, usually s0. Client and server answer everything.
func (l *Lab) Typical(outside string) (*Net, error) {
	n, err := l.net()
	if err != nil {
		return nil, err
	}
	steps := []func() error{
		func() error {
			return l.Link(End{n.Client, "eth0", run(ClientAddr4, 24, ClientAddr6, 64)},
				End{n.Router, "c0", prefixes("10.0.0.1/24", "fd00:a::1/64")})
		},
		func() error {
			return l.Link(End{n.Server, "eth0", run(ServerAddr4, 24, ServerAddr6, 64)},
				End{n.Router, outside, prefixes("192.168.1.2/24", "fd00:b::2/64")})
		},
		func() error { return n.Client.gateways(RouterIn4, RouterIn6) },
		func() error { return n.Server.gateways(RouterOut4, RouterOut6) },
		func() error { return n.Router.gateways(ServerAddr4, ServerAddr6) },
		n.Client.AnswerAll,
		n.Server.AnswerAll,
	}
	return n, inTurn(steps)
}

// net makes the three hosts, of which the router forwards.
func (l *Lab) net() (*Net, error) {
	n := &Net{Lab: l}
	for _, h := range []struct {
		to   **Host
		name string
	}{{&n.Client, "client"}, {&n.Router, "router"}, {&n.Server, "server"}} {
		var err error
		if *h.to, err = l.Host(h.name); err != nil {
			return nil, err
		}
	}
	if err := n.Router.Sysctl("net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"); err != nil {
		return nil, fmt.Errorf("lab: %w", err)
	}
	return n, nil
}

// inTurn takes steps to the first that fails.
func inTurn(steps []func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return fmt.Errorf("lab: %w", err)
		}
	}
	return nil
}

func (h *Host) gateways(v4, v6 netip.Addr) error {
	if err := h.Route(netip.MustParsePrefix("0.0.0.0/0"), v4); err != nil {
		return err
	}
	return h.Route(netip.MustParsePrefix("::/0"), v6)
}

func prefixes(s ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(s))
	for i := range s {
		out[i] = netip.MustParsePrefix(s[i])
	}
	return out
}

// run is spare addresses of both families from the given ones on.
func run(a4 netip.Addr, bits4 int, a6 netip.Addr, bits6 int) []netip.Prefix {
	var out []netip.Prefix
	for range spare {
		out = append(out, netip.PrefixFrom(a4, bits4), netip.PrefixFrom(a6, bits6))
		a4, a6 = a4.Next(), a6.Next()
	}
	return out
}

func parseCIDR(p netip.Prefix) (net.IP, *net.IPNet, error) {
	ip, n, err := net.ParseCIDR(p.String())
	if err != nil {
		return nil, nil, fmt.Errorf("prefix %s: %w", p, err)
	}
	return ip, n, nil
}
