package invalid_test

import (
	"slices"

	"github.com/ntdiag/ntdiag/diagnose/lab"
)

const (
	loose0   = "net.netfilter.nf_conntrack_tcp_loose=0"
	liberal1 = "net.netfilter.nf_conntrack_tcp_be_liberal=1"
	noSums   = "net.netfilter.nf_conntrack_checksum=0"
)

var badFlags = []line{{"bad-flags", "nf_ct_proto_6: invalid tcp flag combination "}}

// tcpHeaderCases follow tcp_error: no entry is looked for.
var tcpHeaderCases = []kernelCase{
	{name: "tcp: 4 bytes, no sequence number: no ports are read (nf_ct_get_tuple)", send: client(seg(syn, 1000, 0)).short(4),
		silent: []string{"nf_ct_get_tuple"}, moves: "invalid=1", state: "invalid", leaves: same},
	{name: "tcp: 12 bytes of header", send: client(seg(syn, 1000, 0)).short(12),
		silent: []string{"nf_conntrack_tcp_packet"}, moves: "invalid=1", state: "invalid", leaves: same},
	{name: "tcp: data offset of 4 words", send: client(lab.TCP{Flags: syn, Seq: 1000, Offset: 4}),
		log: []line{{"truncated", "nf_ct_proto_6: truncated packet "}}, moves: "invalid=1", state: "invalid", leaves: same},
	{name: "tcp: data offset beyond the packet", send: client(lab.TCP{Flags: syn, Seq: 1000, Offset: 15}),
		log: []line{{"truncated", "nf_ct_proto_6: truncated packet "}}, moves: "invalid=1", state: "invalid", leaves: same},
	{name: "tcp: bad checksum", send: client(lab.TCP{Flags: syn, Seq: 1000, Sum: lab.SumWrong}),
		log: []line{{"bad-checksum", "nf_ct_proto_6: bad checksum "}}, moves: "invalid=1", state: "invalid", leaves: same},
	{name: "tcp: bad checksum, checksums not looked at", sysctls: []string{noSums},
		send:  client(lab.TCP{Flags: syn, Seq: 1000, Sum: lab.SumWrong}),
		state: "new", leaves: same},
	{name: "tcp: bad checksum, IP options, TOS and congestion experienced",
		send: client(lab.TCP{Flags: syn | lab.ECE | lab.CWR, Seq: 1000, Sum: lab.SumWrong}).with(func(p *lab.Packet) {
			p.Options, p.TOS, p.DF, p.ID, p.TTL = []byte{1, 1, 1, 0}, 0x1b, true, 4660, 63
		}),
		log: []line{{"bad-checksum", "nf_ct_proto_6: bad checksum "}}, moves: "invalid=1", state: "invalid", leaves: same},
	{name: "tcp6: bad checksum", v6: true, send: client(lab.TCP{Flags: syn, Seq: 1000, Sum: lab.SumWrong}),
		log: []line{{"bad-checksum", "nf_ct_proto_6: bad checksum "}}, moves: "invalid=1", state: "invalid", leaves: same},
	{name: "tcp: no flags", send: client(seg(0, 1000, 0)), log: badFlags, moves: "invalid=1", state: "invalid", leaves: same},
	{name: "tcp: FIN alone", send: client(seg(fin, 1000, 0)), log: badFlags, moves: "invalid=1", state: "invalid", leaves: same},
	{name: "tcp: FIN URG PSH", send: client(seg(fin|urg|psh, 1000, 0)), log: badFlags, moves: "invalid=1", state: "invalid", leaves: same},
	{name: "tcp: SYN FIN", send: client(seg(syn|fin, 1000, 0)), log: badFlags, moves: "invalid=1", state: "invalid", leaves: same},
	{name: "tcp: SYN RST", send: client(seg(syn|rst, 1000, 0)), log: badFlags, moves: "invalid=1", state: "invalid", leaves: same},
	{name: "tcp: no flags on an established connection", before: established, send: client(seg(0, 1001, 5001)),
		log: badFlags, moves: "invalid=1", state: "invalid", leaves: same},
}

var invalidNew = []line{{"invalid-new", "nf_ct_proto_6: invalid new "}}

var (
	// established is a connection with its three packets; both windows are 64240.
	established = []sent{client(seg(syn, 1000, 0)), server(seg(syn|ack, 5000, 1001)), client(seg(ack, 1001, 5001))}
	// lastAck is one that both ends have closed: the client's last ACK is to come.
	lastAck = slices.Concat(established, []sent{
		client(seg(fin|ack, 1001, 5001)), server(seg(ack, 5001, 1002)), server(seg(fin|ack, 5001, 1002)),
	})
)

