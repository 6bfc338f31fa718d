package capture

import (
	"net/netip"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

// quickAttrs are the nests that almost every entry has, in the one layout that
// kernels write them in. A row takes the value whole or leaves it alone: what is
// laid out otherwise is read by flowAttrs, to the same end.
var quickAttrs = attrRows{
	ctaTupleOrig:     func(f *host.Flow, v []byte) bool { return quickTuple(v, &f.Original) },
	ctaTupleReply:    func(f *host.Flow, v []byte) bool { return quickTuple(v, &f.Reply) },
	ctaProtoinfo:     quickTCP,
	ctaCountersOrig:  func(f *host.Flow, v []byte) bool { return quickCounts(f, v, &f.Orig) },
	ctaCountersReply: func(f *host.Flow, v []byte) bool { return quickCounts(f, v, &f.Repl) },
	ctaTimestamp:     quickTimestamp,
}

// header is the header of an attribute of n bytes, with it.
func header(n, typ uint16) uint32 {
	return ne.Uint32(ne.AppendUint16(ne.AppendUint16(nil, n), typ))
}

var (
	headIP4   = header(20, 1|attrNested) // CTA_TUPLE_IP
	headIP6   = header(44, 1|attrNested)
	headSrc4  = header(8, 1) // CTA_IP_V4_SRC
	headDst4  = header(8, 2)
	headSrc6  = header(20, 3) // CTA_IP_V6_SRC
	headDst6  = header(20, 4)
	headPorts = header(28, 2|attrNested) // CTA_TUPLE_PROTO
	headNum   = header(5, 1)             // CTA_PROTO_NUM
	headSport = header(6, 2)             // CTA_PROTO_SRC_PORT
	headDport = header(6, 3)
	headTCP   = header(44, 1|attrNested) // CTA_PROTOINFO_TCP
	headState = header(5, 1)             // CTA_PROTOINFO_TCP_STATE
	headScale = [2]uint32{header(5, 2), header(5, 3)}
	headFlags = [2]uint32{header(6, 4), header(6, 5)}
	headPkts  = header(12, 1) // CTA_COUNTERS_PACKETS, CTA_TIMESTAMP_START
	headBytes = header(12, 2)
)

// quickTuple reads a tuple of addresses and two ports.
func quickTuple(b []byte, t *rules.Tuple) bool {
	switch len(b) {
	case 48:
		p := (*[28]byte)(b[20:])
		if ne.Uint32(b) != headIP4 || ne.Uint32(b[4:]) != headSrc4 || ne.Uint32(b[12:]) != headDst4 || !quickPorts(p, t) {
			return false
		}
		t.Src, t.Dst = netip.AddrFrom4([4]byte(b[8:])), netip.AddrFrom4([4]byte(b[16:]))
	case 72:
		p := (*[28]byte)(b[44:])
		if ne.Uint32(b) != headIP6 || ne.Uint32(b[4:]) != headSrc6 || ne.Uint32(b[24:]) != headDst6 || !quickPorts(p, t) {
			return false
		}
		t.Src, t.Dst = netip.AddrFrom16([16]byte(b[8:])), netip.AddrFrom16([16]byte(b[28:]))
	default:
		return false
	}
	return true
}

func quickPorts(b *[28]byte, t *rules.Tuple) bool {
	if ne.Uint32(b[:]) != headPorts || ne.Uint32(b[4:]) != headNum || ne.Uint32(b[12:]) != headSport || ne.Uint32(b[20:]) != headDport {
		return false
	}
	t.Proto, t.SrcPort, t.DstPort = b[8], be.Uint16(b[16:]), be.Uint16(b[24:])
	return true
}

// quickTCP reads the state of a TCP entry.
func quickTCP(f *host.Flow, b []byte) bool {
	if len(b) != 44 || ne.Uint32(b) != headTCP || ne.Uint32(b[4:]) != headState ||
		ne.Uint32(b[12:]) != headScale[0] || ne.Uint32(b[20:]) != headScale[1] ||
		ne.Uint32(b[28:]) != headFlags[0] || ne.Uint32(b[36:]) != headFlags[1] {
		return false
	}
	f.Has |= host.HasTCPState | host.HasTCPScale | host.HasTCPFlags
	f.TCPState = b[8]
	f.TCPScale = [2]uint8{b[16], b[24]}
	f.TCPFlags = [2]uint8{b[32], b[40]}
	return true
}

// quickCounts reads packets and bytes.
func quickCounts(f *host.Flow, b []byte, c *host.Counts) bool {
	if len(b) != 24 || ne.Uint32(b) != headPkts || ne.Uint32(b[12:]) != headBytes {
		return false
	}
	f.Has |= host.HasCounters
	c.Packets, c.Bytes = be.Uint64(b[4:]), be.Uint64(b[16:])
	return true
}

// quickTimestamp reads the start alone.
func quickTimestamp(f *host.Flow, b []byte) bool {
	if len(b) != 12 || ne.Uint32(b) != headPkts {
		return false
	}
	f.Start = int64(be.Uint64(b[4:]))
	f.Has |= host.HasStart
	return true
}
