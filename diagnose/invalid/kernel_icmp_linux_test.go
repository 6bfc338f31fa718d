package invalid_test

import "github.com/ntdiag/ntdiag/diagnose/lab"

// unreachable is an error of type 3, port unreachable.
func unreachable(sum lab.Sum) lab.ICMP { return lab.ICMP{Type: 3, Code: 3, Sum: sum} }

// icmpCases follow nf_conntrack_icmpv4_error, nf_conntrack_inet_error and
// nf_conntrack_icmp_packet. Errors go back to the client.
var icmpCases = []kernelCase{
	{name: "icmp: 4 bytes", send: client(lab.ICMP{Type: 8}).short(4),
		log: []line{{"short-packet", "nf_ct_proto_1: short packet "}}, moves: "error=1", state: "invalid", leaves: same},
	{name: "icmp: bad checksum", send: client(lab.ICMP{Type: 8, Rest: 1<<16 | 1, Sum: lab.SumWrong}),
		log: []line{{"bad-checksum", "nf_ct_proto_1: bad hw icmp checksum "}}, moves: "error=1", state: "invalid", leaves: same},
	{name: "icmp, masquerade: bad checksum", nat: masquerade, send: client(lab.ICMP{Type: 8, Rest: 1<<16 | 1, Sum: lab.SumWrong}),
		log: []line{{"bad-checksum", "nf_ct_proto_1: bad hw icmp checksum "}}, moves: "error=1", state: "invalid", leaves: same},
	{name: "icmp: type 19, the first that there is not", send: client(lab.ICMP{Type: 19}),
		log: []line{{"bad-type", "nf_ct_proto_1: invalid icmp type "}}, moves: "error=1", state: "invalid", leaves: same},
	{name: "icmp: type 99", send: client(lab.ICMP{Type: 99}),
		log: []line{{"bad-type", "nf_ct_proto_1: invalid icmp type "}}, moves: "error=1", state: "invalid", leaves: same},
	{name: "icmp: echo", send: client(lab.ICMP{Type: 8, Rest: 1<<16 | 1}), state: "new", leaves: same},
	{name: "icmp: echo reply that was not asked for", send: client(lab.ICMP{Type: 0, Rest: 1<<16 | 1}),
		silent: []string{"nf_conntrack_icmp_packet"}, moves: "invalid=1", state: "invalid", leaves: same},
	{name: "icmp, masquerade: echo reply that was not asked for", nat: masquerade, send: client(lab.ICMP{Type: 0, Rest: 1<<16 | 1}),
		silent: []string{"nf_conntrack_icmp_packet"}, moves: "invalid=1", state: "invalid", leaves: same},
	{name: "icmp: router advertisement, which has no inverse", send: client(lab.ICMP{Type: 9}),
		silent: []string{"nf_ct_invert_icmp_tuple"}, moves: "invalid=1", state: "invalid", leaves: same},
	{name: "icmp: error about an unknown flow", send: server(unreachable(lab.SumRight)).about(client(query)),
		silent: []string{"nf_conntrack_inet_error"}, moves: "error=1", state: "invalid", leaves: same},
	{name: "icmp: error about a flow", before: []sent{client(query)}, send: server(unreachable(lab.SumRight)).about(client(query)),
		state: "related", leaves: same},
	{name: "icmp, masquerade: error about a flow: goes to the client", nat: masquerade, before: []sent{client(query)},
		send: server(unreachable(lab.SumRight)).about(client(query)), state: "related", leaves: "icmp 203.0.113.80 > 10.0.1.10"},
	{name: "icmp, masquerade: error about an unknown flow: stays", nat: masquerade,
		send: server(unreachable(lab.SumRight)).about(client(query)), silent: []string{"nf_conntrack_inet_error"}, moves: "error=1", state: "invalid", leaves: nothing},
	{name: "icmp: error about a flow, bad checksum", before: []sent{client(query)},
		send: server(unreachable(lab.SumWrong)).about(client(query)),
		log:  []line{{"bad-checksum", "nf_ct_proto_1: bad hw icmp checksum "}}, moves: "error=1", state: "invalid", leaves: same},
	{name: "icmp: error about a flow, to somebody else", before: []sent{client(query)},
		send: server(unreachable(lab.SumRight)).about(client(query)).to("10.0.1.11"),
		log:  []line{{"wrong-addressee", "nf_ct_proto_1: outer daddr 10.0.1.11 != inner 10.0.1.10 "}}, moves: "error=1", state: "invalid", leaves: same},
	{name: "icmp: error that quotes the ports, and no more", before: []sent{client(query)},
		send: cut(24, server(unreachable(lab.SumRight)).about(client(query))), state: "related", leaves: same},
	{name: "icmp: error that quotes less than the ports", before: []sent{client(query)},
		send: cut(22, server(unreachable(lab.SumRight)).about(client(query))), silent: []string{"nf_conntrack_inet_error"}, moves: "error=1", state: "invalid", leaves: same},
	{name: "icmp: redirect about an unknown flow", send: server(lab.ICMP{Type: 5}).about(client(query)),
		silent: []string{"nf_conntrack_inet_error"}, moves: "error=1", state: "invalid", leaves: same},
	{name: "icmp: fragmentation needed about a flow", before: established,
		send: server(lab.ICMP{Type: 3, Code: 4, Rest: 1400}).about(client(seg(ack|psh, 1001, 5001, "data"))), state: "related", leaves: same},
}