// tcpStateCases follow tcp_new and the table of states in
// nf_conntrack_tcp_packet.
var tcpStateCases = []kernelCase{
	{name: "tcp: RST without entry", send: client(seg(rst, 1000, 0)),
		log: invalidNew, moves: "invalid=1", state: "invalid", leaves: same},
	{name: "tcp: FIN ACK without entry", send: client(seg(fin|ack, 1000, 77)),
		log: invalidNew, moves: "invalid=1", state: "invalid", leaves: same},
	{name: "tcp: SYN ACK without entry", send: client(seg(syn|ack, 1000, 77)),
		log: invalidNew, moves: "invalid=1", state: "invalid", leaves: same},
	{name: "tcp6: RST without entry, flow label", v6: true,
		send: client(seg(rst, 1000, 0)).with(func(p *lab.Packet) { p.Flow = 0x12345 }),
		log:  invalidNew, moves: "invalid=1", state: "invalid", leaves: same},
	{name: "tcp: RST without entry, to the router", send: client(seg(rst, 1000, 0)).to("10.0.0.1"),
		log: invalidNew, moves: "invalid=1", state: "invalid", leaves: nothing},
	{name: "tcp: RST without entry, from the router", send: router(seg(rst, 1000, 0)),
		log: invalidNew, moves: "invalid=1", state: "invalid", leaves: same},
	{name: "tcp: bad checksum, from the router: not looked at in output", send: router(lab.TCP{Flags: syn, Seq: 1000, Sum: lab.SumWrong}),
		state: "new", leaves: same},
	{name: "tcp: RST without entry, marked before conntrack",
		rules: `table ip marks { chain pre { type filter hook prerouting priority raw; tcp dport 80 meta mark set 0xbeef; }; }`,
		mark:  0xbeef,
		send:  client(seg(rst, 1000, 0)), log: invalidNew, moves: "invalid=1", state: "invalid", leaves: same},
	{name: "tcp: ACK without entry is picked up", send: client(seg(ack, 1000, 77)),
		state: "new", leaves: same},
	{name: "tcp: ACK without entry, tcp_loose=0", sysctls: []string{loose0}, send: client(seg(ack, 1000, 77)),
		silent: []string{"tcp_new"}, moves: "invalid=1", state: "invalid", leaves: same},
	{name: "tcp: ACK without entry, tcp_loose=0, no route: the router's own ICMP error counts too", sysctls: []string{loose0},
		send: client(seg(ack, 1000, 77)).to("192.88.99.1"), silent: []string{"tcp_new", "nf_conntrack_inet_error"}, moves: "error=1 invalid=1", state: "invalid", leaves: nothing},
	{name: "tcp: SYN on an established connection", before: established, send: client(seg(syn, 9999, 0)),
		log:   []line{{"ignored", "nf_ct_proto_6: packet (index 0) in dir 0 ignored, state ESTABLISHED "}},
		state: "established", leaves: same},
	{name: "tcp: SYN ACK from the client of an established connection", before: established, send: client(seg(syn|ack, 1001, 5001)),
		log:   []line{{"invalid-state", "nf_ct_proto_6: packet (index 1) in dir 0 invalid, state ESTABLISHED "}},
		moves: "invalid=1", state: "invalid", leaves: same},
	{name: "tcp: ACK after a SYN that nobody answered here", before: established[:1], send: client(seg(ack, 1001, 1)),
		log:   []line{{"invalid-state", "nf_ct_proto_6: packet (index 3) in dir 0 invalid, state SYN_SENT "}},
		moves: "invalid=1", state: "invalid", leaves: same},
	{name: "tcp: FIN ACK after a SYN that nobody answered here", before: established[:1], send: client(seg(fin|ack, 1001, 1)),
		log:   []line{{"invalid-state", "nf_ct_proto_6: packet (index 2) in dir 0 invalid, state SYN_SENT "}},
		moves: "invalid=1", state: "invalid", leaves: same},
	{name: "tcp: ACK in answer to a SYN", before: established[:1], send: server(seg(ack, 5000, 500)),
		log:   []line{{"ignored", "nf_ct_proto_6: packet (index 3) in dir 1 ignored, state SYN_SENT "}},
		state: "established", leaves: same},
	{name: "tcp: SYN in LAST_ACK", before: lastAck, send: client(seg(syn, 777, 0)),
		log:   []line{{"ignored", "nf_ct_proto_6: packet (index 0) in dir 0 ignored, state LAST_ACK "}},
		state: "established", leaves: same},
	{name: "tcp: challenge ACK to a SYN in LAST_ACK", before: append(lastAck[:len(lastAck):len(lastAck)], client(seg(syn, 777, 0))),
		send:  server(seg(ack, 5002, 1002)),
		log:   []line{{"challenge-ack", "nf_ct_proto_6: challenge-ack ignored "}},
		state: "established", leaves: same},
	{name: "tcp: SYN after the connection is closed", before: append(lastAck[:len(lastAck):len(lastAck)], client(seg(ack, 1002, 5002))),
		send: client(seg(syn, 777, 0)), state: "new", leaves: same},
	{name: "tcp: RST below what was acknowledged", before: established, send: server(seg(rst, 4000, 0)),
		log: []line{{"invalid-rst", "nf_ct_proto_6: invalid rst "}}, moves: "invalid=1", state: "invalid", leaves: same},
	{name: "tcp: RST below what was acknowledged, be_liberal=1", sysctls: []string{liberal1}, before: established, send: server(seg(rst, 4000, 0)),
		log: []line{{"invalid-rst", "nf_ct_proto_6: invalid rst "}}, moves: "invalid=1", state: "invalid", leaves: same},
	{name: "tcp: RST below what was acknowledged, ignore_invalid_rst=1",
		sysctls: []string{"net.netfilter.nf_conntrack_tcp_ignore_invalid_rst=1"}, before: established,
		send: server(seg(rst, 4000, 0)), state: "established", leaves: same},
}

