package invalid

import "github.com/ntdiag/ntdiag/diagnose/host"

const (
	causeSCTPPath = "the association began elsewhere (a second path, another gateway), or a peer began it anew"
	fixSCTP       = notrackIn + "meta l4proto sctp notrack'"
	costSCTP      = "SCTP that comes in is then neither tracked nor translated; nft delete table inet untracked takes it back"
)

// sctpReasons follow nf_conntrack_proto_sctp.c.
var sctpReasons = []Reason{
	{
		Name: "short-packet", Kind: KindInvalid, Proto: protoSCTP,
		Forms: []Form{
			older("nf_ct_sctp: short packet"),
			newer("nf_ct_proto_132: nf_ct_sctp: short packet"),
		},
		Moves: movesHeader, Cause: causeShort, Function: "sctp_error",
	},
	{
		Name: "unreadable", Kind: KindInvalid, Proto: protoSCTP,
		Forms: []Form{newer("nf_ct_proto_132: nf_ct_sctp: failed to read header")},
		Moves: movesHeader, Cause: "the kernel had no memory to look at the packet", Check: "free memory",
		Function: "sctp_error",
	},
	{
		Name: "bad-checksum", Kind: KindInvalid, Proto: protoSCTP,
		Forms: []Form{
			older("nf_ct_sctp: bad CRC"),
			newer("nf_ct_proto_132: nf_ct_sctp: bad CRC"),
		},
		Moves: movesHeader, Cause: causeChecksum, Check: checkChecksum, Fix: fixChecksum, Cost: costChecksum,
		Function: "sctp_error",
	},
	{
		Name: "bad-chunks", Kind: KindInvalid, Proto: protoSCTP,
		Forms: []Form{
			between(v6_3, host.Release{}, "nf_ct_proto_132: do_basic_checks failed. chunk num %d, type %d, len %d flag %d",
				0, ArgChunk, 0, 0),
		},
		Moves: movesInvalid,
		Cause: "a chunk without length, or one that must be alone or first (INIT, COOKIE-ECHO) and is not: a broken " +
			"peer, or made by hand",
		Function: "do_basic_checks",
	},
	{
		Name: "bad-vtag", Kind: KindInvalid, Proto: protoSCTP,
		Forms: []Form{
			between(v6_3, host.Release{}, "nf_ct_proto_132: verification tag check failed %x vs %x for dir %d",
				ArgVTag, ArgVTag, ArgDir),
		},
		Moves: movesInvalid,
		Cause: "the verification tag is not that of the association that is tracked: " + causeSCTPPath,
		Check: "that all paths of the association pass this host", Fix: fixSCTP, Cost: costSCTP,
		Function: "nf_conntrack_sctp_packet",
	},
	{
		Name: "invalid-state", Kind: KindInvalid, Proto: protoSCTP,
		Forms: []Form{
			between(v6_3, host.Release{}, "nf_ct_proto_132: Invalid, old_state %d, dir %d, type %d",
				ArgOldState, ArgDir, ArgChunk),
		},
		Moves: movesInvalid,
		Cause: "this chunk cannot come now: " + causeSCTPPath,
		Check: "that all paths of the association pass this host", Fix: fixSCTP, Cost: costSCTP,
		Function: "nf_conntrack_sctp_packet",
	},
}
