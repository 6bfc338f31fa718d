package invalid_test

import "github.com/ntdiag/ntdiag/diagnose/lab"

var query = lab.UDP{Payload: []byte("question")}

// udpCases follow udp_error and udplite_error.
var udpCases = []kernelCase{
	{name: "udp: 6 bytes", send: client(query).short(6),
		log: []line{{"short-packet", "nf_ct_proto_17: short packet "}}, moves: "invalid=1", state: "invalid", leaves: same},
	{name: "udp: says that it is longer than the packet", send: client(lab.UDP{Len: 400, Payload: []byte("ab")}),
		log: []line{{"bad-length", "nf_ct_proto_17: truncated/malformed packet "}}, moves: "invalid=1", state: "invalid", leaves: same},
	{name: "udp: says that it is shorter than its header", send: client(lab.UDP{Len: 4, Payload: []byte("ab")}),
		log: []line{{"bad-length", "nf_ct_proto_17: truncated/malformed packet "}}, moves: "invalid=1", state: "invalid", leaves: same},
	{name: "udp: bad checksum", send: client(lab.UDP{Payload: []byte("ab"), Sum: lab.SumWrong}),
		log: []line{{"bad-checksum", "nf_ct_proto_17: bad checksum "}}, moves: "invalid=1", state: "invalid", leaves: same},
	{name: "udp6: bad checksum", v6: true, send: client(lab.UDP{Payload: []byte("ab"), Sum: lab.SumWrong}),
		log: []line{{"bad-checksum", "nf_ct_proto_17: bad checksum "}}, moves: "invalid=1", state: "invalid", leaves: same},
	{name: "udp, masquerade: bad checksum in a flow that is translated", nat: masquerade, before: []sent{client(query)},
		send: client(lab.UDP{Payload: []byte("ab"), Sum: lab.SumWrong}),
		log:  []line{{"bad-checksum", "nf_ct_proto_17: bad checksum "}}, moves: "invalid=1", state: "invalid", leaves: "udp 10.0.1.10:4000 > 203.0.113.80:80"},
	{name: "udp: no checksum", send: client(lab.UDP{Payload: []byte("ab"), Sum: lab.SumZero}),
		state: "new", leaves: same},
	{name: "udp6: no checksum", v6: true, send: client(lab.UDP{Payload: []byte("ab"), Sum: lab.SumZero}),
		state: "new", leaves: same},
	{name: "udplite: 6 bytes", send: client(lab.UDPLite{Payload: []byte("ab")}).short(6),
		log: []line{{"short-packet", "nf_ct_proto_136: short packet "}}, moves: "invalid=1", state: "invalid", leaves: same},
	{name: "udplite: no checksum", send: client(lab.UDPLite{Payload: []byte("ab"), Sum: lab.SumZero}),
		log: []line{{"no-checksum", "nf_ct_proto_136: checksum missing "}}, moves: "invalid=1", state: "invalid", leaves: same},
	{name: "udplite: the checksum covers less than the header", send: client(lab.UDPLite{Coverage: 5, Payload: []byte("ab")}),
		log: []line{{"bad-coverage", "nf_ct_proto_136: invalid checksum coverage "}}, moves: "invalid=1", state: "invalid", leaves: same},
	{name: "udplite: bad checksum", send: client(lab.UDPLite{Coverage: 8, Payload: []byte("ab"), Sum: lab.SumWrong}),
		log: []line{{"bad-checksum", "nf_ct_proto_136: bad checksum "}}, moves: "invalid=1", state: "invalid", leaves: same},
	{name: "udplite: the checksum is right, and conntrack takes it for UDP's", send: client(lab.UDPLite{Payload: []byte("ab")}),
		log: []line{{"bad-checksum", "nf_ct_proto_136: bad checksum "}}, moves: "invalid=1", state: "invalid", leaves: same},
	{name: "udplite: the checksum is UDP's", send: client(lab.UDPLite{Payload: []byte("ab"), Sum: lab.SumAsUDP}),
		state: "new", leaves: same},
	{name: "udplite: the checksum is right, checksums not looked at", sysctls: []string{noSums},
		send: client(lab.UDPLite{Payload: []byte("ab")}), state: "new", leaves: same},
}
