package report

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/invalid"
)

// How much of each is shown where -o wide does not ask for all.
const (
	maxInvalidFlows  = 3
	maxInvalidFates  = 5
	maxInvalidCauses = 6
	maxInvalidRows   = 12
)

// invalidText is the verdict, what becomes of the packets, why they are
// invalid, the messages, the counters.
func invalidText(w io.Writer, d *Invalid, s Style) error {
	var b strings.Builder
	s.host = d.Host.Netns
	wrap(&b, s.width(), "", "  ", s.paintWords(bold, invalidHeadline(d)))
	if d.Logging != nil && d.Logging.Silent != "" {
		wrap(&b, s.width(), "  "+s.paint(yellow, "note:")+" ", "        ", safe(d.Logging.Silent))
		doText(&b, s, "  ", d.Logging.Do, "")
	}
	if d.NotJoined != "" && len(d.Messages) > 0 {
		wrap(&b, s.width(), "  "+s.paint(yellow, "note:")+" ", "        ", "not looked up in this host's table and rules: "+safe(d.NotJoined))
	}
	listed := s.Wide || d.Logging == nil // a file that was joined
	if d.Absent != nil {
		wrap(&b, s.width(), "  "+s.paint(yellow, "note:")+" ", "        ", absentText(d.Absent, listed))
	}
	invalidFates(&b, d, s)
	invalidCauses(&b, d, s)
	invalidUnlogged(&b, d, s)
	invalidMessages(&b, "Messages:", d.Messages, s)
	if d.Absent != nil && listed {
		invalidMessages(&b, "Messages of devices that are not here:", d.Absent.Messages, s)
	}
	invalidCounters(&b, d, s)
	invalidRead(&b, d, s)
	rest := d.Header
	if d.Logging != nil { // its silence is said on top
		rest.Missing = slices.DeleteFunc(slices.Clone(rest.Missing), func(m host.Missing) bool { return m.Why == d.Logging.Silent })
	}
	missingText(&b, rest, s)
	_, err := io.WriteString(w, b.String())
	return err
}

// doText is what to do: a command as one that can be copied, anything else as a
// sentence.
func doText(b *strings.Builder, s Style, indent, do, cost string) {
	switch text, command := doWords(do, s.host); {
	case do == "":
		return
	case command:
		commandText(b, s, indent+"do: ", indent+"    ", safe(text))
	default:
		wrap(b, s.width(), indent+"do: ", indent+"    ", safe(text))
	}
	if cost != "" {
		wrap(b, s.width(), indent+"    it takes: ", indent+"      ", safe(cost))
	}
}

// doWords is what to do in the namespace netns, and whether it is a command.
func doWords(do, netns string) (text string, command bool) {
	word, rest, _ := strings.Cut(do, " ")
	switch {
	case word == "ntdiag" && !strings.Contains(rest, "--netns"):
		return strings.TrimSpace(word + Style{host: netns}.netns() + " " + rest), true
	case word == "ntdiag":
		return do, true
	case !slices.Contains(ownCommands, word):
		return do, false
	case netns != "":
		return enter(netns) + do, true
	}
	return do, true
}

// ownCommands are what has to be run inside the namespace.
var ownCommands = []string{"sysctl", "nft", "iptables", "iptables-legacy", "ip6tables", "ip6tables-legacy", "ethtool", "ip", "conntrack", "tcpdump"}

// enter is what runs a command inside a namespace.
func enter(netns string) string {
	if strings.Contains(netns, "/") {
		return "nsenter --net=" + ShellWord(netns) + " "
	}
	if strings.Trim(netns, "0123456789") == "" {
		return "nsenter --net --target " + netns + " "
	}
	return "ip netns exec " + ShellWord(netns) + " "
}

func packets(n uint64) string {
	if n == 1 {
		return "1 packet"
	}
	return thousands(int(n)) + " packets"
}

func fateColor(fate string) string {
	for _, f := range fateWords {
		if string(f.fate) == fate {
			return f.color
		}
	}
	return ""
}

func heading(b *strings.Builder, s Style, text string) {
	b.WriteString("\n" + s.paint(bold, text) + "\n")
}

