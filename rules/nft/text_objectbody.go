package nft

import (
	"fmt"
	"strings"

	"github.com/ntdiag/ntdiag/rules"
)

// objectBodies is what stands inside an object's braces, by its type, from
// its NFTA_OBJ_DATA.
var objectBodies = map[rules.ObjectType]func(a *attrs) []string{
	rules.ObjectCounter:   func(*attrs) []string { return nil },
	rules.ObjectQuota:     quotaBody,
	rules.ObjectLimit:     limitBody,
	rules.ObjectCtHelper:  helperBody,
	rules.ObjectCtExpect:  expectBody,
	rules.ObjectSynproxy:  synproxyBody,
	rules.ObjectCtTimeout: timeoutBody,
	rules.ObjectSecmark:   secmarkBody,
	rules.ObjectTunnel:    tunnelBody,
}

func quotaBody(a *attrs) []string {
	return []string{over(a.opt32(attrQuotaFlags)&quotaInv != 0) + bytesText(a.opt64(attrQuotaBytes))}
}

func limitBody(a *attrs) []string {
	l := &rules.Limit{
		Rate: a.opt64(attrLimitRate), Unit: a.opt64(attrLimitUnit), Burst: a.opt32(attrLimitBurst),
		Bytes: a.opt32(attrLimitType) == limitBytes, Over: a.opt32(attrLimitFlags)&limitInv != 0,
	}
	return []string{limitText(l)[len("limit "):]}
}

// helperBody reads NFTA_CT_HELPER_*: name 1, l3proto 2, l4proto 3.
func helperBody(a *attrs) []string {
	return []string{
		fmt.Sprintf("type %s protocol %s", quote(a.str(1)), protocolText(a.u8(3))),
		"l3proto " + familyText(a.u16(2)),
	}
}

// expectBody reads NFTA_CT_EXPECT_*: l3proto 1, l4proto 2, dport 3 (network
// order), timeout 4 in milliseconds of the host's order, size 5.
func expectBody(a *attrs) []string {
	out := []string{"protocol " + protocolText(a.u8(2)), fmt.Sprintf("dport %d", number(a.val[3]))}
	if b := a.val[4]; len(b) == 4 {
		out = append(out, "timeout "+timeText(uint64(a.order.Uint32(b))))
	}
	return append(out, fmt.Sprintf("size %d", a.u8(5)), "l3proto "+familyText(a.u16(1)))
}

// synproxyBody reads NFTA_SYNPROXY_*.
func synproxyBody(a *attrs) []string {
	x := synproxyOf(a)
	var out []string
	if x.Flags&rules.SynproxyMSS != 0 {
		out = append(out, fmt.Sprintf("mss %d", x.MSS))
	}
	if x.Flags&rules.SynproxyWscale != 0 {
		out = append(out, fmt.Sprintf("wscale %d", x.Wscale))
	}
	// nft puts a space between the two options, whichever there are
	opts := [2]string{}
	if x.Flags&rules.SynproxyTimestamp != 0 {
		opts[0] = "timestamp"
	}
	if x.Flags&rules.SynproxySackPerm != 0 {
		opts[1] = "sack-perm"
	}
	if opts != [2]string{} {
		out = append(out, opts[0]+" "+opts[1])
	}
	return out
}

// timeoutNames are the states that a timeout policy names, by protocol: the
// number in NFTA_CT_TIMEOUT_DATA and what nft takes for granted, in seconds.
var timeoutNames = map[uint8][]struct {
	name  string
	attr  int
	usual uint32
}{
	6: {
		{"syn_sent", 1, 120}, {"syn_recv", 2, 60}, {"established", 3, 432000}, {"fin_wait", 4, 120},
		{"close_wait", 5, 60}, {"last_ack", 6, 30}, {"time_wait", 7, 120}, {"close", 8, 10},
		{"retrans", 10, 300}, {"unack", 11, 300},
	},
	17: {{"unreplied", 1, 30}, {"replied", 2, 180}},
}

// timeoutBody reads NFTA_CT_TIMEOUT_*: l3proto 1, l4proto 2, data 3.
func timeoutBody(a *attrs) []string {
	proto := a.u8(2)
	out := []string{"protocol " + protocolText(proto), "l3proto " + familyText(a.u16(1))}
	data := a.nest(3)
	var policy []string
	for _, row := range timeoutNames[proto] {
		if v := data.opt32(row.attr); data.has(row.attr) && v != row.usual {
			policy = append(policy, fmt.Sprintf("%s : %d", row.name, v))
		}
	}
	if len(policy) > 0 {
		out = append(out, "policy = { "+strings.Join(policy, ", ")+" }")
	}
	return out
}

func protocolText(n uint8) string { return typeProtocol.format([]byte{n}) }

func familyText(n uint16) string { return rules.Family(n).String() }

// secmarkBody reads NFTA_SECMARK_CTX.
func secmarkBody(a *attrs) []string { return []string{quote(a.str(1))} }
