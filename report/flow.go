package report

import (
	"net/netip"
	"strconv"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/query"
	"github.com/ntdiag/ntdiag/rules"
)

// Flow is a conntrack entry as documents show it.
type Flow struct{ host.Flow }

// MarshalJSON writes the flow of the contract.
func (f Flow) MarshalJSON() ([]byte, error) { return AppendFlow(nil, &f.Flow), nil }

// AppendFlow appends f as one JSON object. It allocates nothing but what b
// needs to grow, so that long listings stream.
func AppendFlow(b []byte, f *host.Flow) []byte {
	b = append(b, '{')
	if f.Has&host.HasID != 0 {
		b = appendUint(append(b, `"id":`...), uint64(f.ID))
		b = append(b, ',')
	}
	b = append(b, `"family":"`...)
	b = append(b, familyWord(f.Family)...)
	b = append(b, `","proto":"`...)
	b = append(b, query.ProtoName(f.Original.Proto)...)
	b = appendUint(append(b, `","protonum":`...), uint64(f.Original.Proto))
	if s := f.State(); s != "" {
		b = append(append(append(b, `,"state":"`...), s...), '"')
	}
	b = appendUint(append(b, `,"zone":`...), uint64(f.Zone))
	b = appendUint(append(b, `,"mark":`...), uint64(f.Mark))
	b = appendTuple(append(b, `,"original":`...), f.Original)
	b = appendTuple(append(b, `,"reply":`...), f.Reply)
	b = appendStatus(append(b, `,"status":[`...), f.Status)
	if f.Has&host.HasTimeout != 0 {
		b = appendUint(append(b, `,"timeout_s":`...), uint64(f.Timeout))
	}
	b = appendOptional(b, f)
	return append(b, '}')
}

func appendOptional(b []byte, f *host.Flow) []byte {
	if f.Has&host.HasStart != 0 {
		b = append(b, `,"start":"`...)
		b = time.Unix(0, f.Start).UTC().AppendFormat(b, time.RFC3339Nano)
		b = append(b, '"')
	}
	if f.Has&host.HasCounters != 0 {
		b = appendCounts(append(b, `,"counters":{"original":`...), f.Orig)
		b = appendCounts(append(b, `,"reply":`...), f.Repl)
		b = append(b, '}')
	}
	if f.Has&host.HasHelper != 0 && f.Helper != "" {
		b = appendString(append(b, `,"helper":`...), f.Helper)
	}
	if f.Has&host.HasMaster != 0 {
		b = appendTuple(append(b, `,"master":`...), f.Master)
	}
	return b
}

func appendUint(b []byte, n uint64) []byte { return strconv.AppendUint(b, n, 10) }

func appendCounts(b []byte, c host.Counts) []byte {
	b = appendUint(append(b, `{"packets":`...), c.Packets)
	b = appendUint(append(b, `,"bytes":`...), c.Bytes)
	return append(b, '}')
}

func appendAddr(b []byte, a netip.Addr) []byte {
	return append(a.AppendTo(append(b, '"')), '"')
}

func appendTuple(b []byte, t rules.Tuple) []byte {
	b = appendAddr(append(b, `{"src":`...), t.Src)
	b = appendAddr(append(b, `,"dst":`...), t.Dst)
	probe := host.Flow{Original: t}
	switch {
	case probe.IsICMP():
		typ, code := host.ICMPTypeCode(t)
		b = appendUint(append(b, `,"icmp":{"type":`...), uint64(typ))
		b = appendUint(append(b, `,"code":`...), uint64(code))
		b = appendUint(append(b, `,"id":`...), uint64(t.SrcPort))
		b = append(b, '}')
	case probe.HasPorts():
		b = appendUint(append(b, `,"sport":`...), uint64(t.SrcPort))
		b = appendUint(append(b, `,"dport":`...), uint64(t.DstPort))
	}
	return append(b, '}')
}

var statusBits = host.Status(0xffff).Names()

func appendStatus(b []byte, s host.Status) []byte {
	first := true
	for i, n := range statusBits {
		if s&(1<<i) == 0 {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(append(append(b, '"'), n...), '"')
	}
	return append(b, ']')
}

func familyWord(f rules.Family) string {
	if f == rules.FamilyIPv6 {
		return "ipv6"
	}
	return "ipv4"
}

// ends are the two ends of a tuple as text: 10.0.0.1:80, [fd00::1]:80, or the
// address alone for protocols without ports.
func srcText(t rules.Tuple) string { return endText(t, t.Src, t.SrcPort) }
func dstText(t rules.Tuple) string { return endText(t, t.Dst, t.DstPort) }

func endText(t rules.Tuple, a netip.Addr, port uint16) string {
	probe := host.Flow{Original: t}
	if !probe.HasPorts() {
		return a.String()
	}
	return netip.AddrPortFrom(a, port).String()
}

// forward is the packet as it leaves: the reply tuple seen from its far end.
func forward(f *host.Flow) rules.Tuple {
	r := f.Reply
	t := rules.Tuple{Proto: r.Proto, Src: r.Dst, Dst: r.Src, SrcPort: r.DstPort, DstPort: r.SrcPort}
	if f.IsICMP() {
		t.SrcPort, t.DstPort = r.SrcPort, f.Original.DstPort
	}
	return t
}

// traits are state and status in words: ESTABLISHED, assured, 13 s old.
func traits(f *host.Flow, now time.Time) []string {
	var out []string
	if s := f.State(); s != "" {
		out = append(out, s)
	}
	switch {
	case !f.Status.Has(host.StatusSeenReply):
		out = append(out, "unreplied")
	case f.Status.Has(host.StatusAssured):
		out = append(out, "assured")
	default:
		out = append(out, "replied")
	}
	if f.Status&(host.StatusOffload|host.StatusHWOffload) != 0 {
		out = append(out, "offloaded")
	}
	if f.Status.Has(host.StatusExpected) {
		out = append(out, "expected by a helper")
	}
	if age, ok := f.Age(now); ok {
		out = append(out, ageText(age)+" old")
	}
	return out
}

func ageText(d time.Duration) string {
	switch {
	case d < time.Second:
		return "under 1 s"
	case d < 2*time.Minute:
		return strconv.Itoa(int(d/time.Second)) + " s"
	case d < 2*time.Hour:
		return strconv.Itoa(int(d/time.Minute)) + " min"
	case d < 48*time.Hour:
		return strconv.Itoa(int(d/time.Hour)) + " h"
	}
	return strconv.Itoa(int(d/(24*time.Hour))) + " days"
}