// invalidFates says for each way that packets end how, by what, and what they
// missed.
func invalidFates(b *strings.Builder, d *Invalid, s Style) {
	v := &d.Verdict
	if len(v.Fates) == 0 {
		return
	}
	heading(b, s, "What becomes of them (NAT leaves an invalid packet alone):")
	n := len(v.Fates)
	if !s.Wide {
		n = min(n, maxInvalidFates)
	}
	for i := range v.Fates[:n] {
		f := &v.Fates[i]
		sure := ""
		if !f.Certain && invalid.Fate(f.Fate) != invalid.FateUnknown {
			sure = "likely"
		}
		right(b, s.width(), "  "+s.paint(fateColor(f.Fate), f.Fate)+"  "+packets(f.Packets)+" of "+counted(f.Flows, "flow", "flows"), sure)
		wrap(b, s.width(), "      ", "      ", safe(fateText(f)))
		if f.By != nil {
			ruleText(b, f.By, s)
		}
		for _, m := range f.Missed {
			wrap(b, s.width(), "      ", "        ", "missed: "+m.text(f.Example.ICMP != nil))
		}
		if f.MissedRule != nil {
			ruleText(b, f.MissedRule, s)
		}
		wrap(b, s.width(), "      like: ", "            ", safe(f.Example.text))
	}
	if rest := len(v.Fates) - n; rest > 0 {
		wrap(b, s.width(), "  ", "  ", counted(rest, "more way", "more ways")+" to end: -o wide lists them")
	}
	if v.Drop != nil {
		doText(b, s, "  ", v.Drop.Do, v.Drop.Cost)
	}
}

func (m *InvalidMissed) text(icmp bool) string {
	text := map[string]string{"dnat": "dst ", "snat": "src "}[m.Kind] + m.From.text(icmp) + " → "
	if m.To.Addr == "" {
		return text + "another address"
	}
	return text + m.To.text(icmp)
}

// fateText is what becomes of packets, in a sentence.
func fateText(f *InvalidFate) string {
	why := ""
	if f.Why != "" {
		why = ": " + f.Why
	}
	switch invalid.Fate(f.Fate) {
	case invalid.FateLeaks:
		return "no rule drops them; they leave by " + orDevice(f.Out) + " from " + f.Source + ", without the NAT of their flow"
	case invalid.FateAnswered:
		if t := f.Example.TCPFlags; t == nil || *t&tcpRST != 0 {
			return "no rule drops them; they are delivered to this host, and go no further"
		}
		return "no rule drops them; they are delivered to this host, whose TCP answers with a RST: the connection breaks"
	case invalid.FateForwarded:
		return "no rule drops them; they leave by " + orDevice(f.Out) + " as they came" + why
	case invalid.FateDelivered:
		return "they are for this host itself, which decides what to do with them" + why
	case invalid.FateDropped:
		switch {
		case f.By != nil:
			return "a rule drops them"
		case f.Policy != "":
			return "by the policy of " + f.Policy
		}
		return "not by a rule" + why
	}
	text := f.Why
	if text == "" {
		text = "not known"
	}
	if len(f.May) > 0 {
		text += " (possible: " + strings.Join(f.May, ", ") + ")"
	}
	return text
}

// tcpRST: nobody answers a RST.
const tcpRST = 4

func orDevice(dev string) string {
	if dev == "" {
		return "a device that is not known"
	}
	return dev
}

func invalidCauses(b *strings.Builder, d *Invalid, s Style) {
	v := &d.Verdict
	if len(v.Causes) == 0 && v.Unclear == 0 {
		return
	}
	heading(b, s, "Why:")
	n := len(v.Causes)
	if !s.Wide {
		n = min(n, maxInvalidCauses)
	}
	for i := range v.Causes[:n] {
		c := &v.Causes[i]
		sure := packets(c.Packets)
		if c.Likely {
			sure += ", likely"
		}
		wrap(b, s.width(), "  ", "    ", s.paintWords(bold, safe(c.Text))+" ("+sure+")")
		for _, e := range c.Evidence {
			wrap(b, s.width(), "      ", "        ", safe(e))
		}
		for _, f := range c.Fixes {
			doText(b, s, "      ", f.Do, f.Cost)
		}
	}
	if rest := len(v.Causes) - n; rest > 0 {
		wrap(b, s.width(), "  ", "    ", counted(rest, "more cause", "more causes")+": -o wide lists them")
	}
	if v.Unclear > 0 {
		wrap(b, s.width(), "  ", "    ", s.paintWords(bold, "cannot be told by these messages")+" ("+packets(v.Unclear)+")")
		wrap(b, s.width(), "      would tell: ", "        ", wouldTell(d))
	}
}

// wouldTell is what to look at where no cause was found.
func wouldTell(d *Invalid) string {
	if !d.Joined {
		return "the entries and routes of the host while it happens: there, ntdiag invalid --enable --for 60s"
	}
	return "when the entries end (ntdiag flows watch --events destroy), and whether both directions come by here (tcpdump -ni any host ADDRESS)"
}

