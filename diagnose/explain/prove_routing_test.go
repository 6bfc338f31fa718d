//go:build linux

package explain_test

import (
	"errors"
	"net/netip"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ntdiag/ntdiag/diagnose/lab"
)

// routingSetup is what a case changes of the router's routing.
type routingSetup struct {
	sysctls []string
	ip      []string // arguments of ip
}

func (r *routingSetup) String() string {
	return "sysctl: " + strings.Join(r.sysctls, " ") + "\nip:\n" + strings.Join(r.ip, "\n") + "\n"
}

func (r *routingSetup) set(h *lab.Host) error {
	if err := h.Sysctl(r.sysctls...); err != nil {
		return err
	}
	for _, line := range r.ip {
		if _, err := h.Run("", "ip", strings.Fields(line)...); err != nil {
			return err
		}
	}
	return nil
}

// routing draws reverse path filtering, forwarding, routes that lead nowhere,
// and policy rules by mark, device and source. Half of the cases have none.
func (g *generator) routing() *routingSetup {
	r := &routingSetup{}
	if g.in(50) {
		return r
	}
	some := func(share int, to *[]string, lines ...string) {
		if g.in(share) {
			*to = append(*to, pick(g, lines))
		}
	}
	some(50, &r.sysctls, "net.ipv4.conf.all.rp_filter=1", "net.ipv4.conf.all.rp_filter=2", "net.ipv4.conf.c0.rp_filter=1")
	some(10, &r.sysctls, "net.ipv4.ip_forward=0", "net.ipv4.conf.c0.forwarding=0", "net.ipv6.conf.all.forwarding=0")
	some(20, &r.sysctls, "net.ipv4.conf.c0.src_valid_mark=1")
	some(20, &r.sysctls, "net.ipv4.conf.c0.accept_local=1")
	some(40, &r.ip, "route add blackhole 203.0.113.128/25", "route add unreachable 203.0.113.0/25", "route add prohibit 203.0.114.0/26",
		"route add throw 203.0.113.0/24", "-6 route add blackhole 2001:db8::/65", "-6 route add unreachable 2001:db8:1::/116")
	some(25, &r.ip, "route replace default nexthop via 192.168.1.80 nexthop via 10.0.0.14", "route del default",
		"route add 203.0.114.0/27 via 10.0.0.14", "-6 route replace default via fd00:a::14", "-6 route del default")
	if g.in(40) {
		r.ip = append(r.ip, "route add default via 10.0.0.14 table 100", "-6 route add default via fd00:a::14 table 100")
		some(100, &r.ip, "rule add fwmark 0x1 lookup 100", "rule add fwmark 0x1/0x1 lookup 100", "rule add iif c0 lookup 100",
			"rule add from 10.0.0.11 lookup 100", "-6 rule add fwmark 0x1/0x1 lookup 100", "-6 rule add from fd00:a::11 lookup 100")
	}
	some(20, &r.ip, "rule add fwmark 0x4000/0x4000 blackhole", "rule add fwmark 0x2/0x2 prohibit", "-6 rule add fwmark 0x2/0x2 unreachable")
	return r
}

// strays are packets that do not come from where their source is routed, some
// with an address of the router itself.
func (g *generator) strays() []proveFlow {
	var out []proveFlow
	for i, s := range []struct{ host, src, dst string }{
		{"client", "192.168.1.85", "203.0.113.9"}, {"client", "203.0.113.60", "192.168.1.80"}, {"client", "192.168.1.2", "203.0.113.9"},
		{"server", "10.0.0.20", "10.0.0.10"}, {"client", "fd00:b::85", "2001:db8::9"}, {"client", "203.0.114.9", "10.0.0.1"},
	} {
		f := proveFlow{host: s.host}
		f.Proto, f.SrcPort, f.DstPort = pick(g, []uint8{6, 17}), uint16(30000+i), pick(g, []uint16{53, 80, 443, 8080})
		f.Src, f.Dst = netip.MustParseAddr(s.src), netip.MustParseAddr(s.dst)
		out = append(out, f)
	}
	return out
}

// isUnrouted tells whether a send failed for want of a route (fib_props).
func isUnrouted(err error) bool {
	for _, e := range []error{unix.ENETUNREACH, unix.EHOSTUNREACH, unix.EACCES, unix.EINVAL} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func (f proveFlow) stray() bool { return f.SrcPort >= 30000 && f.SrcPort < 30010 }
