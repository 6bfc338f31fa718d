package counters

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/ntdiag/ntdiag/diagnose/order"
	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/nft"
	"github.com/ntdiag/ntdiag/rules/pattern"
)

// named is a rule by its table, chain and handle, with its comment.
func named(r *rules.Rule) string {
	name := r.Ref()
	if r.Chain != nil {
		name = order.Name(r.Chain) + " " + name
	}
	if r.Comment != "" {
		name += fmt.Sprintf(" %q", r.Comment)
	}
	return name
}

// counted is n of a thing.
func counted(n uint64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// its agrees with n.
func its(n uint64, one, many string) string {
	if n == 1 {
		return "its " + one
	}
	return "their " + many
}

func end(a netip.Addr, port uint16) string {
	if port == 0 {
		return a.String()
	}
	return netip.AddrPortFrom(a, port).String()
}

// word quotes what a shell would take apart.
func word(w string) string {
	if !strings.ContainsAny(w, " <>|&;()$`\\\"'*?[]#~{}!") {
		return w
	}
	return "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
}

// words quotes each word of a rule, of which one between double quotes is one.
func words(rule string) string {
	var out []string
	at, quoted := 0, false
	for i := 0; i <= len(rule); i++ {
		if i < len(rule) && rule[i] == '"' {
			quoted = !quoted
		}
		if i == len(rule) || rule[i] == ' ' && !quoted {
			if i > at {
				out = append(out, word(rule[at:i]))
			}
			at = i + 1
		}
	}
	return strings.Join(out, " ")
}

// machine are settings that only the first namespace has.
var machine = pattern.New(`nf_conntrack_(max|buckets)\b`)

// inside is a command line for the namespace that --netns names: what works on
// a namespace is run in it, behind what enters it.
func inside(fix, netns, enter string) string {
	if netns == "" {
		return fix
	}
	lines := strings.Split(fix, "\n")
	for i, line := range lines {
		parts := strings.Split(line, "; ")
		for j, p := range parts {
			first, rest, _ := strings.Cut(p, " ")
			switch {
			case first == "ntdiag":
				parts[j] = "ntdiag --netns " + word(netns) + " " + rest
			case first == "nft", first == "tcpdump", first == "ip", strings.HasPrefix(first, "iptables"), strings.HasPrefix(first, "ip6tables"),
				first == "sysctl" && !machine.MatchString(p):
				parts[j] = enter + p
			}
		}
		lines[i] = strings.Join(parts, "; ")
	}
	return strings.Join(lines, "\n")
}

// replace is the command that puts another NAT statement in the place of r's,
// "" where it cannot be said. edit changes a copy of the statement; text does
// the same to what iptables-save prints.
func replace(r *rules.Rule, edit func(*rules.NAT), text func(string) string) string {
	if r.Chain == nil || r.Chain.Table == nil || !r.Decoded() {
		return ""
	}
	t := r.Chain.Table
	if t.Backend.Iptables() {
		spec, ok := strings.CutPrefix(nft.RuleText(r), "-A "+r.Chain.Name+" ")
		if !ok {
			return ""
		}
		tool := "iptables"
		if t.Family == rules.FamilyIPv6 {
			tool = "ip6tables"
		}
		tool += map[rules.Backend]string{rules.BackendIptablesNft: "-nft", rules.BackendIptablesLegacy: "-legacy"}[t.Backend]
		return fmt.Sprintf("%s -t %s -R %s %d %s", tool, t.Name, r.Chain.Name, r.Position, text(spec))
	}
	c := *r
	c.Statements = append([]rules.Statement{}, r.Statements...)
	for i, s := range c.Statements {
		if n, ok := s.(*rules.NAT); ok {
			n := *n
			edit(&n)
			c.Statements[i] = &n
		}
	}
	return fmt.Sprintf("nft replace rule %s %s %s handle %d %s", t.Family, word(t.Name), word(r.Chain.Name), r.Handle, words(nft.RuleTextFull(&c)))
}

// fullyRandom is the command that has the kernel choose ports at random.
func fullyRandom(r *rules.Rule) string {
	return replace(r, func(n *rules.NAT) { n.Flags = n.Flags&^rules.NATProtoRandom | rules.NATFullyRandom },
		func(spec string) string { return spec + " --random-fully" })
}

var portsOf = pattern.New(`(--to-source \S+?):\d+(-\d+)?(\s|$)|\s--to-ports \S+`)

// allPorts is the command that takes the port range away.
func allPorts(r *rules.Rule) string {
	return replace(r, func(n *rules.NAT) { n.PortMin, n.PortMax, n.Flags = nil, nil, n.Flags&^rules.NATProtoSpecified },
		func(spec string) string { return portsOf.ReplaceAllString(spec, "$1$3") })
}