// tcpWindowCases follow tcp_in_window.
var tcpWindowCases = []kernelCase{
	{name: "tcp: SEQ over the upper bound", before: established, send: client(seg(ack|psh, 501001, 5001, "0123456789")),
		log:   []line{{"seq-over", "nf_ct_proto_6: SEQ is over upper bound 65242 (over the window of the receiver) "}},
		moves: "invalid=1", state: "invalid", leaves: same},
	{name: "tcp6: SEQ over the upper bound", v6: true, before: established, send: client(seg(ack|psh, 501001, 5001, "0123456789")),
		log:   []line{{"seq-over", "nf_ct_proto_6: SEQ is over upper bound 65242 (over the window of the receiver) "}},
		moves: "invalid=1", state: "invalid", leaves: same},
	{name: "tcp: SEQ over the upper bound, be_liberal=1", sysctls: []string{liberal1}, before: established,
		send: client(seg(ack|psh, 501001, 5001, "0123456789")), state: "established", leaves: same},
	{name: "tcp: ACK over the upper bound", before: established, send: client(seg(ack|psh, 1001, 105001, "0123456789")),
		log:   []line{{"ack-over", "nf_ct_proto_6: ACK is over upper bound 5002 (ACKed data not seen yet) "}},
		moves: "invalid=1", state: "invalid", leaves: same},
	{name: "tcp: SEQ under the lower bound", before: established, send: client(seg(ack|psh, 4294768297, 5001, "0123456789")),
		log:   []line{{"seq-under", "nf_ct_proto_6: SEQ is under lower bound 4294904056 (already ACKed data retransmitted) "}},
		state: "established", leaves: same},
	{name: "tcp: ACK under the lower bound", before: established, send: client(seg(ack, 1001, 4294572297)),
		log:   []line{{"ack-under", "nf_ct_proto_6: ignored ACK under lower bound 4294906296 (possible overly delayed) "}},
		state: "established", leaves: same},
	{name: "tcp: a little over the window", before: established, send: client(seg(ack|psh, 65242, 5001, "0123456789")),
		log:   []line{{"over-window", "nf_ct_proto_6: 12 bytes more than expected "}},
		state: "established", leaves: same},
	{name: "tcp: FIN out of the window", before: established, send: client(seg(fin|ack, 900000, 5001)),
		log:   []line{{"seq-over", "nf_ct_proto_6: SEQ is over upper bound 65242 (over the window of the receiver) "}},
		moves: "invalid=1", state: "invalid", leaves: same},
	{name: "tcp: FIN out of the window from both ends: two lines, one packet",
		before: append(established[:3:3], client(seg(fin|ack, 900000, 5001))), send: server(seg(fin|ack, 900000, 1001)),
		log: []line{
			{"seq-over", "nf_ct_proto_6: SEQ is over upper bound 69242 (over the window of the receiver) "},
			{"timeout-lowered", "nf_ct_proto_6: packet (index 2, dir 1) response for index 2 lower timeout to 75000 "},
		},
		moves: "invalid=1", state: "invalid", leaves: same},
	{name: "tcp: picked up in mid-stream: no window is known, none is looked at", before: []sent{client(seg(ack, 1000, 77))},
		send: client(seg(ack|psh, 900000, 77, "0123456789")), state: "new", leaves: same},
}

