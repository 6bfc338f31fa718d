package invalid

// dccpForms are the two wordings of a row of dccp_error.
func dccpForms(text string) []Form {
	return []Form{
		older("nf_ct_dccp: " + text),
		between(v4_15, v6_17, "nf_ct_proto_33: nf_ct_dccp: "+text),
	}
}

// dccpReasons follow nf_conntrack_proto_dccp.c, which went with 6.17: since
// then DCCP is tracked by its addresses alone, and nothing is logged.
var dccpReasons = []Reason{
	{
		Name: "short-packet", Kind: KindInvalid, Proto: protoDCCP,
		Forms: dccpForms("short packet"), // until 4.19; silent since
		Moves: movesHeader, Cause: causeShort, Function: "dccp_error",
	},
	{
		Name: "truncated", Kind: KindInvalid, Proto: protoDCCP,
		Forms: dccpForms("truncated/malformed packet"),
		Moves: movesHeader, Cause: "the header's length is too small, or more than the packet has: a broken sender",
		Function: "dccp_error",
	},
	{
		Name: "bad-coverage", Kind: KindInvalid, Proto: protoDCCP,
		Forms: dccpForms("bad checksum coverage"),
		Moves: movesHeader, Cause: "the checksum is said to cover more than the packet has: a broken sender",
		Function: "dccp_error",
	},
	{
		Name: "bad-checksum", Kind: KindInvalid, Proto: protoDCCP,
		Forms: dccpForms("bad checksum"),
		Moves: movesHeader, Cause: causeChecksum, Check: checkChecksum, Fix: fixChecksum, Cost: costChecksum,
		Function: "dccp_error",
	},
	{
		Name: "bad-type", Kind: KindInvalid, Proto: protoDCCP,
		Forms: dccpForms("reserved packet type"),
		Moves: movesHeader, Cause: "a packet type that DCCP does not have: a scan, or a broken sender",
		Function: "dccp_error",
	},
	{
		Name: "short-seq", Kind: KindInvalid, Proto: protoDCCP,
		Forms: []Form{between(v4_20, v6_17, "nf_ct_proto_33: nf_ct_dccp: type lacks 48bit sequence numbers")},
		Moves: movesInvalid, Cause: "a packet type that needs long sequence numbers, with short ones: a broken sender",
		Function: "dccp_error",
	},
	{
		Name: "not-picked-up", Kind: KindInvalid, Proto: protoDCCP,
		Forms: []Form{
			older("nf_ct_dccp: not picking up existing connection"),
			between(v4_15, v6_17, "nf_ct_proto_33: not picking up existing connection"),
		},
		Moves: movesInvalid, Cause: "a connection that is under way and has no entry, while dccp_loose is off",
		Fix:  "sysctl -w net.netfilter.nf_conntrack_dccp_loose=1",
		Cost: "any DCCP packet may begin an entry", Function: "dccp_new",
	},
	{
		Name: "invalid-state", Kind: KindInvalid, Proto: protoDCCP,
		Forms: []Form{
			older("nf_ct_dccp: invalid state transition"),
			between(v4_15, v6_17, "nf_ct_proto_33: invalid state transition"),
		},
		Moves: movesInvalid, Cause: "this packet type cannot come now: half of the connection went another way",
		Check: "that both directions pass this host", Function: "nf_conntrack_dccp_packet",
	},
	{
		Name: "ignored", Kind: KindInvalid, Proto: protoDCCP,
		Forms: []Form{
			older("nf_ct_dccp: invalid packet ignored"),
			between(v4_15, v6_17, "nf_ct_proto_33: invalid packet"),
		},
		Accepted: true,
		Cause:    "it does not fit the state of the entry, and may be right all the same; it is let through",
		Function: "nf_conntrack_dccp_packet",
	},
}
