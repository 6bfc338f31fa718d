package scale

import (
	"fmt"
	"strings"
)

// Shape is a way in which the rules are written.
type Shape struct {
	Name string
	// Loader is the program that reads Text from its standard input.
	Loader []string
	Text   func(Cluster) string
	// PerService and Fixed are how many rules that makes.
	PerService, Fixed int
	// lastPlain: the rule that leads to the last endpoint of a service has no
	// condition.
	lastPlain bool
}

// Shapes lists them.
var Shapes = []Shape{
	{"nft", []string{"nft", "-f", "-"}, nftText, 8, 14, false},
	{"iptables-nft", []string{"iptables-nft-restore", "--counters"}, iptablesText, 11, 10, true},
	{"iptables-legacy", []string{"iptables-legacy-restore", "--counters"}, iptablesText, 11, 10, true},
}

// Cluster is one with about n rules in this shape, n at least.
func (s *Shape) Cluster(n int) Cluster {
	return Cluster{max((n-s.Fixed+s.PerService-1)/s.PerService, minServices)}
}

// Rules is how many there are.
func (s *Shape) Rules(c Cluster) int { return s.Fixed + c.Services*s.PerService }

// iptablesText is what kube-proxy's iptables mode writes, and the masquerade of
// a network plugin, with counters of rules that have been met.
func iptablesText(c Cluster) string {
	var b strings.Builder
	b.WriteString("*nat\n:KUBE-SERVICES - [0:0]\n:KUBE-MARK-MASQ - [0:0]\n:KUBE-POSTROUTING - [0:0]\n:KUBE-NODEPORTS - [0:0]\n")
	for i := range c.Services {
		fmt.Fprintf(&b, ":%s - [0:0]\n", svcChain(i))
		for e := range Endpoints {
			fmt.Fprintf(&b, ":%s - [0:0]\n", sepChain(i, e))
		}
	}
	fmt.Fprintf(&b, `[9:540] -A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
[9:540] -A OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
[9:540] -A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING
[9:540] -A POSTROUTING -s %[1]s ! -d %[1]s -m comment --comment "pods to the outside" -j MASQUERADE
[9:540] -A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000
[9:540] -A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
[9:540] -A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0
[9:540] -A KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully
`, PodNet)
	for i := range c.Services {
		fmt.Fprintf(&b, "[9:540] -A KUBE-SERVICES -d %s/32 -p tcp -m comment --comment \"ns/svc-%d cluster IP\" -m tcp --dport %d -j %s\n", Service(i), i, ServicePort, svcChain(i))
		fmt.Fprintf(&b, "[9:540] -A %s ! -s %s -d %s/32 -p tcp -m comment --comment \"ns/svc-%d cluster IP\" -m tcp --dport %d -j KUBE-MARK-MASQ\n", svcChain(i), PodNet, Service(i), i, ServicePort)
		for e := range Endpoints {
			lot := ""
			if left := Endpoints - e; left > 1 {
				lot = fmt.Sprintf(" -m statistic --mode random --probability %.11f", 1/float64(left))
			}
			fmt.Fprintf(&b, "[9:540] -A %s -m comment --comment \"ns/svc-%d -> %s:%d\"%s -j %s\n", svcChain(i), i, Endpoint(i, e), EndpointPort, lot, sepChain(i, e))
			fmt.Fprintf(&b, "[9:540] -A %s -s %s/32 -m comment --comment ns/svc-%d -j KUBE-MARK-MASQ\n", sepChain(i, e), Endpoint(i, e), i)
			fmt.Fprintf(&b, "[9:540] -A %s -p tcp -m comment --comment ns/svc-%d -m tcp -j DNAT --to-destination %s:%d\n", sepChain(i, e), i, Endpoint(i, e), EndpointPort)
		}
	}
	b.WriteString(`[9:540] -A KUBE-SERVICES -m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS
[9:540] -A KUBE-NODEPORTS -p tcp -m tcp --dport 30080 -j KUBE-MARK-MASQ
COMMIT
`)
	return b.String()
}

func svcChain(i int) string    { return fmt.Sprintf("KUBE-SVC-%016X", i) }
func sepChain(i, e int) string { return fmt.Sprintf("KUBE-SEP-%015X%d", i, e) }

// nftText is what its nftables mode writes, and the same masquerade.
func nftText(c Cluster) string {
	var b, elements strings.Builder
	fmt.Fprintf(&b, `table ip kube-proxy {
	map service-ips { type ipv4_addr . inet_proto . inet_service : verdict; comment "ClusterIP traffic"; }
	map service-nodeports { type inet_proto . inet_service : verdict; comment "NodePort traffic"; elements = { tcp . 30080 : goto mark-for-masquerade } }
	chain mark-for-masquerade { meta mark set mark or 0x4000; }
	chain masquerading {
		meta mark & 0x4000 == 0 return
		meta mark set mark xor 0x4000
		masquerade fully-random
	}
	chain services {
		ip daddr . meta l4proto . th dport vmap @service-ips
		fib daddr type local ip daddr != 127.0.0.0/8 meta l4proto . th dport vmap @service-nodeports
	}
	chain nat-prerouting { type nat hook prerouting priority dstnat; jump services; }
	chain nat-output { type nat hook output priority -100; jump services; }
	chain nat-postrouting { type nat hook postrouting priority srcnat; jump masquerading; }
	chain filter-forward { type filter hook forward priority -110; ct state new accept; }
	chain filter-output { type filter hook output priority -110; ct state new accept; }
	chain pods-out { type nat hook postrouting priority 101; ip saddr %[1]s ip daddr != %[1]s masquerade comment "pods to the outside"; }
	chain spare-in { ip saddr %[1]s accept; ip daddr %[1]s accept; }
`, PodNet)
	for i := range c.Services {
		var lb []string
		for e := range Endpoints {
			fmt.Fprintf(&b, "\tchain endpoint-%d-%d { ip saddr %s jump mark-for-masquerade; meta l4proto tcp dnat to %s:%d; }\n", i, e, Endpoint(i, e), Endpoint(i, e), EndpointPort)
			lb = append(lb, fmt.Sprintf("%d : goto endpoint-%d-%d", e, i, e))
		}
		fmt.Fprintf(&b, "\tchain service-%d { ip daddr %s tcp dport %d ip saddr != %s jump mark-for-masquerade; numgen random mod %d vmap { %s }; }\n", i, Service(i), ServicePort, PodNet, Endpoints, strings.Join(lb, ", "))
		fmt.Fprintf(&elements, "%s . tcp . %d : goto service-%d, ", Service(i), ServicePort, i)
	}
	return b.String() + "}\nadd element ip kube-proxy service-ips { " + elements.String() + " }\n"
}
