package report

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/stale"
	"github.com/ntdiag/ntdiag/rules"
)

// endOf is an end of a flow of the group.
func endOf(g *StaleGroup, e host.Endpoint) string {
	f := &g.group.Examples[0].Flow
	if !f.HasPorts() || e.Port == 0 {
		return e.Addr.String()
	}
	return netip.AddrPortFrom(e.Addr, e.Port).String()
}

func toText(g *StaleGroup) string { return endOf(g, g.group.To) }

// nowText is what new packets get: "10.244.1.8:53 or 10.244.1.9:53"; "" for
// nothing. kept: some get nothing.
func nowText(x *section) (text string, kept bool) {
	g := x.groups[0]
	icmp := g.Protonum == host.ProtoICMP || g.Protonum == host.ProtoICMPv6
	var out []string
	more := false
	for _, g := range x.groups {
		more, kept = more || g.NowMore, kept || g.Kept
		for _, n := range g.group.Now {
			if text := targetText(n, icmp); !slices.Contains(out, text) {
				out = append(out, text)
			}
		}
	}
	const most = 4
	if len(out) > most || more {
		out = append(out[:min(len(out), most-1)], "others")
	}
	return strings.Join(out, " or "), kept
}

// headline is what is said of a section first, and what is then still to be
// said of new packets.
type headline struct{ text, now string }

func newHeadline(x *section) headline {
	g := x.groups[0]
	n := x.flows
	flows := counted(n, g.Proto+" flow", g.Proto+" flows")
	now, kept := nowText(x)
	if g.group.Manip == rules.ManipDst {
		return destinationHeadline(x, flows, now, kept)
	}
	leave := verb(n, "leaves", "leave")
	from := toText(g)
	if len(x.groups) > 1 {
		from = counted(len(x.groups), "address", "addresses")
	}
	news := "new ones leave with their own source"
	if now != "" {
		news = "new ones leave from " + now
		if kept {
			news += ", or with their own source"
		}
	}
	switch g.Class {
	case stale.RuleAdded:
		return headline{text: flows + " " + leave + " with " + verb(n, "its", "their") + " own source; " + news}
	case stale.NotYetNAT:
		return headline{text: flows + " began before NAT was set up, and " + leave + " with " + verb(n, "its", "their") + " own source; " + news}
	case stale.RuleGone:
		return headline{flows + " still " + leave + " from " + from + ", and no present rule gives " + verb(n, "it", "them") + " that source", news}
	case stale.SNATAddressGone:
		text := flows + " still " + leave + " from " + from + ", which neither this host nor a rule has any more"
		if now == "" && len(g.Outs) == 0 {
			news = ""
		}
		return headline{text, news}
	case stale.RouteChanged:
		if len(g.Outs) > 0 {
			news = strings.Replace(news, "new ones leave", "new ones leave by "+safe(strings.Join(g.Outs, " or ")), 1)
		}
	}
	return headline{text: flows + " still " + leave + " from " + from + "; " + news}
}

func destinationHeadline(x *section, flows, now string, kept bool) headline {
	g := x.groups[0]
	n := x.flows
	goes := verb(n, "goes", "go")
	to := toText(g)
	if len(x.groups) > 1 {
		to = counted(len(x.groups), "target", "targets")
	}
	news := "new ones go to where they are sent"
	if from := g.group.From; len(x.groups) == 1 && len(from) == 1 {
		news = "new ones go to " + endOf(g, from[0]) + " as sent"
	}
	if now != "" {
		news = "new ones go to " + now
		if kept {
			news += ", or to where they are sent"
		}
	}
	switch g.Class {
	case stale.RuleAdded:
		return headline{text: flows + " " + goes + " to " + to + " as sent; " + news}
	case stale.NotYetNAT:
		return headline{text: flows + " began before NAT was set up, and " + goes + " to " + to + " as sent; " + news}
	case stale.RuleGone:
		return headline{flows + " still " + goes + " to " + to + ", and no present rule sends " + verb(n, "it", "them") + " there", news}
	}
	if m := g.Map; m != nil && !strings.HasPrefix(m.Name, "__") && lacks(x) {
		return headline{flows + " still " + goes + " to " + to + ", which map @" + safe(m.Name) + " of " + safe(m.Family+" "+m.Table) + " does not have", news}
	}
	return headline{text: flows + " still " + goes + " to " + to + "; " + news}
}

func lacks(x *section) bool {
	for _, g := range x.groups {
		if g.Map == nil || !g.Map.Lacks {
			return false
		}
	}
	return true
}

func verb(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

func was(n int) string {
	if n == 1 {
		return "was"
	}
	return "were"
}
