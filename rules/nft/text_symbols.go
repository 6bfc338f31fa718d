package nft

import "github.com/ntdiag/ntdiag/rules"

// symbol is one named constant of a datatype.
type symbol struct {
	name  string
	value uint64
}

// The names that nft prints for constants, in its order: the first of two
// names for one value is the one that is printed.
var (
	ctStateNames = []symbol{
		{"invalid", 1}, {"established", 2}, {"related", 4}, {"new", 8}, {"untracked", 64},
	}
	ctDirNames    = []symbol{{"original", 0}, {"reply", 1}}
	ctStatusNames = []symbol{
		{"expected", 1}, {"seen-reply", 2}, {"assured", 4}, {"confirmed", 8},
		{"snat", 16}, {"dnat", 32}, {"dying", 512},
	}
	ctEventNames = []symbol{
		{"new", 1}, {"related", 2}, {"destroy", 4}, {"reply", 8}, {"assured", 16}, {"protoinfo", 32},
		{"helper", 64}, {"mark", 128}, {"seqadj", 256}, {"secmark", 512}, {"label", 1024},
	}
	tcpFlagNames = []symbol{
		{"fin", 1}, {"syn", 2}, {"rst", 4}, {"psh", 8}, {"ack", 16}, {"urg", 32}, {"ecn", 64}, {"cwr", 128},
	}
	dccpTypeNames = []symbol{
		{"request", 0}, {"response", 1}, {"data", 2}, {"ack", 3}, {"dataack", 4},
		{"closereq", 5}, {"close", 6}, {"reset", 7}, {"sync", 8}, {"syncack", 9},
	}
	nfprotoNames = []symbol{{"ipv4", 2}, {"ipv6", 10}}
	booleanNames = []symbol{{"exists", 1}, {"missing", 0}}
	pkttypeNames = []symbol{{"host", 0}, {"broadcast", 1}, {"multicast", 2}, {"other", 3}}
	arphrdNames  = []symbol{
		{"ether", 1}, {"ppp", 512}, {"ipip", 768}, {"ipip6", 769}, {"loopback", 772}, {"sit", 776}, {"ipgre", 778},
	}
	dayNames = []symbol{
		{"Sunday", 0}, {"Monday", 1}, {"Tuesday", 2}, {"Wednesday", 3},
		{"Thursday", 4}, {"Friday", 5}, {"Saturday", 6},
	}
	icmpTypeNames = []symbol{
		{"echo-reply", 0}, {"destination-unreachable", 3}, {"source-quench", 4}, {"redirect", 5},
		{"echo-request", 8}, {"router-advertisement", 9}, {"router-solicitation", 10},
		{"time-exceeded", 11}, {"parameter-problem", 12}, {"timestamp-request", 13},
		{"timestamp-reply", 14}, {"info-request", 15}, {"info-reply", 16},
		{"address-mask-request", 17}, {"address-mask-reply", 18},
	}
	icmpCodeNames = []symbol{
		{"net-unreachable", 0}, {"host-unreachable", 1}, {"prot-unreachable", 2}, {"port-unreachable", 3},
		{"frag-needed", 4}, {"net-prohibited", 9}, {"host-prohibited", 10}, {"admin-prohibited", 13},
	}
	icmp6TypeNames = []symbol{
		{"destination-unreachable", 1}, {"packet-too-big", 2}, {"time-exceeded", 3},
		{"parameter-problem", 4}, {"echo-request", 128}, {"echo-reply", 129},
		{"mld-listener-query", 130}, {"mld-listener-report", 131}, {"mld-listener-done", 132},
		{"nd-router-solicit", 133}, {"nd-router-advert", 134}, {"nd-neighbor-solicit", 135},
		{"nd-neighbor-advert", 136}, {"nd-redirect", 137}, {"router-renumbering", 138},
		{"ind-neighbor-solicit", 141}, {"ind-neighbor-advert", 142}, {"mld2-listener-report", 143},
	}
	icmp6CodeNames = []symbol{
		{"no-route", 0}, {"admin-prohibited", 1}, {"addr-unreachable", 3}, {"port-unreachable", 4},
		{"policy-fail", 5}, {"reject-route", 6},
	}
	icmpxCodeNames = []symbol{
		{"no-route", 0}, {"port-unreachable", 1}, {"host-unreachable", 2}, {"admin-prohibited", 3},
	}
	igmpTypeNames = []symbol{
		{"membership-query", 0x11}, {"membership-report-v1", 0x12}, {"membership-report-v2", 0x16},
		{"membership-report-v3", 0x22}, {"leave-group", 0x17},
	}
	dscpNames = []symbol{
		{"cs0", 0}, {"cs1", 8}, {"cs2", 16}, {"cs3", 24}, {"cs4", 32}, {"cs5", 40}, {"cs6", 48}, {"cs7", 56},
		{"lephb", 1}, {"af11", 10}, {"af12", 12}, {"af13", 14}, {"af21", 18}, {"af22", 20}, {"af23", 22},
		{"af31", 26}, {"af32", 28}, {"af33", 30}, {"af41", 34}, {"af42", 36}, {"af43", 38},
		{"va", 44}, {"ef", 46},
	}
	ecnNames   = []symbol{{"not-ect", 0}, {"ect1", 1}, {"ect0", 2}, {"ce", 3}}
	arpopNames = []symbol{
		{"request", 1}, {"reply", 2}, {"rrequest", 3}, {"rreply", 4}, {"inrequest", 8}, {"inreply", 9}, {"nak", 10},
	}
	ethertypeNames = []symbol{
		{"ip", 0x0800}, {"arp", 0x0806}, {"ip6", 0x86dd}, {"8021q", 0x8100}, {"8021ad", 0x88a8},
	}
	fibTypeNames = []symbol{
		{"unspec", 0}, {"unicast", 1}, {"local", 2}, {"broadcast", 3}, {"anycast", 4}, {"multicast", 5},
		{"blackhole", 6}, {"unreachable", 7}, {"prohibit", 8},
	}
	mhTypeNames = []symbol{
		{"binding-refresh-request", 0}, {"home-test-init", 1}, {"careof-test-init", 2}, {"home-test", 3},
		{"careof-test", 4}, {"binding-update", 5}, {"binding-acknowledgement", 6}, {"binding-error", 7},
		{"fast-binding-update", 8}, {"fast-binding-acknowledgement", 9}, {"fast-binding-advertisement", 10},
		{"experimental-mobility-header", 11}, {"home-agent-switch-message", 12},
	}
	// protocolNames are those of /etc/protocols, which nft asks.
	protocolNames = protocolSymbols()
	// realmNames, markNames and groupNames: what rt_realms and group name by
	// default.
	groupNames = []symbol{{"default", 0}}
	realmNames = []symbol{{"cosmos", 0}}
	// logLevels are those of syslog.
	logLevels = []string{"emerg", "alert", "crit", "err", "warn", "notice", "info", "debug"}
)

// nameOf finds the name of v.
func nameOf(table []symbol, v uint64) (string, bool) {
	for _, s := range table {
		if s.value == v {
			return s.name, true
		}
	}
	return "", false
}

func protocolSymbols() (out []symbol) {
	for n := range 256 {
		if name := rules.ProtocolName(uint8(n)); name != "" {
			out = append(out, symbol{name, uint64(n)})
		}
	}
	return out
}
