package counters

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"

	"github.com/ntdiag/ntdiag/diagnose/order"
	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/nft"
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

func end(a netip.Addr, port uint16) string {
	if port == 0 {
		return a.String()
	}
	return netip.AddrPortFrom(a, port).String()
}

// quote makes one word for a shell of a text.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

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
	return "nft " + quote(fmt.Sprintf("replace rule %s %s handle %d %s", t.Family, t.Name+" "+r.Chain.Name, r.Handle, nft.RuleTextFull(&c)))
}

// fullyRandom is the command that has the kernel choose ports at random.
func fullyRandom(r *rules.Rule) string {
	return replace(r, func(n *rules.NAT) { n.Flags = n.Flags&^rules.NATProtoRandom | rules.NATFullyRandom },
		func(spec string) string { return spec + " --random-fully" })
}

var portsOf = regexp.MustCompile(`(--to-source \S+?):\d+(-\d+)?(\s|$)|\s--to-ports \S+`)

// allPorts is the command that takes the port range away.
func allPorts(r *rules.Rule) string {
	return replace(r, func(n *rules.NAT) { n.PortMin, n.PortMax, n.Flags = nil, nil, n.Flags&^rules.NATProtoSpecified },
		func(spec string) string { return portsOf.ReplaceAllString(spec, "$1$3") })
}
