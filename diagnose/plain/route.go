package plain

import (
	"fmt"
	"io"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

// Routes writes what `ip route show table all` and `ip -6 route show table all`
// print, one family after the other. The weights of next hops are not known.
func Routes(w io.Writer, s *host.Snapshot) error {
	for _, family := range []rules.Family{rules.FamilyIPv4, rules.FamilyIPv6} {
		for i := 0; i < len(s.Routes); {
			r := &s.Routes[i]
			n := hops(s.Routes[i:])
			if r.Family == family {
				route(w, s, s.Routes[i:i+n])
			}
			i += n
		}
	}
	return nil
}

// hops is how many of the entries are of the first one's route.
func hops(all []host.RouteEntry) int {
	first := all[0]
	n := 1
	for first.Multipath && n < len(all) && sameRoute(first, all[n]) {
		n++
	}
	return n
}

func sameRoute(a, b host.RouteEntry) bool {
	b.Oif, b.Gateway, b.Flags = a.Oif, a.Gateway, a.Flags
	return a == b
}

var tableNames = map[uint32]string{0: "unspec", 253: "default", tableMain: "main", tableLocal: "local"}

const (
	tableMain  = 254
	tableLocal = 255
	protoBoot  = 3 // RTPROT_BOOT, which ip does not print
)

func table(n uint32) string {
	if s := tableNames[n]; s != "" {
		return s
	}
	return fmt.Sprint(n)
}

var routeProtos = map[uint8]string{
	0: "unspec", 1: "redirect", 2: "kernel", 3: "boot", 4: "static", 8: "gated", 9: "ra", 10: "mrt", 11: "zebra", 12: "bird",
	13: "dnrouted", 14: "xorp", 15: "ntk", 16: "dhcp", 18: "keepalived", 42: "babel", 99: "openr", 186: "bgp", 187: "isis",
	188: "ospf", 189: "rip", 192: "eigrp",
}

var routeTypes = map[rules.AddrType]string{
	rules.AddrLocal: "local ", rules.AddrBroadcast: "broadcast ", rules.AddrAnycast: "anycast ", rules.AddrMulticast: "multicast ",
	rules.AddrBlackhole: "blackhole ", rules.AddrUnreachable: "unreachable ", rules.AddrProhibit: "prohibit ", 9: "throw ", 10: "nat ",
}

// hopFlags are RTNH_F_* in the order in which ip prints them.
var hopFlags = []struct {
	bit  uint32
	name string
}{{1, "dead "}, {4, "onlink "}, {2, "pervasive "}, {8, "offload "}, {64, "trap "}, {16, "linkdown "}, {32, "unresolved "}}

// route is one route with all its next hops.
func route(w io.Writer, s *host.Snapshot, all []host.RouteEntry) {
	r := &all[0]
	fmt.Fprintf(w, "%s%s ", routeTypes[r.Type], network(r.Dst))
	if r.Tos != 0 {
		fmt.Fprintf(w, "tos 0x%02x ", r.Tos)
	}
	if !r.Multipath {
		hop(w, s, r)
	}
	if r.Table != tableMain {
		fmt.Fprintf(w, "table %s ", table(r.Table))
	}
	if r.Proto != protoBoot {
		if name := routeProtos[r.Proto]; name != "" {
			fmt.Fprintf(w, "proto %s ", name)
		} else {
			fmt.Fprintf(w, "proto %d ", r.Proto)
		}
	}
	if r.Scope != 0 {
		fmt.Fprintf(w, "scope %s ", scope(r.Scope))
	}
	if r.PrefSrc.IsValid() {
		fmt.Fprintf(w, "src %s ", addr(r.PrefSrc))
	}
	if r.Priority != 0 || r.Family == rules.FamilyIPv6 {
		fmt.Fprintf(w, "metric %d ", r.Priority)
	}
	if !r.Multipath {
		flags(w, r)
		fmt.Fprintln(w)
		return
	}
	fmt.Fprintln(w)
	for i := range all {
		fmt.Fprint(w, "\tnexthop ")
		hop(w, s, &all[i])
		flags(w, &all[i])
		fmt.Fprintln(w)
	}
}

// hop is by where.
func hop(w io.Writer, s *host.Snapshot, r *host.RouteEntry) {
	switch {
	case !r.Gateway.IsValid():
	case r.Gateway.Is6() && r.Family == rules.FamilyIPv4:
		fmt.Fprintf(w, "via inet6 %s ", addr(r.Gateway))
	default:
		fmt.Fprintf(w, "via %s ", addr(r.Gateway))
	}
	if r.Oif != 0 {
		fmt.Fprintf(w, "dev %s ", nameOf(s, r.Oif))
	}
}

func flags(w io.Writer, r *host.RouteEntry) {
	for _, f := range hopFlags {
		if r.Flags&f.bit != 0 {
			fmt.Fprint(w, f.name)
		}
	}
}
