package main

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/ntdiag/ntdiag/diagnose/invalid"
	"github.com/ntdiag/ntdiag/rules"
)

const invalidMessagesText = `
What conntrack logs of packets: what the newest kernel prints (N is a number),
and what becomes of the packet; then the name that it has in ntdiag invalid, and
why it comes about.

  invalid, error  the counter that moves. The packet goes on without an entry,
                  also where its flow has one, so that NAT leaves it alone: its
                  addresses stay as they are, unless a rule drops it ("ct state
                  invalid drop"). Up to 4.19 a broken header moved error too, up
                  to 5.9 a broken ICMP packet invalid too
  accepted        the packet has its entry and its NAT; no counter moves

It is printed when net.netfilter.nf_conntrack_log_invalid is 255, or the number
of the protocol, and a logger is there (nf_log_syslog); in a namespace only when
net.netfilter.nf_log_all_netns is 1. It is not rate-limited. Helpers, a full
table and masquerade print without it. From 4.15 to 5.1 nothing is printed.
ntdiag invalid says what to do about each; --enable switches it on for a while.
`

// Columns of the page: what stands below a message, and behind a counter.
const (
	reasonColumn  = 4
	counterColumn = 13
)

// invalidMessages is the page of the tables in package invalid.
func invalidMessages() string {
	var b strings.Builder
	b.WriteString(invalidMessagesText)
	reasonRows(&b)
	b.WriteString("\nNothing is ever printed of these; the counter that moves, the packet, and why:\n\n")
	silentRows(&b)
	return b.String()
}

// reasonRows writes the reasons that the newest kernels print, by protocol, and
// the names of the others. One that several protocols have stands at the first.
func reasonRows(b *strings.Builder) {
	var gone []string
	group := ""
	for i := range invalid.Table {
		r := &invalid.Table[i]
		g := reasonGroup(r)
		if r.Gone().Known() {
			gone = append(gone, r.Name+" of "+g+" (before "+r.Gone().String()+")")
			continue
		}
		like := sameReasons(r)
		if like[0] != r {
			continue
		}
		if g != group {
			group = g
			b.WriteString("\n" + g + "\n\n")
		}
		reasonRow(b, r.Wording(), outcomes(like), r.Name, r.Cause)
	}
	b.WriteString("\nOlder kernels only\n\n")
	listed(b, 0, "", strings.Join(gone, ", ")+". ntdiag invalid explains them too.")
}

// sameReasons are the reasons of the newest kernels that have name and cause of
// r, r among them.
func sameReasons(r *invalid.Reason) []*invalid.Reason {
	var out []*invalid.Reason
	for i := range invalid.Table {
		o := &invalid.Table[i]
		if o.Name == r.Name && o.Cause == r.Cause && !o.Gone().Known() {
			out = append(out, o)
		}
	}
	return out
}

// outcomes is "invalid" for one, "invalid (UDP, SCTP), error (ICMP)" for several.
func outcomes(like []*invalid.Reason) string {
	if len(like) == 1 {
		return like[0].Outcome()
	}
	var order []string
	of := map[string][]string{}
	for _, r := range like {
		o := r.Outcome()
		if of[o] == nil {
			order = append(order, o)
		}
		of[o] = append(of[o], reasonGroup(r))
	}
	for i, o := range order {
		order[i] = o + " (" + strings.Join(of[o], ", ") + ")"
	}
	return strings.Join(order, ", ")
}

// reasonRow writes a message with what becomes of the packet at the end of its
// line, where there is room, and its name and cause below.
func reasonRow(b *strings.Builder, wording, outcome, name, cause string) {
	const lead = "  "
	room := maxWidth - len(lead) - utf8.RuneCountInString(wording) - utf8.RuneCountInString(outcome)
	if room < 2 {
		b.WriteString(lead + wording + "\n")
		listed(b, reasonColumn, "", outcome+"; "+name+": "+cause)
		return
	}
	b.WriteString(lead + wording + strings.Repeat(" ", room) + outcome + "\n")
	listed(b, reasonColumn, "", name+": "+cause)
}

// silentRows writes what moves a counter of the newest kernels, and then what
// did on older ones. The same of several protocols is one row.
func silentRows(b *strings.Builder) {
	var older []string
	for i := range invalid.Silents {
		s := &invalid.Silents[i]
		if s.Before.Known() {
			still := func(o invalid.Silent) bool { return o.What == s.What && !o.Before.Known() }
			if !slices.ContainsFunc(invalid.Silents, still) {
				since := ""
				if s.Since.Known() {
					since = "from " + s.Since.String() + ", "
				}
				older = append(older, s.What+" ("+since+"before "+s.Before.String()+")")
			}
			continue
		}
		var protos []string
		first := true
		for k := range invalid.Silents {
			o := &invalid.Silents[k]
			if o.What != s.What || o.Before.Known() {
				continue
			}
			first = first && k >= i
			if o.Proto != 0 {
				protos = append(protos, protoTitle(o.Proto))
			}
		}
		if !first {
			continue
		}
		what := s.What
		if len(protos) > 1 || len(protos) == 1 && !strings.Contains(what, protos[0]) {
			what += " (" + strings.Join(protos, ", ") + ")"
		}
		counter := s.Counter
		if s.Also != "" {
			what = "with " + s.Also + ": " + what
		}
		listed(b, counterColumn, counter, what+": "+s.Cause)
	}
	listed(b, counterColumn, "older kernels", strings.Join(older, "; "))
}

// reasonGroup is the heading that r stands under.
func reasonGroup(r *invalid.Reason) string {
	switch {
	case r.Kind == invalid.KindHelper:
		return "Helpers"
	case r.Proto == 0:
		return "The table, and masquerade"
	}
	return protoTitle(r.Proto)
}

func protoTitle(proto uint8) string {
	switch name := rules.ProtocolText(proto); name {
	case "ipv6-icmp":
		return "ICMPv6"
	case "udplite":
		return "UDP-Lite"
	default:
		return strings.ToUpper(name)
	}
}
