package stale_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/stale"
	"github.com/ntdiag/ntdiag/rules"
)

// services and endpoints of the rulesets that a Judge is measured with.
const (
	services  = 1000
	endpoints = 3
)

func serviceIP(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 96, byte(i >> 8), byte(i)}) }
func endpointIP(i, e int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(128 + e), byte(i >> 8), byte(i)})
}

// kubeIPTables has the chains of kube-proxy's iptables mode.
func kubeIPTables() string {
	var b strings.Builder
	b.WriteString("*nat\n:KUBE-SERVICES - [0:0]\n:KUBE-MARK-MASQ - [0:0]\n:KUBE-POSTROUTING - [0:0]\n:KUBE-NODEPORTS - [0:0]\n")
	for i := range services {
		fmt.Fprintf(&b, ":KUBE-SVC-%d - [0:0]\n", i)
		for e := range endpoints {
			fmt.Fprintf(&b, ":KUBE-SEP-%d-%d - [0:0]\n", i, e)
		}
	}
	b.WriteString(`-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING
-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000
-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
-A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0
-A KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully
`)
	for i := range services {
		fmt.Fprintf(&b, "-A KUBE-SERVICES -d %s/32 -p tcp -m comment --comment \"ns/svc-%d cluster IP\" -m tcp --dport 80 -j KUBE-SVC-%d\n", serviceIP(i), i, i)
		fmt.Fprintf(&b, "-A KUBE-SVC-%d ! -s 10.244.0.0/16 -d %s/32 -p tcp -m tcp --dport 80 -j KUBE-MARK-MASQ\n", i, serviceIP(i))
		for e := range endpoints {
			if left := endpoints - e; left > 1 {
				fmt.Fprintf(&b, "-A KUBE-SVC-%d -m statistic --mode random --probability %.11f -j KUBE-SEP-%d-%d\n", i, 1/float64(left), i, e)
			} else {
				fmt.Fprintf(&b, "-A KUBE-SVC-%d -j KUBE-SEP-%d-%d\n", i, i, e)
			}
			fmt.Fprintf(&b, "-A KUBE-SEP-%d-%d -s %s/32 -j KUBE-MARK-MASQ\n", i, e, endpointIP(i, e))
			fmt.Fprintf(&b, "-A KUBE-SEP-%d-%d -p tcp -m tcp -j DNAT --to-destination %s:8080\n", i, e, endpointIP(i, e))
		}
	}
	b.WriteString(`-A KUBE-SERVICES -m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS
COMMIT
`)
	return b.String()
}

// kubeNft has those of its nftables mode.
func kubeNft() string {
	var b, elements strings.Builder
	b.WriteString(`table ip kube-proxy {
	map service-ips { type ipv4_addr . inet_proto . inet_service : verdict; }
	chain mark-for-masquerade { meta mark set mark or 0x4000; }
	chain masquerading {
		meta mark & 0x4000 == 0 return
		meta mark set mark xor 0x4000
		masquerade fully-random
	}
	chain services { ip daddr . meta l4proto . th dport vmap @service-ips; }
	chain nat-prerouting { type nat hook prerouting priority dstnat; jump services; }
	chain nat-output { type nat hook output priority -100; jump services; }
	chain nat-postrouting { type nat hook postrouting priority srcnat; jump masquerading; }
`)
	for i := range services {
		var lb []string
		for e := range endpoints {
			fmt.Fprintf(&b, "\tchain endpoint-%d-%d { ip saddr %s jump mark-for-masquerade; meta l4proto tcp dnat to %s:8080; }\n", i, e, endpointIP(i, e), endpointIP(i, e))
			lb = append(lb, fmt.Sprintf("%d : goto endpoint-%d-%d", e, i, e))
		}
		fmt.Fprintf(&b, "\tchain service-%d { ip daddr %s tcp dport 80 ip saddr != 10.244.0.0/16 jump mark-for-masquerade; numgen random mod %d vmap { %s }; }\n", i, serviceIP(i), endpoints, strings.Join(lb, ", "))
		fmt.Fprintf(&elements, "%s . tcp . 80 : goto service-%d, ", serviceIP(i), i)
	}
	return b.String() + "}\nadd element ip kube-proxy service-ips { " + elements.String() + " }\n"
}

// kubeFlow is a flow from the client to a service, by endpoint e.
func kubeFlow(service, e int) *host.Flow {
	a := netip.MustParseAddr
	return &host.Flow{
		Family: rules.FamilyIPv4, ID: 1, Has: host.HasID,
		Status:   host.StatusConfirmed | host.StatusSeenReply | host.StatusSrcNAT | host.StatusDstNAT | host.StatusSrcNATDone | host.StatusDstNATDone,
		Original: rules.Tuple{Proto: host.ProtoTCP, Src: a("10.0.0.10"), Dst: serviceIP(service), SrcPort: 40000, DstPort: 80},
		Reply:    rules.Tuple{Proto: host.ProtoTCP, Src: endpointIP(service, e), Dst: a("192.168.1.2"), SrcPort: 8080, DstPort: 2345},
	}
}

// plainFlow meets no service.
func plainFlow() *host.Flow {
	a := netip.MustParseAddr
	return &host.Flow{
		Family: rules.FamilyIPv4, ID: 1, Has: host.HasID, Status: host.StatusConfirmed | host.StatusSrcNATDone | host.StatusDstNATDone,
		Original: rules.Tuple{Proto: host.ProtoTCP, Src: a("10.0.0.10"), Dst: a("192.168.1.80"), SrcPort: 40000, DstPort: 443},
		Reply:    rules.Tuple{Proto: host.ProtoTCP, Src: a("192.168.1.80"), Dst: a("10.0.0.10"), SrcPort: 443, DstPort: 40000},
	}
}

// BenchmarkJudge judges one flow by the rules of a node with 1,000 services.
func BenchmarkJudge(b *testing.B) {
	needTools(b, "nft", "iptables-nft-restore", "iptables-legacy-restore")
	for _, r := range []struct {
		name    string
		program []string
		text    string
	}{
		{"nftables", nft, kubeNft()},
		{"iptables-nft", restore, kubeIPTables()},
		{"iptables-legacy", []string{"iptables-legacy-restore", "--noflush"}, kubeIPTables()},
	} {
		n := newBench(b)
		n.load(b, r.program, r.text)
		judge := stale.New(n.snapshot(b))
		for _, f := range []struct {
			name string
			flow *host.Flow
			want stale.Fate
		}{
			{"fresh", kubeFlow(services-1, 1), stale.Fresh},
			{"stale", kubeFlow(services-1, endpoints+1), stale.Stale},
			{"plain", plainFlow(), stale.Fresh},
		} {
			b.Run(r.name+"/"+f.name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if v := judge.Judge(f.flow); v.Fate != f.want {
						b.Fatalf("%s: %s", v.Fate, v.Why)
					}
				}
			})
		}
	}
}
