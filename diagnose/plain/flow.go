package plain

import (
	"strconv"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/flowjson"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

// conntrackProtocols are those that the conntrack tool has a name for.
var conntrackProtocols = [256]string{
	host.ProtoICMP: "icmp", host.ProtoTCP: "tcp", host.ProtoUDP: "udp", host.ProtoDCCP: "dccp", host.ProtoGRE: "gre",
	host.ProtoICMPv6: "icmpv6", host.ProtoSCTP: "sctp", host.ProtoUDPLite: "udplite",
}

// AppendFlow appends the line, and its end, that `conntrack -L -o extended,id`
// prints of an entry; now is what its age is counted to. Nothing is allocated.
//
// Of DCCP no state is printed: the tool puts one of SCTP there.
func AppendFlow(b []byte, f *host.Flow, now time.Time) []byte {
	family := uint8(f.Family)
	b = column(b, flowjson.FamilyWord(f.Family))
	b = number(b, "", uint64(family))
	name := conntrackProtocols[f.Original.Proto]
	if name == "" {
		name = "unknown"
	}
	b = column(b, name)
	b = number(b, "", uint64(f.Original.Proto))
	if f.Has&host.HasTimeout != 0 {
		b = number(b, "", uint64(f.Timeout))
	}
	if f.Has&(host.HasTCPState|host.HasSCTPState) != 0 {
		b = append(b, stateWord(f)...)
		b = append(b, ' ')
	}
	b = appendTuple(b, &f.Original)
	b = zone(b, f, host.HasZoneOrig, "zone-orig=")
	if f.Has&host.HasCounters != 0 {
		b = counts(b, &f.Orig)
	}
	if !f.Status.Has(host.StatusSeenReply) {
		b = append(b, "[UNREPLIED] "...)
	}
	b = appendTuple(b, &f.Reply)
	b = zone(b, f, host.HasZoneReply, "zone-reply=")
	if f.Has&host.HasCounters != 0 {
		b = counts(b, &f.Repl)
	}
	b = append(b, assured(f.Status)...)
	return appendRest(b, f, now)
}

// appendRest is what follows the tuples.
func appendRest(b []byte, f *host.Flow, now time.Time) []byte {
	if f.Has&host.HasMark != 0 {
		b = number(b, "mark=", uint64(f.Mark))
	}
	if f.Has&host.HasSecctx != 0 {
		b = word(b, "secctx=", f.Secctx)
	}
	if f.Has&(host.HasZoneOrig|host.HasZoneReply) == 0 && f.Zone != 0 {
		b = number(b, "zone=", uint64(f.Zone))
	}
	if f.Has&host.HasStart != 0 {
		end := now.Unix()
		if f.Has&host.HasStop != 0 && f.Stop != 0 {
			end = f.Stop / int64(time.Second)
		}
		b = number(b, "delta-time=", uint64(end-f.Start/int64(time.Second)))
	}
	if f.Has&host.HasHelper != 0 {
		b = word(b, "helper=", f.Helper)
	}
	if f.Has&host.HasUse != 0 {
		b = number(b, "use=", uint64(f.Use))
	}
	if f.Has&host.HasID != 0 {
		b = number(b, "id=", uint64(f.ID))
	}
	b[len(b)-1] = '\n' // in place of the last blank
	return b
}

// column is a word in a column of eight.
func column(b []byte, s string) []byte {
	b = append(b, s...)
	for n := len(s); n < 9; n++ {
		b = append(b, ' ')
	}
	return b
}

func number(b []byte, key string, n uint64) []byte {
	b = strconv.AppendUint(append(b, key...), n, 10)
	return append(b, ' ')
}

func word(b []byte, key, value string) []byte {
	return append(append(append(b, key...), value...), ' ')
}

func counts(b []byte, c *host.Counts) []byte {
	return number(number(b, "packets=", c.Packets), "bytes=", c.Bytes)
}

func zone(b []byte, f *host.Flow, has host.Present, key string) []byte {
	if f.Has&has == 0 {
		return b
	}
	return number(b, key, uint64(f.Zone))
}

func stateWord(f *host.Flow) string {
	if s := f.State(); s != "" {
		return s
	}
	return "NONE"
}

func assured(s host.Status) string {
	switch {
	case s.Has(host.StatusHWOffload):
		return "[HW_OFFLOAD] "
	case s.Has(host.StatusOffload):
		return "[OFFLOAD] "
	case s.Has(host.StatusAssured):
		return "[ASSURED] "
	}
	return ""
}

// appendTuple is "src=… dst=… " and what the protocol has.
func appendTuple(b []byte, t *rules.Tuple) []byte { return appendTupleAs(b, t, "src=", "dst=") }

func appendTupleAs(b []byte, t *rules.Tuple, src, dst string) []byte {
	b = append(appendAddr(append(b, src...), t.Src), ' ')
	b = append(appendAddr(append(b, dst...), t.Dst), ' ')
	switch t.Proto {
	case host.ProtoTCP, host.ProtoUDP, host.ProtoUDPLite, host.ProtoSCTP, host.ProtoDCCP:
		b = number(number(b, "sport=", uint64(t.SrcPort)), "dport=", uint64(t.DstPort))
	case host.ProtoGRE:
		b = strconv.AppendUint(append(b, "srckey=0x"...), uint64(t.SrcPort), 16)
		b = strconv.AppendUint(append(b, " dstkey=0x"...), uint64(t.DstPort), 16)
		b = append(b, ' ')
	case host.ProtoICMP, host.ProtoICMPv6:
		typ, code := host.ICMPTypeCode(*t)
		b = number(number(number(b, "type=", uint64(typ)), "code=", uint64(code)), "id=", uint64(t.SrcPort))
	}
	return b
}
