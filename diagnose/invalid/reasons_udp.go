package invalid

const (
	causeUDPLength = "the length in the header is less than 8, or more than the packet has: a broken tunnel or " +
		"offload, or a device that cut the packet"
)

// udpReasons follow udp_error.
var udpReasons = []Reason{
	{
		Name: "short-packet", Kind: KindInvalid, Proto: protoUDP,
		Forms: []Form{
			older("nf_ct_udp: short packet"),
			newer("nf_ct_proto_17: short packet"),
		},
		Moves: movesHeader, Cause: causeShort, Function: "udp_error",
	},
	{
		Name: "bad-length", Kind: KindInvalid, Proto: protoUDP,
		Forms: []Form{
			older("nf_ct_udp: truncated/malformed packet"),
			newer("nf_ct_proto_17: truncated/malformed packet"),
		},
		Moves: movesHeader, Cause: causeUDPLength,
		Check: "tunnels and UDP offload (ethtool -k: tx-udp-segmentation) at the sender", Function: "udp_error",
	},
	{
		Name: "bad-checksum", Kind: KindInvalid, Proto: protoUDP,
		Forms: []Form{
			older("nf_ct_udp: bad UDP checksum"),
			newer("nf_ct_proto_17: bad checksum"),
		},
		Moves: movesHeader, Cause: causeChecksum, Check: checkChecksum, Fix: fixChecksum, Cost: costChecksum,
		Function: "udp_error",
	},
}

// udpliteReasons follow udplite_error, which takes the sum with UDP's number in
// the pseudo header (nf_checksum_partial with IPPROTO_UDP): of what a device has
// not verified itself, every right checksum is wrong to it.
var udpliteReasons = []Reason{
	{
		Name: "short-packet", Kind: KindInvalid, Proto: protoUDPLite,
		Forms: []Form{
			older("nf_ct_udplite: short packet"),
			between(v4_15, v7_1, "nf_ct_proto_136: short packet"),
		},
		Moves: movesHeader, Cause: causeShort, Function: "udplite_error",
	},
	{
		Name: "bad-coverage", Kind: KindInvalid, Proto: protoUDPLite,
		Forms: []Form{
			older("nf_ct_udplite: invalid checksum coverage"),
			between(v4_15, v7_1, "nf_ct_proto_136: invalid checksum coverage"),
		},
		Moves:    movesHeader,
		Cause:    "the checksum is said to cover less than the header, or more than the packet has: a broken sender",
		Function: "udplite_error",
	},
	{
		Name: "no-checksum", Kind: KindInvalid, Proto: protoUDPLite,
		Forms: []Form{
			older("nf_ct_udplite: checksum missing"),
			between(v4_15, v7_1, "nf_ct_proto_136: checksum missing"),
		},
		Moves:    movesHeader,
		Cause:    "UDP-Lite must have a checksum, this has none: a broken sender",
		Function: "udplite_error",
	},
	{
		Name: "bad-checksum", Kind: KindInvalid, Proto: protoUDPLite,
		Forms: []Form{
			older("nf_ct_udplite: bad UDPLite checksum"),
			between(v4_15, v7_1, "nf_ct_proto_136: bad checksum"),
		},
		Moves: movesHeader,
		Cause: "conntrack sums UDP-Lite as if it were UDP, so that right checksums are wrong to it, on every kernel that " +
			"tracks UDP-Lite; only what a device has verified itself passes",
		Fix: fixChecksum, Cost: costChecksum, Function: "udplite_error",
	},
}