// cut has the error quote n bytes only.
func cut(n int, s sent) sent {
	s.cut = n
	return s
}

// unreachable6 is an ICMPv6 error of type 1, port unreachable.
var unreachable6 = lab.ICMP{Type: 1, Code: 4}

// redirect is an ICMPv6 redirect from a router on the client's link, to the
// router, with the given bytes behind its header.
func redirect(rest int) sent {
	return client(lab.ICMP{Type: 137, Payload: make([]byte, rest)}).as("fe80::9").to("fd00::1").
		with(func(p *lab.Packet) { p.TTL = 255 })
}

// icmpv6Cases follow nf_conntrack_icmpv6_error, nf_conntrack_icmpv6_redirect
// and nf_conntrack_icmpv6_packet.
var icmpv6Cases = []kernelCase{
	{name: "icmpv6: 4 bytes", v6: true, send: client(lab.ICMP{Type: 128}).short(4),
		log: []line{{"short-packet", "nf_ct_proto_58: short packet "}}, moves: "error=1", state: "invalid", leaves: same},
	{name: "icmpv6: bad checksum", v6: true, send: client(lab.ICMP{Type: 128, Sum: lab.SumWrong}),
		log: []line{{"bad-checksum", "nf_ct_proto_58: ICMPv6 checksum failed "}}, moves: "error=1", state: "invalid", leaves: same},
	{name: "icmpv6: echo reply that was not asked for", v6: true, send: client(lab.ICMP{Type: 129}),
		silent: []string{"nf_conntrack_icmpv6_packet"}, moves: "invalid=1", state: "invalid", leaves: same},
	{name: "icmpv6: type 200", v6: true, send: client(lab.ICMP{Type: 200}), silent: []string{"nf_conntrack_icmpv6_packet"}, moves: "invalid=1", state: "invalid", leaves: same},
	{name: "icmpv6: router advertisement is not tracked", v6: true,
		send: client(lab.ICMP{Type: 134, Payload: make([]byte, 8)}), state: "untracked", leaves: same},
	{name: "icmpv6: error about an unknown flow", v6: true, send: server(unreachable6).about(client(query)),
		silent: []string{"nf_conntrack_inet_error"}, moves: "error=1", state: "invalid", leaves: same},
	{name: "icmpv6: error about a flow", v6: true, before: []sent{client(query)}, send: server(unreachable6).about(client(query)),
		state: "related", leaves: same},
	{name: "icmpv6: packet too big about a flow", v6: true, before: []sent{client(query)},
		send: server(lab.ICMP{Type: 2, Rest: 1400}).about(client(query)), state: "related", leaves: same},
	{name: "icmpv6: error about a flow, to somebody else", v6: true, before: []sent{client(query)},
		send: server(unreachable6).about(client(query)).to("fd00:1::11"),
		log: []line{{"wrong-addressee", "nf_ct_proto_58: outer daddr fd00:0001:0000:0000:0000:0000:0000:0011" +
			" != inner fd00:0001:0000:0000:0000:0000:0000:0010 "}},
		moves: "error=1", state: "invalid", leaves: same},
	{name: "icmpv6: redirect that ends before its header does", v6: true, send: redirect(8),
		log: []line{{"short-redirect", "nf_ct_proto_58: short redirect "}}, moves: "error=1", state: "invalid", leaves: nothing},
	{name: "icmpv6: redirect that was forwarded", v6: true, send: redirect(32).with(func(p *lab.Packet) { p.TTL = 64 }),
		log: []line{{"redirect-sender", "nf_ct_proto_58: invalid saddr or hoplimit for redirect "}}, moves: "error=1", state: "invalid", leaves: nothing},
	{name: "icmpv6: redirect from an address that is not link-local", v6: true, send: redirect(32).as("fd00:1::10"),
		log: []line{{"redirect-sender", "nf_ct_proto_58: invalid saddr or hoplimit for redirect "}}, moves: "error=1", state: "invalid", leaves: nothing},
	{name: "icmpv6: redirect without options", v6: true, send: redirect(32),
		log: []line{{"redirect-options", "nf_ct_proto_58: redirect without options "}}, moves: "error=1", state: "invalid", leaves: nothing},
}
