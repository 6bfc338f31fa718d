package report

import (
	"strings"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/query"
	"github.com/ntdiag/ntdiag/diagnose/stale"
	"github.com/ntdiag/ntdiag/rules"
)

// choice is one flag that chooses groups.
type choice struct {
	flag  string
	takes func(*stale.Change) bool
}

// choicesOf are those that take the groups of x, by what they choose by.
func choicesOf(x *section) map[byte]choice {
	g := x.groups[0]
	c := g.group.Change
	out := map[byte]choice{
		'c': {"--class " + string(c.Class), func(o *stale.Change) bool { return o.Class == c.Class }},
		'p': {"--proto " + g.Proto, func(o *stale.Change) bool { return o.Proto == c.Proto }},
	}
	if len(x.groups) == 1 && c.To.Addr.IsValid() {
		out['t'] = choice{"--to " + ShellWord(toText(g)), func(o *stale.Change) bool { return o.To == c.To }}
	}
	if g.Rule != nil {
		out['r'] = choice{"--rule " + ShellWord(ruleWords(g.Rule)), func(o *stale.Change) bool { return o.Rule == c.Rule }}
	}
	return out
}

// ruleWords name a rule among all, as --rule takes it.
func ruleWords(r *Rule) string {
	handle := r.Handle
	if r.Backend.Iptables() {
		handle = 0 // by number
	}
	return safe(r.Family+" "+r.Table+" "+r.Chain) + " " + rules.RuleRef(r.Backend, handle, r.Position)
}

// choiceSets are the flags to try, the shortest command first.
var choiceSets = []string{"t", "c", "tc", "r", "tp", "cp", "cr", "tcp", "tcr", "cpr", "tcpr"}

// narrow are the flags that choose just the flows of x among all that are stale;
// "" where all are of x. Certain and likely ones are told apart by --include.
func narrow(x *section, d *Stale) string {
	choices := choicesOf(x)
	full := ""
	for _, set := range append([]string{""}, choiceSets...) {
		var flags []string
		usable := true
		for i := range len(set) {
			c, ok := choices[set[i]]
			usable = usable && ok
			flags = append(flags, c.flag)
		}
		if !usable {
			continue
		}
		full = strings.Join(flags, " ")
		if d.Ungrouped == 0 && chosen(set, choices, d) == len(x.groups)+twins(x, d) {
			return full
		}
	}
	return full
}

// chosen is how many groups the flags of set take.
func chosen(set string, choices map[byte]choice, d *Stale) int {
	n := 0
	for i := range d.Groups {
		takes := true
		for k := range len(set) {
			takes = takes && choices[set[k]].takes(&d.Groups[i].group.Change)
		}
		if takes {
			n++
		}
	}
	return n
}

// twins are the groups that differ from one of x in confidence alone.
func twins(x *section, d *Stale) int {
	n := 0
	for i := range d.Groups {
		o := d.Groups[i].group.Change
		for _, g := range x.groups {
			c := g.group.Change
			if o.Confidence == c.Confidence {
				continue
			}
			if c.Confidence = o.Confidence; c == o {
				n++
			}
		}
	}
	return n
}

// deleting is the command that deletes the flows of x and no others.
func (t *staleWriter) deleting(x *section) {
	lead, command := t.deletion(x)
	if command == "" {
		return
	}
	do := "      do: "
	if lead != "" {
		wrap(&t.b, t.s.width(), do, "          ", lead)
		do = "          "
	}
	commandText(&t.b, t.s, do, "            ", command)
}

// deletion is that command, and what is said before it; "" where what is said of
// all says it.
func (t *staleWriter) deletion(x *section) (lead, command string) {
	g := x.groups[0]
	works := 0
	for _, g := range x.groups {
		works += g.group.Risks[stale.RiskWorks]
	}
	flags := narrow(x, t.d)
	if flags == "" && works == 0 {
		return "", ""
	}
	words := []string{t.d.Command, "--delete"}
	if g.Confidence == stale.Likely {
		words = append(words, "--include likely")
	}
	if flags != "" {
		words = append(words, flags)
	}
	if works == x.flows {
		lead = "leave " + verb(x.flows, "it", "them") + " alone where the connection works; to end " + verb(x.flows, "it", "them") + ":"
	}
	return lead, strings.Join(words, " ")
}

// commandText is a command that can be copied: a line that does not fit goes on
// behind a backslash, and not between a flag and its value. What nft reads
// within quotes goes on behind a brace or a semicolon.
func commandText(b *strings.Builder, s Style, first, rest, command string) {
	line := first
	for _, p := range pieces(command, s.width()-columns(rest)-2) {
		switch {
		case line == first:
			line += p.text
		case columns(line)+1+columns(p.text) > s.width()-2 && p.within:
			b.WriteString(line + "\n")
			line = rest + p.text
		case columns(line)+1+columns(p.text) > s.width()-2:
			b.WriteString(line + " \\\n")
			line = rest + p.text
		default:
			line += " " + p.text
		}
	}
	b.WriteString(line + "\n")
}

// piece is a part of a command before which a line may end; within: between
// quotes.
type piece struct {
	text   string
	within bool
}

// pieces takes a command apart; what stands within quotes only where it is wider
// than width.
func pieces(command string, width int) (out []piece) {
	words := shellFields(command)
	for i := 0; i < len(words); i++ {
		w := words[i]
		if i+1 < len(words) && strings.HasPrefix(w, "--") && !strings.Contains(w, "=") && !strings.HasPrefix(words[i+1], "--") {
			i++
			w += " " + words[i]
		}
		if !strings.HasPrefix(w, "'") || columns(w) <= width {
			out = append(out, piece{w, false})
			continue
		}
		within := false
		for w != "" {
			end := len(w)
			for _, stop := range []string{"; ", "{ "} {
				if k := strings.Index(w, stop); k >= 0 {
					end = min(end, k+1)
				}
			}
			out = append(out, piece{w[:end], within})
			w, within = strings.TrimPrefix(w[end:], " "), true
		}
	}
	return out
}

// shellFields are the words of a command, of which one between quotes is one.
func shellFields(command string) []string {
	var out []string
	at, quoted := 0, false
	for i := 0; i <= len(command); i++ {
		if i < len(command) && command[i] == '\'' {
			quoted = !quoted
		}
		if i == len(command) || command[i] == ' ' && !quoted {
			if i > at {
				out = append(out, command[at:i])
			}
			at = i + 1
		}
	}
	return out
}

// flagsOf are the filters that choose one flow.
func flagsOf(f *host.Flow) string {
	o := f.Original
	words := []string{"--proto", query.ProtoName(o.Proto), "--src", o.Src.String(), "--dst", o.Dst.String()}
	if f.HasPorts() {
		words = append(words, "--sport", itoa(int(o.SrcPort)), "--dport", itoa(int(o.DstPort)))
	}
	if f.Zone != 0 {
		words = append(words, "--zone", itoa(int(f.Zone)))
	}
	return strings.Join(words, " ")
}

// ShellWord quotes what a shell would take apart.
func ShellWord(w string) string {
	if !strings.ContainsAny(w, " <>|&;()$`\\\"'*?[]#~") {
		return w
	}
	return "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
}
