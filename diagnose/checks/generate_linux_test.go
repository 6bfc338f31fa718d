package checks_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// generator writes rulesets in which rules hide each other often: few values,
// many rules. Every rule counts behind its conditions.
type generator struct {
	*rand.Rand
	b     strings.Builder
	proto string // of the rule being written: nft takes one only
	six   bool   // it is one for IPv6
}

func newGenerator(seed uint64) *generator {
	return &generator{Rand: rand.New(rand.NewPCG(seed, 0x6e74646961670002))}
}

func pick[T any](g *generator, from ...T) T { return from[g.IntN(len(from))] }

// in is true in n of 100.
func (g *generator) in(n int) bool { return g.IntN(100) < n }

func (g *generator) line(format string, a ...any) { fmt.Fprintf(&g.b, format+"\n", a...) }

var (
	ports   = []string{"53", "80", "81", "443", "8080"}
	clients = []string{"10.0.0.10", "10.0.0.11", "10.0.0.12", "10.0.0.13"}
	servers = []string{"192.168.1.80", "192.168.1.81", "192.168.1.82"}
)

// nft is a ruleset for nft -f: two tables with chains at several hooks.
func (g *generator) nft() string {
	for i, family := range []string{"inet", "ip"} {
		g.line("table %s t%d {", family, i)
		g.line("\tset ports { type inet_service; elements = { %s, %s }; }", ports[g.IntN(2)], ports[2+g.IntN(3)])
		g.line("\tset hosts { type ipv4_addr; flags interval; elements = { 10.0.0.%d-10.0.0.%d }; }", 10+g.IntN(2), 12+g.IntN(2))
		for _, kind := range []string{"filter", "dst", "src"} {
			var deep []string
			for j := range 3 {
				name := fmt.Sprintf("%s_%d", kind, j)
				g.line("\tchain %s {", name)
				g.nftRules(family, kind, deep, 1+g.IntN(4))
				g.line("\t}")
				deep = append(deep, name)
			}
			for j := range 2 {
				g.line("\tchain %s_base%d {\n\t\t%s;", kind, j, g.base(kind))
				g.nftRules(family, kind, deep, 2+g.IntN(6))
				g.line("\t}")
			}
		}
		g.line("}")
	}
	return g.b.String()
}

func (g *generator) base(kind string) string {
	switch kind {
	case "dst":
		return "type nat hook " + pick(g, "prerouting", "prerouting", "output") + " priority " + pick(g, "-100", "-90", "0", "50")
	case "src":
		return "type nat hook postrouting priority " + pick(g, "100", "100", "110", "90")
	}
	return "type filter hook " + pick(g, "prerouting", "prerouting", "forward", "output", "postrouting", "input") + " priority " + pick(g, "-300", "-150", "-150", "-140", "0", "0", "10")
}

func (g *generator) nftRules(family, kind string, deep []string, n int) {
	for range n {
		var words []string
		g.proto, g.six = pick(g, "tcp", "tcp", "udp", ""), family == "inet" && g.in(30)
		if g.six && g.in(30) {
			words = append(words, "meta nfproto ipv6")
		}
		for range g.IntN(3) {
			words = append(words, g.nftCondition())
		}
		end := g.nftEnd(kind, deep)
		if strings.Contains(end, "vmap") { // which asks for the protocol too
			words = append(words, "meta l4proto "+g.proto)
		}
		for nat, nfproto := range map[string]string{"nat ip to": "ipv4", "nat ip6 to": "ipv6"} {
			if family == "inet" && strings.Contains(end, nat) { // and here for the family
				words = append(words, "meta nfproto "+nfproto)
			}
		}
		words = append(words, "counter")
		if g.in(15) {
			words = append(words, pick(g, "meta mark set 0x1", "meta mark set 0x2", "meta mark set meta mark or 0x1", "meta mark set meta mark and 0x2", "ct mark set 0x1"))
			if g.in(50) {
				words = append(words, g.nftCondition())
			}
		}
		g.line("\t\t%s", strings.Join(append(words, end), " "))
	}
}

