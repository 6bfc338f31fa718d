package report

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/query"
	"github.com/ntdiag/ntdiag/rules"
)

// entryRows is all that an entry can have, in the order in which it is shown;
// a row without text is left out.
var entryRows = []struct {
	name string
	text func(*host.Flow, Style) string
}{
	{"original", func(f *host.Flow, _ Style) string { return directionText(f, f.Original, f.Orig) }},
	{"reply", func(f *host.Flow, _ Style) string { return directionText(f, f.Reply, f.Repl) }},
	{"rewritten", func(f *host.Flow, _ Style) string { return rewritesText(f) }},
	{"state", func(f *host.Flow, _ Style) string { return f.State() }},
	{"status", func(f *host.Flow, _ Style) string { return strings.Join(f.Status.Names(), ", ") }},
	{"timeout", func(f *host.Flow, _ Style) string {
		return when(f, host.HasTimeout, strconv.FormatUint(uint64(f.Timeout), 10)+" s")
	}},
	{"mark", func(f *host.Flow, _ Style) string { return when(f, host.HasMark, markText(f.Mark)) }},
	{"zone", func(f *host.Flow, _ Style) string { return zoneText(f) }},
	{"labels", func(f *host.Flow, _ Style) string { return labelsText(f) }},
	{"helper", func(f *host.Flow, _ Style) string { return safe(f.Helper) }},
	{"expected by", func(f *host.Flow, _ Style) string {
		return when(f, host.HasMaster, FlowName(&host.Flow{Original: f.Master}))
	}},
	{"tcp", func(f *host.Flow, _ Style) string { return tcpText(f) }},
	{"sctp", func(f *host.Flow, _ Style) string {
		return when(f, host.HasVTags, fmt.Sprintf("verification tags 0x%x and 0x%x", f.VTags[0], f.VTags[1]))
	}},
	{"sequence", func(f *host.Flow, _ Style) string { return seqAdjText(f) }},
	{"synproxy", func(f *host.Flow, _ Style) string {
		y := f.Synproxy
		return when(f, host.HasSynproxy, fmt.Sprintf("isn %d, its %d, tsoff %d", y.ISN, y.ITS, y.TSOff))
	}},
	{"security", func(f *host.Flow, _ Style) string { return safe(f.Secctx) }},
	{"began", func(f *host.Flow, s Style) string {
		return when(f, host.HasStart, timeText(f.Start)+agoText(f, s))
	}},
	{"id", func(f *host.Flow, _ Style) string {
		return when(f, host.HasID, strconv.FormatUint(uint64(f.ID), 10))
	}},
	{"use", func(f *host.Flow, _ Style) string {
		return when(f, host.HasUse, strconv.FormatUint(uint64(f.Use), 10))
	}},
}

func when(f *host.Flow, h host.Present, text string) string {
	if f.Has&h == 0 {
		return ""
	}
	return text
}

// FlowName names an entry by its original tuple.
func FlowName(f *host.Flow) string {
	return query.ProtoName(f.Original.Proto) + " " + directionEnds(f.Original)
}

// directionEnds is a tuple as its packets bear it; of ICMP with type, code, id.
func directionEnds(t rules.Tuple) string {
	text := srcText(t) + " > " + dstText(t)
	probe := host.Flow{Original: t}
	if probe.IsICMP() {
		typ, code := host.ICMPTypeCode(t)
		text += fmt.Sprintf(" type %d code %d id %d", typ, code, t.SrcPort)
	}
	return text
}

func directionText(f *host.Flow, t rules.Tuple, c host.Counts) string {
	return directionEnds(t) + when(f, host.HasCounters, fmt.Sprintf(", %s, %s",
		counted(int(c.Packets), "packet", "packets"), counted(int(c.Bytes), "byte", "bytes")))
}

func rewritesText(f *host.Flow) string {
	var out []string
	for _, r := range f.Rewrites() {
		out = append(out, r.Manip.String()+" "+endpointText(f, r.From)+" → "+endpointText(f, r.To))
	}
	return strings.Join(out, ", ")
}

func endpointText(f *host.Flow, e host.Endpoint) string {
	if f.IsICMP() {
		return e.Addr.String() + " id " + itoa(int(e.Port))
	}
	return endText(f.Original, e.Addr, e.Port)
}

func markText(m uint32) string { return "0x" + strconv.FormatUint(uint64(m), 16) }

// zoneText is the zone, with the one direction that has it.
func zoneText(f *host.Flow) string {
	switch text := itoa(int(f.Zone)); {
	case f.Has&host.HasZoneOrig != 0:
		return text + " (original direction)"
	case f.Has&host.HasZoneReply != 0:
		return text + " (reply direction)"
	case f.Zone == 0:
		return ""
	default:
		return text
	}
}

// labelsText are the numbers of the labels that are set.
func labelsText(f *host.Flow) string {
	var out []string
	for i := range 8 * len(f.Labels) {
		if f.HasLabel(i) {
			out = append(out, itoa(i))
		}
	}
	return strings.Join(out, ",")
}

// tcpFlagNames are IP_CT_TCP_FLAG_*, lowest bit first.
var tcpFlagNames = [...]string{
	"window scaling", "sack", "close init", "liberal", "data unacknowledged", "maxack", "challenge ack", "simultaneous open",
}

func tcpText(f *host.Flow) string {
	if f.Has&(host.HasTCPFlags|host.HasTCPScale) == 0 {
		return ""
	}
	var dirs [2]string
	for d := range dirs {
		parts := []string{"scale " + itoa(int(f.TCPScale[d]))}
		for i, name := range tcpFlagNames {
			if f.TCPFlags[d]&(1<<i) != 0 {
				parts = append(parts, name)
			}
		}
		dirs[d] = strings.Join(parts, ", ")
	}
	return "original " + dirs[0] + "; reply " + dirs[1]
}

func seqAdjText(f *host.Flow) string {
	o, r := f.SeqAdj[0], f.SeqAdj[1]
	return when(f, host.HasSeqAdj, fmt.Sprintf("original %+d, %+d from %d on; reply %+d, %+d from %d on",
		o.Before, o.After, o.Pos, r.Before, r.After, r.Pos))
}

// timeText is a time as documents have it, to the second.
func timeText(ns int64) string { return time.Unix(0, ns).UTC().Format(time.RFC3339) }

func agoText(f *host.Flow, s Style) string {
	age, ok := f.Age(s.now())
	if !ok {
		return ""
	}
	return ", " + ageText(age) + " ago"
}
