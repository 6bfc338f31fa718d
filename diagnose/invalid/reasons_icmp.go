package invalid

import "github.com/ntdiag/ntdiag/diagnose/host"

const (
	causeMismatch = "an ICMP error about a flow that is tracked here, addressed to another than its sender: NAT on " +
		"the way rewrote only the inner or only the outer packet, or the error is forged"
	checkMismatch = "NAT on the way of the error, and whether it comes back by the gateway that did the NAT"
)

// icmpReasons follow nf_conntrack_icmpv4_error.
var icmpReasons = []Reason{
	{
		Name: "short-packet", Kind: KindInvalid, Proto: protoICMP,
		Forms: []Form{
			older("nf_ct_icmp: short packet"),
			newer("nf_ct_proto_1: short packet"),
		},
		Moves: movesICMP, Cause: causeShort, Function: "nf_conntrack_icmpv4_error",
	},
	{
		Name: "bad-checksum", Kind: KindInvalid, Proto: protoICMP,
		Forms: []Form{
			older("nf_ct_icmp: bad HW ICMP checksum"),
			newer("nf_ct_proto_1: bad hw icmp checksum"),
		},
		Moves: movesICMP, Cause: causeChecksum, Check: checkChecksum, Fix: fixChecksum, Cost: costChecksum,
		Function: "nf_conntrack_icmpv4_error",
	},
	{
		Name: "bad-type", Kind: KindInvalid, Proto: protoICMP,
		Forms: []Form{
			older("nf_ct_icmp: invalid ICMP type"),
			newer("nf_ct_proto_1: invalid icmp type"),
		},
		Moves: movesICMP, Cause: "a type above 18, which ICMP does not have: a scan, or something experimental",
		Function: "nf_conntrack_icmpv4_error",
	},
	{
		Name: "wrong-addressee", Kind: KindInvalid, Proto: protoICMP,
		Forms: []Form{
			between(v5_1, host.Release{}, "nf_ct_proto_1: outer daddr %pI4 != inner %pI4", ArgAddrs, ArgAddrs),
		},
		Moves: movesICMP, Cause: causeMismatch, Check: checkMismatch, Function: "nf_conntrack_inet_error",
	},
}

// icmpv6Reasons follow nf_conntrack_icmpv6_error.
var icmpv6Reasons = []Reason{
	{
		Name: "short-packet", Kind: KindInvalid, Proto: protoICMPv6,
		Forms: []Form{
			older("nf_ct_icmpv6: short packet"),
			newer("nf_ct_proto_58: short packet"),
		},
		Moves: movesICMP, Cause: causeShort, Function: "nf_conntrack_icmpv6_error",
	},
	{
		Name: "bad-checksum", Kind: KindInvalid, Proto: protoICMPv6,
		Forms: []Form{
			older("nf_ct_icmpv6: ICMPv6 checksum failed"),
			newer("nf_ct_proto_58: ICMPv6 checksum failed"),
		},
		Moves: movesICMP, Cause: causeChecksum, Check: checkChecksum, Fix: fixChecksum, Cost: costChecksum,
		Function: "nf_conntrack_icmpv6_error",
	},
	{
		Name: "invalid-new", Kind: KindInvalid, Proto: protoICMPv6,
		Forms: []Form{older("nf_ct_icmpv6: invalid new with type %d", ArgICMPType)},
		Moves: movesInvalid,
		Cause: "an answer that nothing has asked for, or a type that conntrack does not know",
		Check: "that the question passed this host too", Function: "icmpv6_new",
	},
	{
		Name: "short-redirect", Kind: KindInvalid, Proto: protoICMPv6,
		Forms: []Form{between(v5_10, host.Release{}, "nf_ct_proto_58: short redirect")},
		Moves: movesICMP, Cause: "a redirect that ends before its header does: made by hand, or cut on the way",
		Function: "nf_conntrack_icmpv6_redirect",
	},
	{
		Name: "redirect-sender", Kind: KindInvalid, Proto: protoICMPv6,
		Forms: []Form{between(v5_10, host.Release{}, "nf_ct_proto_58: invalid saddr or hoplimit for redirect")},
		Moves: movesICMP,
		Cause: "a redirect that does not come from a router on the same link: its source is not link-local, or it was " +
			"forwarded; forged",
		Function: "nf_conntrack_icmpv6_redirect",
	},
	{
		Name: "redirect-options", Kind: KindInvalid, Proto: protoICMPv6,
		Forms:    []Form{between(v5_10, host.Release{}, "nf_ct_proto_58: redirect without options")},
		Moves:    movesICMP,
		Cause:    "a redirect that does not quote the packet that it is about: a router that does not, or made by hand",
		Function: "nf_conntrack_icmpv6_redirect",
	},
	{
		Name: "wrong-addressee", Kind: KindInvalid, Proto: protoICMPv6,
		Forms: []Form{
			between(v5_1, host.Release{}, "nf_ct_proto_58: outer daddr %pI6 != inner %pI6", ArgAddrs, ArgAddrs),
		},
		Moves: movesICMP, Cause: causeMismatch, Check: checkMismatch, Function: "nf_conntrack_inet_error",
	},
}
