package nft

import (
	"fmt"

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

// synproxyBody reads NFTA_SYNPROXY_*: mss 1, wscale 2, flags 3 (1 mss, 2
// wscale, 4 sack, 8 timestamp).
func synproxyBody(a *attrs) []string {
	flags := a.opt32(3)
	var out []string
	if flags&1 != 0 {
		out = append(out, fmt.Sprintf("mss %d", a.u16(1)))
	}
	if flags&2 != 0 {
		out = append(out, fmt.Sprintf("wscale %d", a.u8(2)))
	}
	opts := ""
	if flags&8 != 0 {
		opts += "timestamp"
	}
	if flags&4 != 0 {
		if opts != "" {
			opts += " "
		}
		opts += "sack-perm"
	}
	if opts != "" {
		out = append(out, opts)
	}
	return out
}

// timeoutBody reads NFTA_CT_TIMEOUT_*: l3proto 1, l4proto 2. The policy is
// left out: it has no bearing on which rule a packet meets.
func timeoutBody(a *attrs) []string {
	return []string{"protocol " + protocolText(a.u8(2)), "l3proto " + familyText(a.u16(1))}
}

func protocolText(n uint8) string { return typeProtocol.format([]byte{n}) }

func familyText(n uint16) string { return rules.Family(n).String() }
