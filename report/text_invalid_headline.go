package report

import (
	"strings"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/invalid"
)

// maxHeadlineFates is how many ends of packets the first line names, the worst
// first.
const maxHeadlineFates = 3

// invalidHeadline is the answer.
func invalidHeadline(d *Invalid) string {
	v := &d.Verdict
	unknown := ""
	if v.Unknown > 0 {
		unknown = packets(v.Unknown) + " logged with words that are not known"
	}
	switch {
	case v.Unlogged != nil && v.Invalid == 0:
		text := unloggedAlone(v.Unlogged)
		if v.Accepted > 0 {
			text += "; " + packets(v.Accepted) + " logged and accepted all the same"
		}
		if unknown != "" {
			text += "; " + unknown
		}
		return text
	case d.Ours == 0 && d.Logging != nil && d.Logging.Silent != "":
		return "No answer: packets can be invalid here without a line in the log"
	case d.Lines == 0 && len(d.Files) > 0 && len(d.Missing) > 0:
		return "No answer: nothing of the log could be read"
	case d.Ours == 0 && d.Absent != nil:
		return "No packet of this host's devices was logged as invalid" + over(d)
	case d.Ours == 0:
		return "No packet was logged as invalid" + over(d)
	case v.Invalid > 0:
		text := invalidEnds(v)
		if v.Unlogged != nil {
			text += "; " + unloggedToo(v.Unlogged)
		}
		if unknown != "" {
			text += "; " + unknown
		}
		return text
	case v.Accepted > 0 && unknown != "":
		return packets(v.Accepted) + " logged and accepted all the same; " + unknown
	case v.Accepted > 0:
		return packets(v.Accepted) + " logged, and accepted all the same: no NAT was missed"
	case unknown != "":
		return unknown + ": whether invalid cannot be told"
	}
	return "No invalid packet; " + otherMessages(d)
}

// invalidEnds says how many packets are invalid, and how they end.
func invalidEnds(v *InvalidVerdict) string {
	text := packets(v.Invalid)
	text = strings.Replace(text, "packet", "invalid packet", 1) + ": "
	sums := map[string]uint64{}
	var seen uint64
	for i := range v.Fates {
		sums[v.Fates[i].Fate] += v.Fates[i].Packets
		seen += v.Fates[i].Packets
	}
	if seen == 0 {
		if v.Invalid == 1 {
			return text + "NAT leaves it alone, and it goes on as it is unless a rule drops it"
		}
		return text + "NAT leaves them alone, and they go on as they are unless a rule drops them"
	}
	var parts []string
	rest := seen
	for _, f := range fateWords {
		n := sums[string(f.fate)]
		if n == 0 || len(parts) == maxHeadlineFates {
			continue
		}
		rest -= min(rest, n)
		switch {
		case n == v.Invalid && n == 1:
			parts = append(parts, "it "+f.one)
		case n == v.Invalid:
			parts = append(parts, "all "+f.many)
		case n == 1:
			parts = append(parts, "1 "+f.one)
		default:
			parts = append(parts, thousands(int(n))+" "+f.many)
		}
	}
	if rest > 0 {
		parts = append(parts, thousands(int(rest))+" otherwise")
	}
	if v.Invalid > seen {
		parts = append(parts, thousands(int(v.Invalid-seen))+" not followed")
	}
	return text + strings.Join(parts, ", ")
}

// fateWords are the fates in words, the worst first.
var fateWords = []struct {
	fate      invalid.Fate
	many, one string // after "all" or "112", after "it" or "1"
	color     string
}{
	{invalid.FateLeaks, "leave with an address that NAT should have replaced", "leaves with an address that NAT should have replaced", red},
	{invalid.FateAnswered, "end on this host, not where DNAT sends them", "ends on this host, not where DNAT sends it", red},
	{invalid.FateUnknown, "end in a way that cannot be told", "ends in a way that cannot be told", yellow},
	{invalid.FateForwarded, "are forwarded, and miss no NAT that is known", "is forwarded, and misses no NAT that is known", yellow},
	{invalid.FateDelivered, "are for this host itself", "is for this host itself", ""},
	{invalid.FateDropped, "are dropped here", "is dropped here", green},
}

// otherMessages counts what is not about invalid packets, by what it says.
func otherMessages(d *Invalid) string {
	var parts []string
	for _, k := range otherKinds {
		n := uint64(0)
		for i := range d.Messages {
			if g := d.Messages[i].group; g != nil && g.Kind == k.kind {
				n += g.Count
			}
		}
		if n > 0 {
			parts = append(parts, counted(int(n), "message", "messages")+" "+k.words)
		}
	}
	if len(parts) == 0 { // the second lines of some
		return counted(int(d.Ours), "message", "messages") + " of conntrack"
	}
	return strings.Join(parts, ", ")
}

var otherKinds = []struct {
	kind  invalid.Kind
	words string // after "2 messages"
}{
	{invalid.KindTableFull, "of a full conntrack table"},
	{invalid.KindHelper, "of a helper that drops packets"},
	{invalid.KindExpectFull, "of a full table of expectations"},
	{invalid.KindNoAddress, "of masquerade without an address"},
}

func over(d *Invalid) string {
	if d.Seconds > 0 {
		long := time.Duration(d.Seconds*1000) * time.Millisecond
		if long >= time.Second {
			long = long.Round(time.Second)
		}
		return " in " + long.String()
	}
	return " in " + counted(int(d.Lines), "line", "lines")
}

// maxAbsentDevices is how many devices that are not here are named.
const maxAbsentDevices = 4

// absentText says what of the log is nobody's here, and where to look.
func absentText(a *InvalidAbsent, listed bool) string {
	var names []string
	for _, s := range a.Devices[:min(len(a.Devices), maxAbsentDevices)] {
		names = append(names, safe(s.Name))
	}
	if n := len(a.Devices) - len(names); n > 0 {
		names = append(names, itoa(n)+" more")
	}
	many := map[bool]string{true: "is", false: "are"}[a.Count == 1]
	return counted(int(a.Count), "message", "messages") + " " + many + " of devices that this host does not have (" + strings.Join(names, ", ") +
		"): of another namespace (look there with --netns), or gone since. " +
		map[bool]string{true: "They are listed below, and count for nothing else", false: "They count for nothing here; -o wide lists them"}[listed]
}
