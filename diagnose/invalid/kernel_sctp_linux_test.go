package invalid_test

import "github.com/ntdiag/ntdiag/diagnose/lab"

// sctp is a packet of chunks.
func sctp(vtag uint32, chunks ...lab.Chunk) lab.SCTP { return lab.SCTP{VTag: vtag, Chunks: chunks} }

// Chunks. The client's tag is 0x11, which the server's packets carry; the
// server's is 0x22.
var (
	initChunk  = lab.Chunk{Type: 1, Body: lab.Init(0x11)}
	initAck    = lab.Chunk{Type: 2, Body: lab.Init(0x22)}
	data       = lab.Chunk{Type: 0, Flags: 3, Body: make([]byte, 16)}
	heartbeat  = lab.Chunk{Type: 4, Body: make([]byte, 8)}
	abort      = lab.Chunk{Type: 6}
	cookieEcho = lab.Chunk{Type: 10, Body: []byte("cook")}
	cookieAck  = lab.Chunk{Type: 11}
)

// association is one that is set up.
var association = []sent{
	client(sctp(0, initChunk)), server(sctp(0x11, initAck)),
	client(sctp(0x22, cookieEcho)), server(sctp(0x11, cookieAck)),
}

// sctpCases follow sctp_error, do_basic_checks, sctp_new and
// nf_conntrack_sctp_packet.
var sctpCases = []kernelCase{
	{name: "sctp: 8 bytes", send: client(sctp(0, initChunk)).short(8),
		log: []line{{"short-packet", "nf_ct_proto_132: nf_ct_sctp: short packet  "}}, moves: "invalid=1", state: "invalid", leaves: same},
	{name: "sctp: bad CRC", send: client(lab.SCTP{Chunks: []lab.Chunk{initChunk}, Sum: lab.SumWrong}),
		log: []line{{"bad-checksum", "nf_ct_proto_132: nf_ct_sctp: bad CRC  "}}, moves: "invalid=1", state: "invalid", leaves: same},
	{name: "sctp6: bad CRC", v6: true, send: client(lab.SCTP{Chunks: []lab.Chunk{initChunk}, Sum: lab.SumWrong}),
		log: []line{{"bad-checksum", "nf_ct_proto_132: nf_ct_sctp: bad CRC  "}}, moves: "invalid=1", state: "invalid", leaves: same},
	{name: "sctp: a chunk without length", send: client(sctp(0, lab.Chunk{Type: 1, Flags: 1, NoLen: true})),
		log:   []line{{"bad-chunks", "nf_ct_proto_132: do_basic_checks failed. chunk num 0, type 1, len 0 flag 1\n "}},
		moves: "invalid=1", state: "invalid", leaves: same},
	{name: "sctp: INIT with another chunk", send: client(sctp(0, initChunk, data)),
		log:   []line{{"bad-chunks", "nf_ct_proto_132: do_basic_checks failed. chunk num 1, type 0, len 5120 flag 1\n "}},
		moves: "invalid=1", state: "invalid", leaves: same},
	{name: "sctp: no chunks", send: client(sctp(1)), silent: []string{"sctp_new"}, moves: "invalid=1", state: "invalid", leaves: same},
	{name: "sctp: ABORT out of the blue", send: client(sctp(1, abort)), silent: []string{"sctp_new"}, moves: "invalid=1", state: "invalid", leaves: same},
	{name: "sctp: DATA out of the blue", send: client(sctp(1, data)), silent: []string{"sctp_new"}, moves: "invalid=1", state: "invalid", leaves: same},
	{name: "sctp: INIT with a verification tag", send: client(sctp(1, initChunk)), silent: []string{"sctp_new"}, moves: "invalid=1", state: "invalid", leaves: same},
	{name: "sctp: INIT", send: client(sctp(0, initChunk)), state: "new", leaves: same},
	{name: "sctp: DATA of an association", before: association, send: client(sctp(0x22, data)), state: "established", leaves: same},
	{name: "sctp: DATA, wrong verification tag", before: association, send: client(sctp(0x99, data)),
		log:   []line{{"bad-vtag", "nf_ct_proto_132: verification tag check failed 99000000 vs 22000000 for dir 0 "}},
		moves: "invalid=1", state: "invalid", leaves: same},
	{name: "sctp, masquerade: DATA, wrong verification tag", nat: masquerade, before: association, send: client(sctp(0x99, data)),
		log:   []line{{"bad-vtag", "nf_ct_proto_132: verification tag check failed 99000000 vs 22000000 for dir 0 "}},
		moves: "invalid=1", state: "invalid", leaves: same},
	{name: "sctp: DATA before INIT is answered", before: association[:1], send: client(sctp(0x99, data)),
		log:   []line{{"bad-vtag", "nf_ct_proto_132: verification tag check failed 99000000 vs 0 for dir 0 "}},
		moves: "invalid=1", state: "invalid", leaves: same},
	{name: "sctp: INIT ACK from the client", before: association[:1], send: client(sctp(0, initAck)),
		silent: []string{"nf_conntrack_sctp_packet"}, moves: "invalid=1", state: "invalid", leaves: same},
	{name: "sctp: COOKIE ECHO, wrong verification tag", before: association[:2], send: client(sctp(0x99, cookieEcho)),
		silent: []string{"nf_conntrack_sctp_packet"}, moves: "invalid=1", state: "invalid", leaves: same},
	{name: "sctp: HEARTBEAT on a second path", send: client(sctp(0x22, heartbeat)), state: "new", leaves: same},
	{name: "sctp: INIT in answer to a HEARTBEAT", before: []sent{client(sctp(0x22, heartbeat))}, send: server(sctp(0, initChunk)),
		log:   []line{{"invalid-state", "nf_ct_proto_132: Invalid, old_state 8, dir 1, type 1 "}},
		moves: "invalid=1", state: "invalid", leaves: same},
}