func (g *generator) nftCondition() string {
	not := pick(g, "", "", "!= ")
	n := g.IntN(16)
	switch {
	case g.proto == "" && (n < 3 || n == 13):
		n = 99
	case g.proto != "" && (n == 3 || n == 15):
		n = 0
	}
	switch n {
	case 0, 1:
		return g.proto + " dport " + not + pick(g, ports...)
	case 2:
		return g.proto + " dport " + not + pick(g, "{ 80, 443 }", "{ 53, 80-81 }", "80-443", "@ports")
	case 3:
		return "meta l4proto { tcp, udp } th dport " + pick(g, "< 81", "> 80", ">= 443", "53", "{ 80, 81 }")
	case 4, 5, 6, 7, 13:
		if g.six {
			return pick(g, "ip6 saddr ", "ip6 saddr ", "ip6 daddr ") + not + pick(g, "fd00:a::10", "fd00:a::11", "fd00:a::/64", "fd00:a::10-fd00:a::12", "fd00:b::80")
		}
	}
	switch n {
	case 4, 5:
		return "ip saddr " + not + pick(g, clients...)
	case 6:
		return "ip saddr " + not + pick(g, "10.0.0.0/24", "10.0.0.12/31", "10.0.0.0/8", "@hosts", "{ 10.0.0.10, 10.0.0.12 }", "10.0.0.10-10.0.0.12")
	case 7:
		return "ip daddr " + not + pick(g, "192.168.1.80", "192.168.1.80/31", "192.168.1.0/24", "{ 192.168.1.80, 192.168.1.81 }")
	case 8:
		return "iifname " + not + pick(g, `"c0"`, `"s0"`, `"c*"`, `{ "c0", "s0" }`)
	case 9:
		return "meta mark " + not + pick(g, "0x0", "0x1", "{ 0x1, 0x2 }")
	case 10:
		return "meta mark and " + pick(g, "0x1 == 0x1", "0x1 == 0x0", "0x3 != 0x0", "0x1 != 0x0")
	case 11:
		return "ct state " + pick(g, "new", "established,related", "!= new", "new,established")
	case 12:
		return "fib daddr type " + pick(g, "local", "unicast", "!= local")
	case 13:
		return "ip saddr . " + g.proto + " dport { " + pick(g, clients...) + " . 80, 10.0.0.10 . 443 }"
	case 14:
		return pick(g, "ct direction original", "ct mark 0x1", "limit rate 1/second", "numgen random mod 2 == 0", "oifname \"s0\"")
	}
	return "meta l4proto " + not + pick(g, "tcp", "udp", "{ tcp, udp }")
}

func (g *generator) nftEnd(kind string, deep []string) string {
	n := g.IntN(20)
	switch {
	case n < 5 && len(deep) > 0:
		return pick(g, "jump", "jump", "goto") + " " + pick(g, deep...)
	case n == 5 && len(deep) > 0 && g.proto != "":
		return fmt.Sprintf(g.proto+" dport vmap { 80 : %s %s, 443 : %s }", pick(g, "jump", "goto"), pick(g, deep...), pick(g, "accept", "return", "drop"))
	case n < 10 && kind == "dst" && g.six:
		return pick(g, "dnat ip6 to fd00:b::85", "redirect")
	case n < 10 && kind == "dst":
		return pick(g, "dnat ip to 192.168.1.85", "redirect", "dnat ip to ip saddr map { 10.0.0.10 : 192.168.1.86 }")
	case n < 10 && kind == "src" && g.six:
		return pick(g, "masquerade", "snat ip6 to fd00:b::2")
	case n < 10 && kind == "src":
		return pick(g, "masquerade", "snat ip to 192.168.1.2")
	case n == 10:
		return "drop"
	case n < 15:
		return pick(g, "accept", "return")
	}
	return ""
}

