package capture

import (
	"net/netip"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

// Message types of ctnetlink: the subsystem, then IPCTNL_MSG_CT_*.
const (
	ctSubsys = 1 << 8
	ctNew    = ctSubsys
	ctGet    = ctSubsys | 1
	ctDelete = ctSubsys | 2
)

// Parts of a tuple that CTA_FILTER can ask for
// (net/netfilter/nf_internals.h, CTA_FILTER_F_*).
const (
	filterSrc     = 1 << 0
	filterDst     = 1 << 1
	filterProto   = 1 << 3
	filterSrcPort = 1 << 4
	filterDstPort = 1 << 5
)

// family is that of the filter or, failing that, of its addresses: the kernel
// takes a tuple filter only with a family.
func (f Filter) family() rules.Family {
	if f.Family != rules.FamilyUnspec {
		return f.Family
	}
	for _, a := range [...]netip.Addr{f.Orig.Src, f.Orig.Dst, f.Reply.Src, f.Reply.Dst} {
		if a.IsValid() {
			return familyOf(a)
		}
	}
	return rules.FamilyUnspec
}

func familyOf(a netip.Addr) rules.Family {
	if a.Is4() {
		return rules.FamilyIPv4
	}
	return rules.FamilyIPv6
}

// attributes are those of the dump request (ctnetlink_alloc_filter).
func (f Filter) attributes() []byte {
	var w builder
	if f.HasMark {
		w.beU32(ctaMark, f.Mark)
		w.beU32(ctaMarkMask, orAll(f.MarkMask))
	}
	if f.HasStatus {
		w.beU32(ctaStatus, f.Status)
		if mask := f.statusMask(); mask != 0 {
			w.beU32(ctaStatusMask, mask)
		}
	}
	if f.HasZone {
		w.beU16(ctaZone, f.Zone)
	}
	// without a family the kernel refuses a tuple filter
	if f.family() == rules.FamilyUnspec {
		return w.b
	}
	orig, reply := f.Orig.flags(), f.Reply.flags()
	if orig != 0 {
		w.nest(ctaTupleOrig, f.Orig.tuple)
	}
	if reply != 0 {
		w.nest(ctaTupleReply, f.Reply.tuple)
	}
	if orig|reply != 0 {
		w.nest(ctaFilter, func(in *builder) {
			in.hostU32(1, orig)
			in.hostU32(2, reply)
		})
	}
	return w.b
}

func (f Filter) statusMask() uint32 {
	if f.StatusMask == 0 {
		return f.Status
	}
	return f.StatusMask
}

func orAll(mask uint32) uint32 {
	if mask == 0 {
		return ^uint32(0)
	}
	return mask
}

func (p TuplePart) comparesPorts() bool {
	return p.Proto == host.ProtoTCP || p.Proto == host.ProtoUDP
}

// comparesAddr: of IPv6 addresses the kernel leaves out the entries that have
// them, and gives the others (ctnetlink_filter_match_tuple takes ipv6_addr_cmp
// for a test that they are equal; 5.8 to 6.18 at least). It is not asked.
func comparesAddr(a netip.Addr) bool { return a.Is4() }

func (p TuplePart) flags() (fl uint32) {
	if comparesAddr(p.Src) {
		fl |= filterSrc
	}
	if comparesAddr(p.Dst) {
		fl |= filterDst
	}
	if p.Proto != 0 {
		fl |= filterProto
	}
	if p.comparesPorts() && p.SrcPort != 0 {
		fl |= filterSrcPort
	}
	if p.comparesPorts() && p.DstPort != 0 {
		fl |= filterDstPort
	}
	return fl
}

func (p TuplePart) tuple(w *builder) {
	w.nest(1, func(in *builder) { putAddrs(in, p.Src, p.Dst) })
	if p.Proto == 0 {
		return
	}
	w.nest(2, func(in *builder) {
		in.u8(1, p.Proto)
		if p.comparesPorts() && p.SrcPort != 0 {
			in.beU16(2, p.SrcPort)
		}
		if p.comparesPorts() && p.DstPort != 0 {
			in.beU16(3, p.DstPort)
		}
	})
}

// putAddrs writes the addresses that are valid (CTA_IP_*).
func putAddrs(w *builder, src, dst netip.Addr) {
	for i, a := range [...]netip.Addr{src, dst} {
		if a.IsValid() {
			typ := uint16(1 + i)
			if a.Is6() {
				typ += 2
			}
			w.attr(typ, a.AsSlice())
		}
	}
}

// putTuple writes a whole tuple (ctnetlink_parse_tuple reads it).
func putTuple(w *builder, t rules.Tuple) {
	w.nest(1, func(in *builder) { putAddrs(in, t.Src, t.Dst) })
	w.nest(2, func(in *builder) {
		in.u8(1, t.Proto)
		f := host.Flow{Original: t}
		switch {
		case f.IsICMP():
			base := uint16(4)
			if t.Proto == host.ProtoICMPv6 {
				base = 7
			}
			typ, code := host.ICMPTypeCode(t)
			in.beU16(base, t.SrcPort)
			in.u8(base+1, typ)
			in.u8(base+2, code)
		case f.HasPorts():
			in.beU16(2, t.SrcPort)
			in.beU16(3, t.DstPort)
		}
	})
}
