//go:build linux

package explain_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// earlyRuleset is, for one seed in three, chains at ingress of the router's
// devices: what they set is there in prerouting. It draws from numbers of its
// own, so that the rest of a seed's ruleset stays as it is.
func earlyRuleset(seed uint64) string {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 0x6e74646961670003))}
	if !g.in(33) {
		return ""
	}
	for _, family := range some(g, []string{"netdev", "inet"}, 1, 2) {
		g.line("table %s early_%s {", family, family)
		for i := range 1 + g.IntN(3) {
			g.line("\tchain e%d {\n\t\ttype filter hook ingress device %s priority %d; policy accept;", i, pick(g, devices), pick(g, []int{-10, 0, 0, 5, 300}))
			for range 1 + g.IntN(4) {
				g.line("\t\t%s", g.earlyRule())
			}
			g.line("\t}")
		}
		g.line("}")
	}
	return g.b.String()
}

// earlyRule asks for some of what is there before conntrack, and sets a mark.
func (g *generator) earlyRule() string {
	var words []string
	add := func(format string, a ...any) { words = append(words, fmt.Sprintf(format, a...)) }
	ip := pick(g, []string{"ip", "ip6"})
	if g.in(40) {
		add("meta protocol %s", ip)
	}
	if g.in(60) {
		add("%s saddr %s", ip, pick(g, wide[ip]))
	}
	if g.in(60) {
		proto := pick(g, []string{"tcp", "udp"})
		add("%s dport %s", proto, pick(g, append([]string{"{ 1-1023, 8080 }", "!= 443"}, plainPorts...)))
	}
	if g.in(20) {
		add("meta mark and %s == 0", pick(g, masks))
	}
	if g.in(15) {
		add("iifname %s", pick(g, devices))
	}
	switch g.IntN(5) {
	case 0:
		add("meta mark set meta mark or %s", pick(g, masks))
	case 1:
		add("accept")
	default:
		add("meta mark set %s", pick(g, markValues))
	}
	return strings.Join(words, " ")
}
