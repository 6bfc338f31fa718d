package report

import (
	"net/netip"
	"strconv"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/flowjson"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

// Flow is a conntrack entry as documents show it.
type Flow struct{ host.Flow }

// MarshalJSON writes the flow of the contract.
func (f Flow) MarshalJSON() ([]byte, error) { return flowjson.Append(nil, &f.Flow), nil }

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