// invalidMessages is a row for each wording, with the flows that have most of
// its packets.
func invalidMessages(b *strings.Builder, title string, all []InvalidMessage, s Style) {
	if len(all) == 0 {
		return
	}
	heading(b, s, title)
	n := len(all)
	if !s.Wide {
		n = min(n, maxInvalidRows)
	}
	for i := range all[:n] {
		m := &all[i]
		name := strings.TrimSpace(safe(m.Proto) + " " + m.Reason)
		right(b, s.width(), fmt.Sprintf("  %7s  %s", thousands(int(m.Count)), s.paint(bold, name)), movedText(m))
		wrap(b, s.width(), "           ", "             ", safe(m.Text))
		most := len(m.Flows)
		if !s.Wide {
			most = min(most, maxInvalidFlows)
		}
		rest := m.Others
		for j := range m.Flows {
			if j < most {
				invalidFlow(b, &m.Flows[j], s)
			} else {
				rest += m.Flows[j].Count
			}
		}
		if rest > 0 && most > 0 {
			wrap(b, s.width(), "    "+fmt.Sprintf("%7s", thousands(int(rest)))+"  ", "             ", "of other flows"+untold(m))
		}
	}
	if rest := len(all) - n; rest > 0 {
		wrap(b, s.width(), "  ", "  ", counted(rest, "more message", "more messages")+": -o wide lists them")
	}
}

// untold says that not all flows are told apart.
func untold(m *InvalidMessage) string {
	if m.group == nil || m.group.Untold() == 0 {
		return ""
	}
	return ", some of which were not told apart"
}

func movedText(m *InvalidMessage) string {
	switch {
	case m.Again:
		return "second line of a packet"
	case m.Reason == "unknown":
		return "not known"
	case m.Accepted:
		return "accepted, no counter"
	case m.Counter == "none":
		return "no counter"
	case m.Also != "":
		return m.Counter + ", " + m.Also
	}
	return m.Counter
}

func invalidFlow(b *strings.Builder, f *InvalidFlow, s Style) {
	text := safe(f.Packet.text)
	if f.In != "" {
		text += " in by " + safe(f.In)
	} else if f.Out != "" {
		text += " sent by this host"
	}
	if f.Packet.Quotes != nil {
		text += ", quotes " + safe(f.Packet.Quotes.text)
	}
	number := thousands(int(f.Count))
	if f.AtLeast {
		number += "+"
	}
	wrap(b, s.width(), "    "+fmt.Sprintf("%7s", number)+"  ", "             ", text)
	if text := belongsTo(f); text != "" {
		wrap(b, s.width(), "             ", "               ", text)
	}
}

// belongsTo is the entry that a packet belongs to, or those it may.
func belongsTo(f *InvalidFlow) string {
	switch {
	case f.Flow != nil:
		text := f.As + " of the entry"
		if st := f.Flow.State(); st != "" {
			text = f.As + " of the " + st + " entry"
		}
		if f.Rule != nil {
			text += ", by " + longName(f.Rule)
			for i := range f.Rewrites {
				if len(f.Rewrites[i].Rules) == 1 {
					text += " (" + string(f.Rewrites[i].Grade) + ")"
					break
				}
			}
		} else if len(f.Rewrites) == 0 {
			text += ", without NAT"
		}
		if f.Younger {
			text += "; it began after these packets, and may be another connection"
		}
		return text
	case len(f.Entries) > 0:
		var zones []string
		for i := range f.Entries {
			zones = append(zones, itoa(int(f.Entries[i].Zone)))
		}
		return "ambiguous: " + counted(len(f.Entries), "entry fits", "entries fit") + ", of zones " + strings.Join(zones, ", ")
	}
	return ""
}

// invalidRead is what was read, and what of it was lost.
func invalidRead(b *strings.Builder, d *Invalid, s Style) {
	wrap(b, s.width(), "\nread: ", "  ", readText(d, s))
	for _, l := range d.Limits {
		wrap(b, s.width(), "  ", "  ", safe(l))
	}
}

func readText(d *Invalid, s Style) string {
	names := map[string]string{"kmsg": "the kernel's log", "journal": "the journal", "nflog": "NFLOG", "file": "files"}
	text := counted(int(d.Lines), "record", "records") + " of " + names[d.Source] + ", " + counted(int(d.Ours), "message", "messages") + " of conntrack"
	if d.Seconds > 0 {
		text += ", in " + strconv.FormatFloat(d.Seconds, 'f', -1, 64) + " s"
	}
	if d.Elsewhere > 0 {
		text += "; " + thousands(int(d.Elsewhere)) + " of other namespaces left out"
	}
	if d.Mixed {
		text += "; the log has those of other namespaces too: they are told apart by the names of devices"
	}
	if d.Unowned > 0 {
		text += "; " + thousands(int(d.Unowned)) + " left out, of this namespace or another"
	}
	if d.Lost > 0 {
		text += "; " + s.paint(yellow, thousands(int(d.Lost))+" lost")
	}
	if d.Unparsed > 0 {
		text += "; of " + thousands(int(d.Unparsed)) + " a part was not understood"
	}
	return text
}
