package invalid

const (
	whatUnknownFlow  = "an ICMP error about a flow that has no entry"
	causeUnknownFlow = "the flow that it quotes is over, untracked, invalid itself, or in another zone, or the quote is " +
		"too short; common, and harmless by itself. Errors that this host makes about invalid packets count too"
	fixUnknownFlow = watchForward + "icmp type destination-unreachable ct state invalid counter'"

	causeAsymmetric = "the question went another way, or its entry timed out"
)

// Silents are the ways in which a packet moves a counter and nothing is ever
// printed.
var Silents = []Silent{
	{
		Counter: "invalid", Proto: protoTCP,
		What:  "an ACK without entry while tcp_loose is 0",
		Cause: "a connection that was under way before its entry was: asymmetric route, flushed table, timeout",
		Fix:   fixLoose, Function: "tcp_new",
		Setting: keyLoose, Value: "0",
	},
	{
		Counter: "invalid", Proto: protoTCP, Before: v6_7,
		What:  "a RST, FIN or SYN+ACK without entry",
		Cause: "the start of the connection went another way, or its entry is gone; printed since 6.7 (invalid new)",
		Fix:   "let both directions pass this host", Function: "tcp_new",
	},
	{
		Counter: "invalid", Proto: protoTCP, Since: v4_20,
		What:  "fewer than 20 bytes of TCP header",
		Cause: causeShort, Function: "nf_conntrack_tcp_packet",
	},
	{
		Counter: "invalid", Also: "drop", Proto: protoTCP,
		What:  "a SYN that reopens a closed entry just as that is destroyed",
		Cause: "a race; the SYN is sent again", Function: "nf_conntrack_tcp_packet",
	},
	{
		Counter: "invalid", Proto: protoTCP, Before: v5_10,
		What:     "a SYN that reopens a closed entry",
		Cause:    "ports used again, as they may be: the packet is fine, and counted all the same until 5.9",
		Function: "nf_conntrack_in",
	},
	{
		Counter: "error", Proto: protoICMP, Since: v5_10,
		What: whatUnknownFlow, Cause: causeUnknownFlow, Fix: fixUnknownFlow, Function: "nf_conntrack_inet_error",
	},
	{
		Counter: "error", Proto: protoICMPv6, Since: v5_10,
		What: whatUnknownFlow, Cause: causeUnknownFlow, Function: "nf_conntrack_inet_error",
	},
	{
		Counter: "error", Also: "invalid", Proto: protoICMP, Before: v5_10,
		What: whatUnknownFlow, Cause: causeUnknownFlow, Fix: fixUnknownFlow, Function: "icmp_error_message",
	},
	{
		Counter: "error", Also: "invalid", Proto: protoICMPv6, Before: v5_10,
		What: whatUnknownFlow, Cause: causeUnknownFlow, Function: "icmpv6_error_message",
	},
	{
		Counter: "invalid", Proto: protoICMP,
		What:  "an answer to a ping, timestamp or address query that was never asked here",
		Cause: causeAsymmetric, Fix: "let both directions pass this host", Function: "nf_conntrack_icmp_packet",
	},
	{
		Counter: "invalid", Proto: protoICMP,
		What:  "an ICMP type that has no answer: 9, 10 (router discovery), 11 and others",
		Cause: "conntrack cannot make an entry for it", Fix: notrackIn + "icmp type { router-advertisement, router-solicitation } notrack'",
		Function: "nf_ct_invert_icmp_tuple",
	},
	{
		Counter: "invalid", Proto: protoICMPv6,
		What:  "an answer to a ping that was never asked here, or an unknown type",
		Cause: causeAsymmetric + "; neighbour discovery and MLD are untracked, not invalid",
		Fix:   "let both directions pass this host", Function: "nf_conntrack_icmpv6_packet",
	},
	{
		Counter: "invalid", Proto: protoSCTP, Before: v6_3,
		What:  "broken or misplaced chunks, a wrong verification tag, a chunk that cannot come now",
		Cause: causeSCTPPath + "; printed since 6.3", Fix: fixSCTP, Function: "sctp_packet",
	},
	{
		Counter: "invalid", Proto: protoSCTP,
		What:  "an SCTP packet out of the blue, without chunks, or with an INIT that has a tag",
		Cause: causeSCTPPath, Fix: fixSCTP, Function: "sctp_new",
	},
	{
		Counter: "invalid", Proto: protoSCTP, Since: v6_3,
		What:  "an SCTP packet whose tag its first chunk cannot have (INIT ACK, COOKIE ECHO, ABORT, SHUTDOWN COMPLETE)",
		Cause: causeSCTPPath, Fix: fixSCTP, Function: "nf_conntrack_sctp_packet",
	},
	{
		Counter: "invalid", Proto: protoGRE,
		What:  "GRE version 1 that does not carry PPP",
		Cause: "conntrack knows version 1 from PPTP only",
		Fix:   notrackIn + "meta l4proto gre notrack'", Function: "gre_pkt_to_tuple",
	},
	{
		Counter: "invalid", Since: v5_10,
		What:  "a fragment that was not put together, an IP header with a wrong length, a broken chain of IPv6 headers",
		Cause: "fragments that come late or never, or made by hand", Function: "nf_conntrack_in",
	},
	{
		Counter: "error", Also: "invalid", Before: v5_10,
		What:  "a fragment that was not put together, an IP header with a wrong length, a broken chain of IPv6 headers",
		Cause: "fragments that come late or never, or made by hand", Function: "nf_conntrack_in",
	},
	{
		Counter: "invalid",
		What:    "fewer than 8 bytes behind the IP header: no ports to read",
		Cause:   causeShort, Function: "nf_ct_get_tuple",
	},
	{
		// c4f3db159582, put right by d48668052b26, which 5.0.17 and 4.19.44 have too
		Counter: "invalid", Also: "error", Since: v4_15, Before: v5_2,
		What:  "any invalid packet: these kernels print nothing",
		Cause: "a bug of 4.15 to 5.1; 4.19.44, 5.0.17 and later do print",
		Fix:   watchForward + "ct state invalid log'", Function: "nf_l4proto_log_invalid",
	},
	{
		Counter: "drop", Also: "insert_failed",
		What:  "a first packet whose entry clashed with another entry",
		Cause: "two packets of one flow at once, or NAT had no free port left", Function: "nf_ct_resolve_clash",
	},
	{
		Counter: "drop",
		What:    "a first packet for which there was no memory, or no room in the table (that line is rate-limited)",
		Cause:   "memory is short, or the table is full", Function: "__nf_conntrack_alloc",
	},
	{
		Counter:  "drop",
		What:     "a packet whose sequence numbers a helper could not adjust",
		Cause:    "a NAT helper changed the length of what was sent, and the packet could not be written",
		Function: "nf_confirm",
	},
	{
		Counter: "insert_failed", Also: "chaintoolong", Since: v5_15,
		What:  "a first packet whose hash chain is too long",
		Cause: "too few buckets for the entries", Fix: "sysctl -w net.netfilter.nf_conntrack_buckets=$(($(sysctl -n net.netfilter.nf_conntrack_buckets) * 2))",
		Function: "__nf_conntrack_confirm",
	},
}