// iptables is a ruleset for iptables-restore, in either form.
func (g *generator) iptables() string {
	for _, t := range []struct {
		name  string
		bases []string
	}{{"mangle", []string{"PREROUTING", "FORWARD", "POSTROUTING"}}, {"filter", []string{"INPUT", "FORWARD", "OUTPUT"}}, {"nat", []string{"PREROUTING", "OUTPUT", "POSTROUTING"}}} {
		g.line("*%s", t.name)
		for _, c := range t.bases {
			g.line(":%s ACCEPT [0:0]", c)
		}
		kinds := []string{"filter"}
		if t.name == "nat" {
			kinds = []string{"dst", "src"}
		}
		chains := map[string][]string{}
		for _, k := range kinds {
			for i := range 3 {
				chains[k] = append(chains[k], fmt.Sprintf("%s_%d", k, i))
				g.line(":%s_%d - [0:0]", k, i)
			}
		}
		for _, k := range kinds {
			for i, c := range chains[k] {
				g.iptRules(c, t.name, k, chains[k][:i], 1+g.IntN(4))
			}
		}
		for _, c := range t.bases {
			k := kinds[0]
			if c == "POSTROUTING" && t.name == "nat" {
				k = "src"
			}
			g.iptRules(c, t.name, k, chains[k], 2+g.IntN(7))
		}
		g.line("COMMIT")
	}
	return g.b.String()
}

func (g *generator) iptRules(chain, table, kind string, deep []string, n int) {
	for range n {
		words := []string{"-A", chain}
		not := func() string { return pick(g, "", "", "! ") }
		if g.in(40) {
			words = append(words, not()+"-s "+pick(g, "10.0.0.10", "10.0.0.11", "10.0.0.12/31", "10.0.0.0/24"))
		}
		if g.in(20) {
			words = append(words, not()+"-d "+pick(g, "192.168.1.80", "192.168.1.80/31", "192.168.1.0/24"))
		}
		if g.in(15) && chain != "POSTROUTING" && chain != "OUTPUT" && kind != "src" {
			words = append(words, not()+"-i "+pick(g, "c0", "s0", "c+"))
		}
		if g.in(50) {
			p := pick(g, "tcp", "udp")
			words = append(words, "-p "+p)
			switch {
			case g.in(50):
				words = append(words, "-m "+p+" "+not()+"--dport "+pick(g, "53", "80", "81", "443", "80:443"))
			case g.in(30):
				words = append(words, "-m multiport "+not()+"--dports "+pick(g, "80,443", "53,80:81"))
			}
		}
		if g.in(20) {
			words = append(words, pick(g, "-m mark --mark 0x1", "-m mark ! --mark 0x1/0x1", "-m mark --mark 0x1/0x3", "-m conntrack --ctstate NEW", "-m conntrack ! --ctstate NEW,RELATED", "-m statistic --mode random --probability 0.5"))
		}
		g.line("%s%s", strings.Join(words, " "), g.iptEnd(table, kind, deep))
	}
}

func (g *generator) iptEnd(table, kind string, deep []string) string {
	n := g.IntN(20)
	switch {
	case n < 6 && len(deep) > 0:
		return pick(g, " -j ", " -j ", " -g ") + pick(g, deep...)
	case n < 10 && kind == "dst":
		return " -j DNAT --to-destination 192.168.1.85"
	case n < 10 && kind == "src":
		return pick(g, " -j MASQUERADE", " -j SNAT --to-source 192.168.1.2")
	case n < 10 && table == "mangle":
		return " -j MARK --set-xmark " + pick(g, "0x1/0x1", "0x2/0xffffffff", "0x0/0x1")
	case n == 10 && table != "nat":
		return " -j DROP"
	case n < 16:
		return pick(g, " -j ACCEPT", " -j RETURN")
	}
	return ""
}
