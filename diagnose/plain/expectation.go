package plain

import (
	"net/netip"
	"strings"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/rules"
)

// AppendExpectation appends the line, and its end, that `conntrack -L expect`
// prints of an expected connection.
func AppendExpectation(b []byte, x *capture.Expectation) []byte {
	b = number(b, "", uint64(x.Timeout))
	b = number(b, "proto=", uint64(x.Tuple.Proto))
	b = appendTuple(b, &x.Tuple)
	mask := x.Mask
	mask.Proto = x.Tuple.Proto
	if !mask.Src.IsValid() {
		mask.Src = anyOf(x.Family)
	}
	if !mask.Dst.IsValid() {
		mask.Dst = anyOf(x.Family)
	}
	b = appendTupleAs(b, &mask, "mask-src=", "mask-dst=")
	b = appendTupleAs(b, &x.Master, "master-src=", "master-dst=")
	if x.Zone != 0 {
		b = number(b, "zone=", uint64(x.Zone))
	}
	b = append(b, strings.Join(x.FlagNames(), ",")...)
	if x.Flags != 0 {
		b = append(b, ' ')
	}
	b = number(b, "class=", uint64(x.Class))
	b = word(b, "helper=", x.Helper)
	b[len(b)-1] = '\n'
	return b
}

func anyOf(f rules.Family) netip.Addr {
	if f == rules.FamilyIPv6 {
		return netip.IPv6Unspecified()
	}
	return netip.IPv4Unspecified()
}
