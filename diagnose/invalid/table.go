package invalid

import (
	"slices"

	"github.com/ntdiag/ntdiag/diagnose/host"
)

// Table is every reason that a kernel since 2.6.20 logs. Within a protocol the
// first form that fits counts: the particular before the general.
var Table = slices.Concat(tcpReasons, udpReasons, udpliteReasons, icmpReasons, icmpv6Reasons,
	sctpReasons, dccpReasons, helperReasons, otherReasons)

const (
	protoICMP    = 1
	protoTCP     = 6
	protoUDP     = 17
	protoDCCP    = 33
	protoGRE     = 47
	protoICMPv6  = 58
	protoSCTP    = 132
	protoUDPLite = 136
)

// Kernels that changed what is logged or counted.
var (
	v3_5  = host.Release{Major: 3, Minor: 5}
	v3_13 = host.Release{Major: 3, Minor: 13}
	v3_19 = host.Release{Major: 3, Minor: 19}
	v4_15 = host.Release{Major: 4, Minor: 15} // nf_ct_proto_<number>
	v4_20 = host.Release{Major: 4, Minor: 20} // header checks no longer move error
	v5_1  = host.Release{Major: 5, Minor: 1}
	v5_2  = host.Release{Major: 5, Minor: 2}
	v5_10 = host.Release{Major: 5, Minor: 10} // one packet, one counter
	v5_12 = host.Release{Major: 5, Minor: 12}
	v5_15 = host.Release{Major: 5, Minor: 15}
	v5_19 = host.Release{Major: 5, Minor: 19}
	v6_1  = host.Release{Major: 6, Minor: 1} // what is below the window is accepted
	v6_3  = host.Release{Major: 6, Minor: 3}
	v6_7  = host.Release{Major: 6, Minor: 7}
	v6_12 = host.Release{Major: 6, Minor: 12}
	v6_17 = host.Release{Major: 6, Minor: 17} // DCCP is no longer tracked
	v7_0  = host.Release{Major: 7}
	v7_1  = host.Release{Major: 7, Minor: 1} // UDP-Lite is no longer tracked
)

// What a packet moves.
var (
	// movesInvalid: the tracker refused it (nf_conntrack_in).
	movesInvalid = []Move{{Counter: "invalid"}}
	// movesHeader: its header is broken. Up to 4.19 that was the error callback,
	// which moved both.
	movesHeader = []Move{{Counter: "invalid"}, {Counter: "error", Before: v4_20}}
	// movesICMP: nf_conntrack_handle_icmp.
	movesICMP = []Move{{Counter: "error"}, {Counter: "invalid", Before: v5_10}}
)

// between is a form that kernels from since on print, until before.
func between(since, before host.Release, text string, args ...Arg) Form {
	return Form{Text: text, Args: args, Since: since, Before: before}
}

// older is a form of kernels that name the protocol: nf_ct_tcp.
func older(text string, args ...Arg) Form { return between(host.Release{}, v4_15, text, args...) }

// newer is a form of kernels that number it: nf_ct_proto_6.
func newer(text string, args ...Arg) Form { return between(v4_15, host.Release{}, text, args...) }

// What many rows share.
const (
	causeShort    = "the packet ends before its header does: cut on the way, badly reassembled, or made by hand"
	causeChecksum = "the checksum is wrong: damaged on the way, or rewritten by a device that did not adjust it, " +
		"or sent by a virtual machine that leaves the checksum to hardware"
	checkChecksum = "ethtool -k of the device it came in by (rx-checksumming), drivers and tunnels before it; " +
		"only what comes in from a device is checked"
	fixChecksum  = "sysctl -w net.netfilter.nf_conntrack_checksum=0"
	costChecksum = "conntrack no longer looks at checksums; the end host still drops what is broken"

	// Rules in a table of their own, so that they can be pasted anywhere and taken
	// back at once; what follows closes the quote.
	notrackIn = "nft 'add table inet untracked; " +
		"add chain inet untracked pre { type filter hook prerouting priority raw; }; add rule inet untracked pre "
	watchForward = "nft 'add table inet watch; " +
		"add chain inet watch passing { type filter hook forward priority filter; }; add rule inet watch passing "
)
