package walk

import (
	"net/netip"
	"testing"

	"github.com/ntdiag/ntdiag/rules"
)

// TestShiftedPorts follows nf_nat_l4proto_unique_tuple with
// NF_NAT_RANGE_PROTO_OFFSET: the port keeps its distance from the base, and
// goes round at the end of the range.
func TestShiftedPorts(t *testing.T) {
	a := netip.MustParseAddr("10.0.0.5")
	target := Target{AddrMin: a, AddrMax: a, PortMin: 3000, PortMax: 3099, HasPort: true, Offset: true, Base: 2000}
	for _, tt := range []struct {
		m            rules.Manip
		from, to     uint16
		makes, clash bool
	}{
		{rules.ManipDst, 2000, 3000, true, false},
		{rules.ManipDst, 2042, 3042, true, false},
		{rules.ManipDst, 2042, 3043, true, true},
		{rules.ManipDst, 2142, 3042, true, false},
		{rules.ManipDst, 3042, 3042, true, false},
		{rules.ManipDst, 3043, 3043, true, false},
		{rules.ManipDst, 1999, 3000 + 65535%100, true, false},
		{rules.ManipDst, 2042, 3100, false, true},
		{rules.ManipSrc, 3050, 3050, true, false},
	} {
		if got := target.Makes(tt.m, netip.MustParseAddr("10.0.0.1"), a, tt.from, tt.to); got != tt.makes {
			t.Errorf("%s %d > %d: makes %v", tt.m, tt.from, tt.to, got)
		}
		if got := target.ByClash(tt.m, tt.from, tt.to); got != tt.clash {
			t.Errorf("%s %d > %d: by clash %v", tt.m, tt.from, tt.to, got)
		}
	}
}
