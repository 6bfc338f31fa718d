// Package flowjson is a conntrack entry as JSON: what documents show of it, and
// what a journal or a bundle keeps to make it again. Append writes it, Read
// reads it back.
//
// An object holds the fields that documents promise (id, family, proto,
// protonum, state, zone, mark, original, reply, status, timeout_s, start,
// counters, helper, master) and, only where the entry has them:
//
//	status_more the bits of the status that have no name, as a number
//	stop        RFC 3339, when it ended
//	zone_of     "original" or "reply": the one direction that zone is of
//	no_mark     true: the kernel sent no mark
//	state_num   the tracker's state by number, where it has no name
//	labels      its 128 labels, 32 hexadecimal digits as the kernel stores them
//	secctx      its security context
//	use         its reference count
//	tcp_flags, tcp_scale, vtags, seqadj
//	            of TCP and SCTP, the original direction first
//	dccp_role, dccp_seq
//	synproxy    what translates a connection that this host made for a client
//
// In master stands protonum as well: a master may be of another protocol.
package flowjson

import (
	"math/bits"
	"net/netip"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/query"
	"github.com/ntdiag/ntdiag/rules"
)

// Append appends f as one JSON object without line breaks. It allocates
// nothing but what b needs to grow, so that long listings stream.
func Append(b []byte, f *host.Flow) []byte {
	b = append(b, '{')
	if f.Has&host.HasID != 0 {
		b = appendUint(append(b, `"id":`...), uint64(f.ID))
		b = append(b, ',')
	}
	b = append(b, `"family":"`...)
	b = append(b, FamilyWord(f.Family)...)
	b = append(b, `","proto":"`...)
	b = append(b, query.ProtoName(f.Original.Proto)...)
	b = appendUint(append(b, `","protonum":`...), uint64(f.Original.Proto))
	b = appendState(b, f)
	b = appendUint(append(b, `,"zone":`...), uint64(f.Zone))
	b = appendUint(append(b, `,"mark":`...), uint64(f.Mark))
	b = appendTuple(append(b, `,"original":`...), f.Original)
	b = appendTuple(append(b, `,"reply":`...), f.Reply)
	b = appendStatus(append(b, `,"status":[`...), f.Status)
	if f.Has&host.HasTimeout != 0 {
		b = appendUint(append(b, `,"timeout_s":`...), uint64(f.Timeout))
	}
	b = appendOptional(b, f)
	return append(appendRest(b, f), '}')
}

func appendOptional(b []byte, f *host.Flow) []byte {
	if f.Has&host.HasStart != 0 {
		b = appendTime(append(b, `,"start":`...), f.Start)
	}
	if f.Has&host.HasCounters != 0 {
		b = appendCounts(append(b, `,"counters":{"original":`...), f.Orig)
		b = appendCounts(append(b, `,"reply":`...), f.Repl)
		b = append(b, '}')
	}
	if f.Has&host.HasHelper != 0 {
		b = appendString(append(b, `,"helper":`...), f.Helper)
	}
	if f.Has&host.HasMaster != 0 {
		b = appendUint(append(b, `,"master":{"protonum":`...), uint64(f.Master.Proto))
		b = append(appendEnds(append(b, ','), f.Master), '}')
	}
	return b
}

// appendRest is what documents do not promise.
func appendRest(b []byte, f *host.Flow) []byte {
	if more := f.Status >> len(statusBits) << len(statusBits); more != 0 {
		b = appendUint(append(b, `,"status_more":`...), uint64(more))
	}
	if f.Has&host.HasStop != 0 {
		b = appendTime(append(b, `,"stop":`...), f.Stop)
	}
	switch f.Has & (host.HasZoneOrig | host.HasZoneReply) {
	case host.HasZoneOrig:
		b = append(b, `,"zone_of":"original"`...)
	case host.HasZoneReply:
		b = append(b, `,"zone_of":"reply"`...)
	}
	if f.Has&host.HasMark == 0 {
		b = append(b, `,"no_mark":true`...)
	}
	if f.Has&host.HasLabels != 0 {
		b = append(b, `,"labels":"`...)
		for _, c := range f.Labels {
			b = append(b, hexDigits[c>>4], hexDigits[c&15])
		}
		b = append(b, '"')
	}
	if f.Has&host.HasSecctx != 0 {
		b = appendString(append(b, `,"secctx":`...), f.Secctx)
	}
	if f.Has&host.HasUse != 0 {
		b = appendUint(append(b, `,"use":`...), uint64(f.Use))
	}
	return appendTracker(b, f)
}

// appendTracker is what the trackers of the protocols keep beside the state.
func appendTracker(b []byte, f *host.Flow) []byte {
	if f.Has&host.HasTCPFlags != 0 {
		b = appendPair(append(b, `,"tcp_flags":`...), uint64(f.TCPFlags[0]), uint64(f.TCPFlags[1]))
	}
	if f.Has&host.HasTCPScale != 0 {
		b = appendPair(append(b, `,"tcp_scale":`...), uint64(f.TCPScale[0]), uint64(f.TCPScale[1]))
	}
	if f.Has&host.HasVTags != 0 {
		b = appendPair(append(b, `,"vtags":`...), uint64(f.VTags[0]), uint64(f.VTags[1]))
	}
	if f.Has&host.HasDCCPRole != 0 {
		b = appendUint(append(b, `,"dccp_role":`...), uint64(f.DCCPRole))
	}
	if f.Has&host.HasDCCPSeq != 0 {
		b = appendUint(append(b, `,"dccp_seq":`...), f.DCCPSeq)
	}
	if f.Has&host.HasSeqAdj != 0 {
		b = appendSeqAdj(append(b, `,"seqadj":[`...), f.SeqAdj[0])
		b = append(appendSeqAdj(append(b, ','), f.SeqAdj[1]), ']')
	}
	if f.Has&host.HasSynproxy != 0 {
		b = appendUint(append(b, `,"synproxy":{"isn":`...), uint64(f.Synproxy.ISN))
		b = appendUint(append(b, `,"its":`...), uint64(f.Synproxy.ITS))
		b = append(appendUint(append(b, `,"tsoff":`...), uint64(f.Synproxy.TSOff)), '}')
	}
	return b
}

