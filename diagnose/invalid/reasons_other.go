package invalid

import "github.com/ntdiag/ntdiag/diagnose/host"

// helperForms are the wordings of nf_ct_helper_log. It is not asked whether
// invalid packets are logged, and names no device.
func helperForms(texts ...string) []Form {
	var out []Form
	for _, text := range texts {
		out = append(out,
			between(host.Release{}, v7_1, "nf_ct_%s: dropping packet: "+text, ArgHelper),
			between(v7_1, host.Release{}, "helper %s dropping packet: "+text, ArgHelper))
	}
	return out
}

const (
	doubleTable        = "sysctl -w net.netfilter.nf_conntrack_max=$(($(sysctl -n net.netfilter.nf_conntrack_max) * 2))"
	doubleExpectations = "sysctl -w net.netfilter.nf_conntrack_expect_max=$(($(sysctl -n net.netfilter.nf_conntrack_expect_max) * 2))"

	fixHelper  = "remove the rule that assigns the helper (ct helper set, -j CT --helper)"
	costHelper = "what the helper opened (data connections of FTP, media of SIP) must then be allowed otherwise"
)

// helperReasons are what a connection tracking helper drops a packet for. The
// last takes whatever the others do not.
var helperReasons = []Reason{
	{
		Name: "helper-expectation", Kind: KindHelper,
		Forms: helperForms("cannot add expectation", "cannot add expectation for voice", "cannot alloc expectation"),
		Cause: "the helper could not note the connection that it expects: as many are expected already as may be, " +
			"or two expect the same",
		Check: "conntrack -L expect; the limit of the helper itself cannot be set",
		Fix:   doubleExpectations,
		Cost:  "memory for each expectation; more unanswered ones may be open at once", Function: "nf_ct_helper_log",
	},
	{
		Name: "helper-ports", Kind: KindHelper,
		Forms: helperForms("all ports in use"),
		Cause: "NAT found no free port for the connection that the helper expects",
		Check: "conntrack -L expect, and how many flows leave by the same address", Function: "nf_ct_helper_log",
	},
	{
		Name: "helper-mangle", Kind: KindHelper,
		Forms: helperForms("cannot mangle packet", "cannot mangle SIP message", "cannot mangle Via header",
			"cannot mangle maddr", "cannot mangle SDP", "cannot NAT SIP message"),
		Cause: "the helper could not write the address after NAT into the packet: no memory, or it grew too long",
		Fix:   fixHelper, Cost: costHelper, Function: "nf_ct_helper_log",
	},
	{
		Name: "helper-parse", Kind: KindHelper,
		Forms: helperForms("partial matching of `%s'", "cannot parse SDP message", "cannot parse contact",
			"cannot parse expires", "cannot parse cseq", "cannot get cseq", "cannot get code", "wrong port %u",
			"cannot process H.245 message", "cannot process Q.931 message", "cannot process RAS message"),
		Cause: "the helper does not understand what it reads: a command cut in two by segments, a dialect, or another " +
			"protocol on this port",
		Check: "that the port carries the helper's protocol", Fix: fixHelper, Cost: costHelper,
		Function: "nf_ct_helper_log",
	},
	{
		Name: "helper-drop", Kind: KindHelper,
		Forms: helperForms("%s"),
		Cause: "the helper dropped the packet; its own words say why",
		Fix:   fixHelper, Cost: costHelper, Function: "nf_ct_helper_log",
	},
}

// otherReasons are of no protocol.
var otherReasons = []Reason{
	{
		Name: "table-full", Kind: KindTableFull,
		Forms: []Form{
			between(host.Release{}, v3_5, "nf_conntrack: table full, dropping packet."),
			// since 6.17 in the first namespace only
			between(v3_5, host.Release{}, "nf_conntrack: table full, dropping packet"),
			between(v6_17, host.Release{}, "nf_conntrack: nf_conntrack: table full in netns %u, dropping packet", ArgNetns),
		},
		Moves: []Move{{Counter: "drop"}},
		Cause: "as many entries as may be, and none of them could be thrown out; the line is rate-limited, so many more " +
			"packets were dropped than it is printed for",
		Check: "who fills the table, and in which state: a flood, or timeouts that are too long",
		Fix:   doubleTable,
		Cost: "about 350 bytes of memory for each entry; it holds for all namespaces together with " +
			"net.netfilter.nf_conntrack_buckets, which should grow with it",
		Function: "__nf_conntrack_alloc",
	},
	{
		Name: "expectations-full", Kind: KindExpectFull,
		Forms: []Form{{Text: "nf_conntrack: expectation table full"}},
		Cause: "as many connections are expected as may be: helpers drop packets that would expect one more",
		Check: "conntrack -L expect",
		Fix:   doubleExpectations,
		Cost:  "memory for each expectation", Function: "__nf_ct_expect_check",
	},
	{
		Name: "no-address", Kind: KindNoAddress,
		Forms: []Form{{Text: "%s ate my IP address"}},
		Cause: "masquerade found no IPv4 address on the device that the packet leaves by, and dropped it: the address " +
			"is gone, or not there yet",
		Check: "ip address show on the device; a rule with snat to a fixed address does not need one", Function: "nf_nat_masquerade_ipv4",
	},
}
