package capture

import (
	"net/netip"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

// Match tells whether a dump with the filter has the entry: what the kernel
// does that knows all of it (ctnetlink_filter_match, 6.8), for tables that no
// kernel filters.
func (f Filter) Match(e *host.Flow) bool {
	family := f.family()
	switch {
	case family != rules.FamilyUnspec && e.Family != family:
		return false
	case f.HasZone && e.Zone != f.Zone: // nf_ct_zone_equal_any: of whatever direction it is
		return false
	case f.HasMark && e.Mark&orAll(f.MarkMask) != f.Mark:
		return false
	case f.HasStatus && uint32(e.Status)&f.statusMask() != f.Status:
		return false
	case family == rules.FamilyUnspec: // the kernel is not asked for tuples then
		return true
	}
	return f.Orig.match(e.Original) && f.Reply.match(e.Reply)
}

// match is ctnetlink_filter_match_tuple.
func (p TuplePart) match(t rules.Tuple) bool {
	same := func(want, have netip.Addr) bool { return !want.IsValid() || want == have }
	if !same(p.Src, t.Src) || !same(p.Dst, t.Dst) || p.Proto != 0 && p.Proto != t.Proto {
		return false
	}
	if !p.comparesPorts() {
		return true
	}
	return (p.SrcPort == 0 || p.SrcPort == t.SrcPort) && (p.DstPort == 0 || p.DstPort == t.DstPort)
}