const protoDCCP = 33

// fragments are a UDP datagram in two, the second at 16 bytes. The IP id tells
// datagrams apart: parts that are left over wait for half a minute.
func fragments(id uint16, sum lab.Sum) []sent {
	datagram := lab.UDP{Payload: []byte("question and more"), Sum: sum}
	whole := client(datagram).wire(ends4, noNAT).Bytes()[20:]
	part := func(offset int, b []byte) sent {
		return client(lab.Raw{Proto: 17, Payload: b}).with(func(p *lab.Packet) {
			p.ID, p.Offset, p.More = id, uint16(offset/8), offset == 0
		})
	}
	return []sent{part(0, whole[:16]), part(16, whole[16:])}
}

// otherCases follow get_l4proto, gre_pkt_to_tuple and the tracker of everything
// else.
var otherCases = []kernelCase{
	{name: "gre: version 0", send: client(lab.GRE{Proto: 0x0800, Payload: make([]byte, 20)}), state: "new", leaves: same},
	{name: "gre: version 1 with PPP", send: client(lab.GRE{Version: 1, Proto: 0x880b, CallID: 9, Payload: make([]byte, 4)}),
		state: "new", leaves: same},
	{name: "gre: version 1 with something else", send: client(lab.GRE{Version: 1, Proto: 0x0800, CallID: 9, Payload: make([]byte, 4)}),
		silent: []string{"gre_pkt_to_tuple"}, moves: "invalid=1", state: "invalid", leaves: same},
	{name: "protocol 99", send: client(lab.Raw{Proto: 99, Payload: []byte("abcd")}), state: "new", leaves: same},
	{name: "protocol 99 without any byte", send: client(lab.Raw{Proto: 99}), state: "new", leaves: same},
	{name: "dccp: 4 bytes: only addresses are tracked since 6.17", send: client(lab.Raw{Proto: protoDCCP, Payload: make([]byte, 4)}),
		state: "new", leaves: same},
	{name: "udp: one fragment waits for the others", send: fragments(1, lab.SumRight)[0], leaves: nothing},
	{name: "udp: fragments that are put together", before: fragments(2, lab.SumRight)[:1], send: fragments(2, lab.SumRight)[1],
		state: "new", leaves: "udp 10.0.1.10:4000 > 203.0.113.80:80, udp fragment 10.0.1.10 > 203.0.113.80"},
	{name: "udp: bad checksum of fragments that are put together", before: fragments(3, lab.SumWrong)[:1], send: fragments(3, lab.SumWrong)[1],
		log: []line{{"bad-checksum", "nf_ct_proto_17: bad checksum "}}, moves: "invalid=1", state: "invalid",
		as:     "udp 10.0.1.10:4000 > 203.0.113.80:80",
		leaves: "udp 10.0.1.10:4000 > 203.0.113.80:80, udp fragment 10.0.1.10 > 203.0.113.80"},
	{name: "a later fragment from the router, not put together (IP_NODEFRAG): without entry, and not counted",
		send:  router(lab.Raw{Proto: 17, Payload: make([]byte, 16)}).with(func(p *lab.Packet) { p.Offset = 2 }),
		state: "invalid", leaves: same},
	{name: "ipv6: no next header", v6: true, send: client(lab.Raw{Proto: 59}), silent: []string{"nf_conntrack_in"}, moves: "invalid=1", state: "invalid", leaves: same},
	{name: "ipv6: ends within destination options", v6: true,
		send:   client(lab.Raw{Proto: 60, Payload: []byte{17, 4, 1, 4, 0, 0, 0, 0}}),
		silent: []string{"nf_conntrack_in"}, moves: "invalid=1", state: "invalid", leaves: same},
	{name: "tcp6: RST without entry behind destination options", v6: true, as: "tcp [fd00:1::10]:4000 > [2001:db8:113::80]:80",
		send: client(seg(rst, 1000, 0)).with(func(p *lab.Packet) { p.Ext = []lab.Ext{{Proto: 60, Data: []byte{1, 4, 0, 0, 0, 0}}} }),
		log:  invalidNew, moves: "invalid=1", state: "invalid", leaves: same},
}