func appendPair(b []byte, original, reply uint64) []byte {
	b = appendUint(append(b, '['), original)
	return append(appendUint(append(b, ','), reply), ']')
}

func appendSeqAdj(b []byte, s host.SeqAdj) []byte {
	b = appendUint(append(b, `{"pos":`...), uint64(s.Pos))
	b = strconv.AppendInt(append(b, `,"before":`...), int64(s.Before), 10)
	return append(strconv.AppendInt(append(b, `,"after":`...), int64(s.After), 10), '}')
}

// appendState writes the state by name; by number where it has none.
func appendState(b []byte, f *host.Flow) []byte {
	if s := f.State(); s != "" {
		return append(append(append(b, `,"state":"`...), s...), '"')
	}
	switch {
	case f.Has&host.HasTCPState != 0:
		return appendUint(append(b, `,"state_num":`...), uint64(f.TCPState))
	case f.Has&(host.HasSCTPState|host.HasDCCPState) != 0:
		return appendUint(append(b, `,"state_num":`...), uint64(f.L4State))
	}
	return b
}

// appendUint is strconv.AppendUint; the short numbers, which most are, are not
// made elsewhere and moved.
func appendUint(b []byte, n uint64) []byte {
	digit := func(n uint64) byte { return '0' + byte(n%10) }
	switch {
	case n < 10:
		return append(b, digit(n))
	case n < 100:
		return append(b, digit(n/10), digit(n))
	case n < 1000:
		return append(b, digit(n/100), digit(n/10), digit(n))
	case n < 10_000:
		return append(b, digit(n/1000), digit(n/100), digit(n/10), digit(n))
	case n < 100_000:
		return append(b, digit(n/10_000), digit(n/1000), digit(n/100), digit(n/10), digit(n))
	}
	return strconv.AppendUint(b, n, 10)
}

func appendTime(b []byte, ns int64) []byte {
	return append(time.Unix(0, ns).UTC().AppendFormat(append(b, '"'), time.RFC3339Nano), '"')
}

func appendCounts(b []byte, c host.Counts) []byte {
	b = appendUint(append(b, `{"packets":`...), c.Packets)
	b = appendUint(append(b, `,"bytes":`...), c.Bytes)
	return append(b, '}')
}

func appendAddr(b []byte, a netip.Addr) []byte {
	return append(a.AppendTo(append(b, '"')), '"')
}

// AppendTuple appends t as it stands in the object of an entry.
func AppendTuple(b []byte, t rules.Tuple) []byte { return appendTuple(b, t) }

func appendTuple(b []byte, t rules.Tuple) []byte {
	return append(appendEnds(append(b, '{'), t), '}')
}

func appendEnds(b []byte, t rules.Tuple) []byte {
	b = appendAddr(append(b, `"src":`...), t.Src)
	b = appendAddr(append(b, `,"dst":`...), t.Dst)
	switch {
	case host.ICMPProto(t.Proto):
		typ, code := host.ICMPTypeCode(t)
		b = appendUint(append(b, `,"icmp":{"type":`...), uint64(typ))
		b = appendUint(append(b, `,"code":`...), uint64(code))
		b = appendUint(append(b, `,"id":`...), uint64(t.SrcPort))
		b = append(b, '}')
	case host.PortsProto(t.Proto):
		b = appendUint(append(b, `,"sport":`...), uint64(t.SrcPort))
		b = appendUint(append(b, `,"dport":`...), uint64(t.DstPort))
	}
	return b
}

var statusBits = host.Status(0xffff).Names()

// statusWords are the names as they stand in a list, with the comma behind.
var statusWords = func() (out [16]string) {
	for i, n := range statusBits {
		out[i] = `"` + n + `",`
	}
	return out
}()

func appendStatus(b []byte, s host.Status) []byte {
	named := uint16(s)
	if named == 0 {
		return append(b, ']')
	}
	for ; named != 0; named &= named - 1 {
		b = append(b, statusWords[bits.TrailingZeros16(named)]...)
	}
	b[len(b)-1] = ']'
	return b
}

// FamilyWord is a family as documents name it.
func FamilyWord(f rules.Family) string {
	if f == rules.FamilyIPv6 {
		return "ipv6"
	}
	return "ipv4"
}

const hexDigits = "0123456789abcdef"

// appendString appends s as a JSON string; bytes that are no UTF-8 become
// U+FFFD, as encoding/json has them.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r < 0x20 || r == 0x7f:
			b = append(b, `\u00`...)
			b = append(b, hexDigits[r>>4], hexDigits[r&15])
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return append(b, '"')
}
