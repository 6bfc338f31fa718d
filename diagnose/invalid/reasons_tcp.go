package invalid

import "github.com/ntdiag/ntdiag/diagnose/host"

const (
	causeWindow = "conntrack has not seen all of the connection: the other direction takes another way, " +
		"packets pass it by (offload, failover), or something rewrites sequence numbers"
	checkWindow = "that both directions pass this host: ip route get for each end, ECMP, a second gateway, " +
		"flowtable and hardware offload, a SYN proxy"
	fixWindow  = "sysctl -w net.netfilter.nf_conntrack_tcp_be_liberal=1"
	costWindow = "packets out of the window are accepted on every connection, forged ones too; RSTs are still checked"

	fixLoose  = "sysctl -w net.netfilter.nf_conntrack_tcp_loose=1"
	costLoose = "an ACK begins an entry in the middle of a connection, and NAT goes by that packet: with another source port " +
		"the connection ends, and from the far side it is not translated"

	causeOutOfStep = "the entry and the ends disagree on where the connection stands: half of it went another way, " +
		"the entry was flushed or timed out, or the peer begins anew"
)

// tcpReasons follow nf_conntrack_proto_tcp.c.
var tcpReasons = []Reason{
	{
		Name: "short-packet", Kind: KindInvalid, Proto: protoTCP,
		Forms: []Form{
			older("nf_ct_tcp: short packet"),
			between(v4_15, v4_20, "nf_ct_proto_6: short packet"),
		},
		Moves: movesHeader, Cause: causeShort, Function: "tcp_error",
	},
	{
		Name: "truncated", Kind: KindInvalid, Proto: protoTCP,
		Forms: []Form{
			older("nf_ct_tcp: truncated/malformed packet"),
			newer("nf_ct_proto_6: truncated packet"),
		},
		Moves:    movesHeader,
		Cause:    "the header's length is less than 20 bytes, or more than the packet has: a scan, or a broken sender",
		Function: "tcp_error",
	},
	{
		Name: "bad-checksum", Kind: KindInvalid, Proto: protoTCP,
		Forms: []Form{
			older("nf_ct_tcp: bad TCP checksum"),
			newer("nf_ct_proto_6: bad checksum"),
		},
		Moves: movesHeader, Cause: causeChecksum, Check: checkChecksum, Fix: fixChecksum, Cost: costChecksum,
		Function: "tcp_error",
	},
	{
		Name: "bad-flags", Kind: KindInvalid, Proto: protoTCP,
		Forms: []Form{
			older("nf_ct_tcp: invalid TCP flag combination"),
			newer("nf_ct_proto_6: invalid tcp flag combination"),
		},
		Moves: movesHeader,
		Cause: "no TCP sends these flags (none, SYN with FIN or RST, FIN without ACK): nearly always a port scan",
		Check: "that the source is one that you know; what only scans needs no fix", Function: "tcp_error",
	},
	{
		Name: "invalid-new", Kind: KindInvalid, Proto: protoTCP,
		Forms: []Form{between(v6_7, host.Release{}, "nf_ct_proto_6: invalid new")},
		Moves: movesInvalid,
		Cause: "a RST, FIN or SYN+ACK of a connection that has no entry: its start went another way, or the entry was " +
			"flushed or timed out, or it is the late end of one that is gone",
		Check: "that the way back passes this host too; that keepalives of the application come more often than " +
			"net.netfilter.nf_conntrack_tcp_timeout_established",
		Function: "tcp_new",
	},
	{
		Name: "seq-over", Kind: KindInvalid, Proto: protoTCP,
		Forms: []Form{
			older("nf_ct_tcp: SEQ is over the upper bound (over the window of the receiver)"),
			between(v4_15, v6_1, "nf_ct_proto_6: SEQ is over the upper bound (over the window of the receiver)"),
			between(v6_1, host.Release{}, "nf_ct_proto_6: SEQ is over upper bound %u (over the window of the receiver)", ArgBound),
		},
		Moves: movesInvalid,
		Cause: "data beyond what the receiver has allowed, as far as conntrack knows: " + causeWindow,
		Check: checkWindow, Fix: fixWindow, Cost: costWindow, Function: "tcp_in_window",
	},
	{
		Name: "ack-over", Kind: KindInvalid, Proto: protoTCP,
		Forms: []Form{
			older("nf_ct_tcp: ACK is over the upper bound (ACKed data not seen yet)"),
			between(v4_15, v6_1, "nf_ct_proto_6: ACK is over the upper bound (ACKed data not seen yet)"),
			between(v6_1, host.Release{}, "nf_ct_proto_6: ACK is over upper bound %u (ACKed data not seen yet)", ArgBound),
		},
		Moves: movesInvalid,
		Cause: "it acknowledges data that never passed here: " + causeWindow,
		Check: checkWindow, Fix: fixWindow, Cost: costWindow, Function: "tcp_in_window",
	},
	{
		Name: "seq-under", Kind: KindInvalid, Proto: protoTCP,
		Forms: []Form{
			older("nf_ct_tcp: SEQ is under the lower bound (already ACKed data retransmitted)"),
			between(v4_15, v6_1, "nf_ct_proto_6: SEQ is under the lower bound (already ACKed data retransmitted)"),
			between(v6_1, host.Release{}, "nf_ct_proto_6: SEQ is under lower bound %u (already ACKed data retransmitted)", ArgBound),
		},
		Moves: []Move{{Counter: "invalid", Before: v6_1}}, Accepted: true, AcceptedSince: v6_1,
		Cause: "old data sent once more, that its receiver has acknowledged: the acknowledgement was lost or late",
		Check: "loss and delay on the way back", Function: "tcp_in_window",
	},
	{
		Name: "ack-under", Kind: KindInvalid, Proto: protoTCP,
		Forms: []Form{
			older("nf_ct_tcp: ACK is under the lower bound (possible overly delayed ACK)"),
			between(v4_15, v6_1, "nf_ct_proto_6: ACK is under the lower bound (possible overly delayed ACK)"),
			between(v6_1, host.Release{}, "nf_ct_proto_6: ignored ACK under lower bound %u (possible overly delayed)", ArgBound),
		},
		Moves: []Move{{Counter: "invalid", Before: v6_1}}, Accepted: true, AcceptedSince: v6_1,
		Cause: "a very old acknowledgement: delayed, or sent twice",
		Check: "delay and reordering on the way", Function: "tcp_in_window",
	},
	{
		Name: "over-window", Kind: KindInvalid, Proto: protoTCP,
		Forms: []Form{
			between(v6_1, host.Release{}, "nf_ct_proto_6: %u bytes more than expected", ArgBytes),
		},
		Accepted: true,
		Cause:    "the sender sends somewhat more than the receiver has allowed: its window handling, or that of a device on the way, is wrong",
		Function: "tcp_in_window",
	},
	{
		Name: "window-bug", Kind: KindInvalid, Proto: protoTCP,
		Forms: []Form{
			older("nf_ct_tcp: BUG"),
			between(v4_15, v6_1, "nf_ct_proto_6: BUG"),
		},
		Moves:    movesInvalid,
		Cause:    "the kernel's window check came to an end that it should not come to",
		Function: "tcp_in_window",
	},
	{
		Name: "timeout-lowered", Kind: KindInvalid, Proto: protoTCP,
		Forms: []Form{
			between(v6_1, v7_0, "nf_ct_proto_6: packet (index %d, dir %d) response for index %d lower timeout to %u",
				ArgIndex, ArgDir, 0, ArgTimeout),
			// 7.0, and stable trees from 6.12 on; 6.18.44 does not
			between(v6_12, host.Release{}, "nf_ct_proto_6: lowered timeout to UNACK"),
		},
		Again: true,
		Cause: "both ends have now sent a FIN or RST that is out of the window: the entry is kept a few minutes only; " +
			"the line before is about the same packet",
		Check: checkWindow, Fix: fixWindow, Cost: costWindow, Function: "nf_tcp_handle_invalid",
	},
	{
		Name: "ignored", Kind: KindInvalid, Proto: protoTCP,
		Forms: []Form{
			between(host.Release{}, v3_13, "nf_ct_tcp: invalid packet ignored"),
			between(v3_13, v4_15, "nf_ct_tcp: invalid packet ignored in state %s", ArgState),
			between(v4_15, v5_12, "nf_ct_proto_6: invalid packet ignored in state %s", ArgState),
			between(v5_12, host.Release{}, "nf_ct_proto_6: packet (index %d) in dir %d ignored, state %s", ArgIndex, ArgDir, ArgState),
		},
		Accepted: true,
		Cause: "it does not fit the state of the entry, and may be right all the same: a SYN on ports that are still in " +
			"use here, or the answer to one. It is let through, and the answer decides",
		Check: "clients that take the same source port again too early, many of them behind one address",
		Fix:   "sysctl -w net.netfilter.nf_conntrack_tcp_timeout_time_wait=30",
		Cost:  "late packets of a closed connection find no entry, and count as invalid", Function: "nf_conntrack_tcp_packet",
	},
	{
		Name: "invalid-state", Kind: KindInvalid, Proto: protoTCP,
		Forms: []Form{
			older("nf_ct_tcp: invalid state"),
			between(v4_15, v5_19, "nf_ct_proto_6: invalid state"),
			between(v5_19, host.Release{}, "nf_ct_proto_6: packet (index %d) in dir %d invalid, state %s", ArgIndex, ArgDir, ArgState),
		},
		Moves:    movesInvalid,
		Cause:    "the flags cannot come now: " + causeOutOfStep,
		Check:    "that both directions pass this host; an ACK or FIN in SYN_SENT means that the SYN+ACK did not",
		Function: "nf_conntrack_tcp_packet",
	},
	{
		Name: "challenge-ack", Kind: KindInvalid, Proto: protoTCP,
		Forms: []Form{
			between(v3_19, v4_15, "nf_ct_tcp: challenge-ACK ignored"),
			newer("nf_ct_proto_6: challenge-ack ignored"),
		},
		Accepted: true,
		Cause:    "the answer to a SYN on a connection that is just closing (RFC 5961); it is let through",
		Function: "nf_conntrack_tcp_packet",
	},
	{
		Name: "invalid-rst", Kind: KindInvalid, Proto: protoTCP,
		Forms: []Form{
			older("nf_ct_tcp: invalid RST"),
			newer("nf_ct_proto_6: invalid rst"),
		},
		Moves: movesInvalid,
		Cause: "a RST with a sequence number from before what has been acknowledged: late, forged, or made by a load " +
			"balancer or an offload that does not know the number; the other end does not learn that the connection is over",
		Check:    "who sends it: a load balancer, a firewall, a host after a restart",
		Fix:      "sysctl -w net.netfilter.nf_conntrack_tcp_ignore_invalid_rst=1",
		Cost:     "a forged RST closes the entry (the ends still check it); there since 5.14, and tcp_be_liberal does not do it",
		Function: "nf_conntrack_tcp_packet",
	},
}