// tcpNATCases show what becomes of NAT.
var tcpNATCases = []kernelCase{
	{name: "tcp, masquerade: in the window", nat: masquerade, before: established, send: client(seg(ack|psh, 1001, 5001, "0123456789")),
		state: "established", leaves: "tcp 192.0.2.2:4000 > 203.0.113.80:80"},
	{name: "tcp, masquerade: SEQ over the upper bound: leaves with its private source", nat: masquerade, before: established,
		send:  client(seg(ack|psh, 501001, 5001, "0123456789")),
		log:   []line{{"seq-over", "nf_ct_proto_6: SEQ is over upper bound 65242 (over the window of the receiver) "}},
		moves: "invalid=1", state: "invalid", leaves: "tcp 10.0.1.10:4000 > 203.0.113.80:80"},
	{name: "tcp6, masquerade: SEQ over the upper bound: leaves with its private source", v6: true, nat: masquerade, before: established,
		send:  client(seg(ack|psh, 501001, 5001, "0123456789")),
		log:   []line{{"seq-over", "nf_ct_proto_6: SEQ is over upper bound 65242 (over the window of the receiver) "}},
		moves: "invalid=1", state: "invalid", leaves: "tcp [fd00:1::10]:4000 > [2001:db8:113::80]:80"},
	{name: "tcp, masquerade: SEQ over the upper bound in the answer: taken for the router's own", nat: masquerade, before: established,
		send:  server(seg(ack|psh, 501001, 1001, "0123456789")),
		log:   []line{{"seq-over", "nf_ct_proto_6: SEQ is over upper bound 69242 (over the window of the receiver) "}},
		moves: "invalid=1", state: "invalid", leaves: nothing},
	{name: "tcp, masquerade: RST without entry", nat: masquerade, send: client(seg(rst, 1000, 0)),
		log: invalidNew, moves: "invalid=1", state: "invalid", leaves: "tcp 10.0.1.10:4000 > 203.0.113.80:80"},
	{name: "tcp, masquerade: SYN on an established connection: ignored, and translated", nat: masquerade, before: established,
		send: client(seg(syn, 9999, 0)),
		log:  []line{{"ignored", "nf_ct_proto_6: packet (index 0) in dir 0 ignored, state ESTABLISHED "}},

		state: "established", leaves: "tcp 192.0.2.2:4000 > 203.0.113.80:80"},
	{name: "tcp, dnat: ACK over the upper bound: leaves for the address that only the rule knows", nat: dnat, before: established,
		send:  client(seg(ack|psh, 1001, 105001, "0123456789")),
		log:   []line{{"ack-over", "nf_ct_proto_6: ACK is over upper bound 5002 (ACKed data not seen yet) "}},
		moves: "invalid=1", state: "invalid", leaves: "tcp 10.0.1.10:4000 > 198.51.100.1:80"},
	{name: "tcp, dnat: SEQ over the upper bound", nat: dnat, before: established,
		send:  client(seg(ack|psh, 501001, 5001, "0123456789")),
		log:   []line{{"seq-over", "nf_ct_proto_6: SEQ is over upper bound 65242 (over the window of the receiver) "}},
		moves: "invalid=1", state: "invalid", leaves: "tcp 10.0.1.10:4000 > 198.51.100.1:80"},
	{name: "tcp, dnat: SEQ over the upper bound in the answer: leaves as from the server", nat: dnat, before: established,
		send:  server(seg(ack|psh, 501001, 1001, "0123456789")),
		log:   []line{{"seq-over", "nf_ct_proto_6: SEQ is over upper bound 69242 (over the window of the receiver) "}},
		moves: "invalid=1", state: "invalid", leaves: "tcp 203.0.113.80:8080 > 10.0.1.10:4000"},
	{name: "tcp6, dnat: ACK over the upper bound", v6: true, nat: dnat, before: established,
		send:  client(seg(ack|psh, 1001, 105001, "0123456789")),
		log:   []line{{"ack-over", "nf_ct_proto_6: ACK is over upper bound 5002 (ACKed data not seen yet) "}},
		moves: "invalid=1", state: "invalid", leaves: "tcp [fd00:1::10]:4000 > [2001:db8:100::1]:80"},
	{name: "tcp, dnat: the same in the window", nat: dnat, before: established, send: server(seg(ack|psh, 5001, 1001, "0123456789")),
		state: "established", leaves: "tcp 198.51.100.1:80 > 10.0.1.10:4000"},
	{name: "tcp, dnat: RST below what was acknowledged", nat: dnat, before: established, send: server(seg(rst, 4000, 0)),
		log: []line{{"invalid-rst", "nf_ct_proto_6: invalid rst "}}, moves: "invalid=1", state: "invalid",
		leaves: "tcp 203.0.113.80:8080 > 10.0.1.10:4000"},
	{name: "tcp, masquerade, invalid is dropped: nothing leaves", nat: masquerade, before: established,
		rules: `table inet filter { chain forward { type filter hook forward priority filter + 1; ct state invalid drop; }; }`,
		send:  client(seg(ack|psh, 501001, 5001, "0123456789")),
		log:   []line{{"seq-over", "nf_ct_proto_6: SEQ is over upper bound 65242 (over the window of the receiver) "}},
		moves: "invalid=1", state: "invalid", leaves: nothing},
}
