package capture

import (
	"net/netip"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

// Attributes of a conntrack message (CTA_*,
// include/uapi/linux/netfilter/nfnetlink_conntrack.h).
const (
	ctaTupleOrig     = 1
	ctaTupleReply    = 2
	ctaStatus        = 3
	ctaProtoinfo     = 4
	ctaHelp          = 5
	ctaNATSrc        = 6
	ctaTimeout       = 7
	ctaMark          = 8
	ctaCountersOrig  = 9
	ctaCountersReply = 10
	ctaUse           = 11
	ctaID            = 12
	ctaNATDst        = 13
	ctaTupleMaster   = 14
	ctaSeqAdjOrig    = 15
	ctaSeqAdjReply   = 16
	ctaZone          = 18
	ctaSecctx        = 19
	ctaTimestamp     = 20
	ctaMarkMask      = 21
	ctaLabels        = 22
	ctaLabelsMask    = 23
	ctaSynproxy      = 24
	ctaFilter        = 25
	ctaStatusMask    = 26
)

// attrRows are readers of an attribute's value each, by its number.
type attrRows [ctaSynproxy + 1]func(f *host.Flow, val []byte) bool

// flowAttrs is one row an attribute, in the order of the enum: an attribute
// without a row is passed over.
var flowAttrs = attrRows{
	ctaTupleOrig:     tupleOrig,
	ctaTupleReply:    tupleReply,
	ctaStatus:        func(f *host.Flow, v []byte) bool { return set32((*uint32)(&f.Status), v) },
	ctaProtoinfo:     protoinfo,
	ctaHelp:          help,
	ctaTimeout:       func(f *host.Flow, v []byte) bool { return has32(f, host.HasTimeout, &f.Timeout, v) },
	ctaMark:          func(f *host.Flow, v []byte) bool { return has32(f, host.HasMark, &f.Mark, v) },
	ctaCountersOrig:  func(f *host.Flow, v []byte) bool { return counts(f, &f.Orig, v) },
	ctaCountersReply: func(f *host.Flow, v []byte) bool { return counts(f, &f.Repl, v) },
	ctaUse:           func(f *host.Flow, v []byte) bool { return has32(f, host.HasUse, &f.Use, v) },
	ctaID:            func(f *host.Flow, v []byte) bool { return has32(f, host.HasID, &f.ID, v) },
	ctaTupleMaster:   tupleMaster,
	ctaSeqAdjOrig:    func(f *host.Flow, v []byte) bool { return seqAdj(f, &f.SeqAdj[Original], v) },
	ctaSeqAdjReply:   func(f *host.Flow, v []byte) bool { return seqAdj(f, &f.SeqAdj[Reply], v) },
	ctaZone:          zone,
	ctaSecctx:        secctx,
	ctaTimestamp:     timestamp,
	ctaLabels:        labels,
	ctaSynproxy:      synproxy,
}

var flowAttrNames = [len(flowAttrs)]string{
	ctaTupleOrig: "original tuple", ctaTupleReply: "reply tuple", ctaStatus: "status",
	ctaProtoinfo: "protocol state", ctaHelp: "helper", ctaTimeout: "timeout", ctaMark: "mark",
	ctaCountersOrig: "original counters", ctaCountersReply: "reply counters", ctaUse: "use",
	ctaID: "id", ctaTupleMaster: "master tuple", ctaZone: "zone", ctaSecctx: "security context",
	ctaTimestamp: "timestamp", ctaLabels: "labels",
	ctaSynproxy: "synproxy", ctaSeqAdjOrig: "original sequence adjustment",
	ctaSeqAdjReply: "reply sequence adjustment",
}

// ParseFlow reads the attributes of one conntrack message, what follows its
// nfgenmsg, into f, which it overwrites. It follows ctnetlink_fill_info. Strings
// are made only when they differ from those that f held.
func ParseFlow(payload []byte, f *host.Flow) error {
	return parseFlow(payload, f, &quickAttrs)
}

// parseFlow tries each attribute by its row of quick before it is read whatever
// its layout.
func parseFlow(payload []byte, f *host.Flow, quick *attrRows) error {
	helper, secctx := f.Helper, f.Secctx
	*f = host.Flow{Helper: helper, Secctx: secctx}
	a := attrs{b: payload}
	for a.next() {
		if int(a.typ) >= len(flowAttrs) || flowAttrs[a.typ] == nil {
			continue
		}
		if q := quick[a.typ]; q != nil && q(f, a.val) {
			continue
		}
		if !flowAttrs[a.typ](f, a.val) {
			return badAttr("conntrack entry: " + flowAttrNames[a.typ])
		}
	}
	if f.Has&host.HasHelper == 0 {
		f.Helper = ""
	}
	if f.Has&host.HasSecctx == 0 {
		f.Secctx = ""
	}
	switch {
	case a.bad:
		return badAttr("conntrack entry")
	case !f.Original.Src.IsValid() || !f.Original.Dst.IsValid():
		return badAttr("conntrack entry: no original tuple")
	case !f.Reply.Src.IsValid() || !f.Reply.Dst.IsValid():
		return badAttr("conntrack entry: no reply tuple")
	}
	if f.Original.Src.Is4() != f.Reply.Src.Is4() {
		return badAttr("conntrack entry: tuples of two families")
	}
	f.Family = rules.FamilyIPv4
	if f.Original.Src.Is6() {
		f.Family = rules.FamilyIPv6
	}
	return nil
}

func set32(p *uint32, v []byte) (ok bool) {
	*p, ok = beU32(v)
	return ok
}

func has32(f *host.Flow, h host.Present, p *uint32, v []byte) bool {
	f.Has |= h
	return set32(p, v)
}

func tupleOrig(f *host.Flow, v []byte) bool {
	z, has, ok := parseTuple(v, &f.Original)
	if has {
		f.Zone = z
		f.Has |= host.HasZoneOrig
	}
	return ok
}

func tupleReply(f *host.Flow, v []byte) bool {
	z, has, ok := parseTuple(v, &f.Reply)
	if has {
		f.Zone = z
		f.Has |= host.HasZoneReply
	}
	return ok
}

func tupleMaster(f *host.Flow, v []byte) bool {
	f.Has |= host.HasMaster
	_, _, ok := parseTuple(v, &f.Master)
	return ok
}

// parseTuple follows ctnetlink_dump_tuples: CTA_TUPLE_IP 1, _PROTO 2, _ZONE 3.
func parseTuple(b []byte, t *rules.Tuple) (z uint16, hasZone, ok bool) {
	a := attrs{b: b}
	for a.next() {
		switch ok = true; a.typ {
		case 1:
			ok = tupleIP(a.val, t)
		case 2:
			ok = tupleProto(a.val, t)
		case 3:
			hasZone = true
			z, ok = beU16(a.val)
		}
		if !ok {
			return 0, false, false
		}
	}
	return z, hasZone, !a.bad
}

// tupleIP reads CTA_IP_V4_SRC 1, V4_DST 2, V6_SRC 3, V6_DST 4.
func tupleIP(b []byte, t *rules.Tuple) bool {
	a := attrs{b: b}
	for a.next() {
		if a.typ < 1 || a.typ > 4 {
			continue
		}
		want := 4
		if a.typ > 2 {
			want = 16
		}
		if len(a.val) != want {
			return false
		}
		// an IPv6 address stays one even when it is IPv4-mapped
		addr, _ := netip.AddrFromSlice(a.val)
		if a.typ%2 == 1 {
			t.Src = addr
		} else {
			t.Dst = addr
		}
	}
	return !a.bad && t.Src.Is4() == t.Dst.Is4()
}

// tupleProto reads CTA_PROTO_*: NUM 1, SRC_PORT 2, DST_PORT 3, ICMP_ID 4,
// _TYPE 5, _CODE 6, ICMPV6_ID 7, _TYPE 8, _CODE 9.
func tupleProto(b []byte, t *rules.Tuple) bool {
	a := attrs{b: b}
	for a.next() {
		var c uint8
		ok := true
		switch a.typ {
		case 1:
			t.Proto, ok = u8(a.val)
		case 2, 4, 7:
			t.SrcPort, ok = beU16(a.val)
		case 3:
			t.DstPort, ok = beU16(a.val)
		case 5, 8:
			c, ok = u8(a.val)
			t.DstPort |= uint16(c) << 8
		case 6, 9:
			c, ok = u8(a.val)
			t.DstPort |= uint16(c)
		}
		if !ok {
			return false
		}
	}
	return !a.bad
}

func help(f *host.Flow, b []byte) bool {
	a := attrs{b: b}
	for a.next() {
		if a.typ == 1 { // CTA_HELP_NAME
			f.Has |= host.HasHelper
			keep(&f.Helper, a.val)
		}
	}
	return !a.bad
}

func secctx(f *host.Flow, b []byte) bool {
	a := attrs{b: b}
	for a.next() {
		if a.typ == 1 { // CTA_SECCTX_NAME
			f.Has |= host.HasSecctx
			keep(&f.Secctx, a.val)
		}
	}
	return !a.bad
}

// keep sets s to the string in v, without a new one when it is the same.
func keep(s *string, v []byte) {
	if c := cstr(v); *s != string(c) {
		*s = string(c)
	}
}

// counts reads CTA_COUNTERS_PACKETS 1 and _BYTES 2.
func counts(f *host.Flow, c *host.Counts, b []byte) (ok bool) {
	f.Has |= host.HasCounters
	a := attrs{b: b}
	for a.next() {
		switch ok = true; a.typ {
		case 1:
			c.Packets, ok = beU64(a.val)
		case 2:
			c.Bytes, ok = beU64(a.val)
		}
		if !ok {
			return false
		}
	}
	return !a.bad
}

// timestamp reads CTA_TIMESTAMP_START 1 and _STOP 2, ns since the epoch.
func timestamp(f *host.Flow, b []byte) bool {
	a := attrs{b: b}
	for a.next() {
		if a.typ != 1 && a.typ != 2 {
			continue
		}
		v, ok := beU64(a.val)
		if !ok {
			return false
		}
		if a.typ == 1 {
			f.Start = int64(v)
			f.Has |= host.HasStart
		} else {
			f.Stop = int64(v)
			f.Has |= host.HasStop
		}
	}
	return !a.bad
}

func zone(f *host.Flow, v []byte) (ok bool) {
	f.Zone, ok = beU16(v)
	return ok
}

func labels(f *host.Flow, v []byte) bool {
	f.Has |= host.HasLabels
	copy(f.Labels[:], v)
	return len(v) <= len(f.Labels)
}
