//go:build linux

package explain_test

import (
	"fmt"
	"strings"
)

// nat writes the statement that sets up a rewrite.
func (g *generator) nat(d *draft) {
	forms := map[string][]func(*generator, *draft){
		"dst": {natAddr, natAddr, natAddr, natPort, natRange, natMap, natMap, natPortMap, natPrefix, natPrefixMap, natNothing, redirect, natNamed, natPool},
		"src": {natAddr, natAddr, natPort, natRange, natMap, natPrefix, natPrefixMap, natPool, natNothing, masquerade, masquerade, masquerade},
		"in":  {natAddr, natAddr, natPort, natRange, natNothing},
	}
	forms["out"] = forms["dst"]
	pick(g, forms[d.kind])(g, d)
}

// verb is the statement's beginning, up to "to".
func (g *generator) verb(d *draft) string {
	verb := "dnat"
	if d.kind == "src" || d.kind == "in" {
		verb = "snat"
	}
	if d.table.family == "inet" {
		return verb + " " + g.settle(d)
	}
	return verb
}

func (g *generator) flags() string {
	if g.in(75) {
		return ""
	}
	return " " + pick(g, []string{"random", "fully-random", "persistent", "random,persistent"})
}

func (d *draft) bracket(a string) string {
	if d.ip == "ip6" {
		return "[" + a + "]"
	}
	return a
}

func natAddr(g *generator, d *draft) {
	v := g.verb(d)
	d.add("%s to %s%s", v, g.address(d.ip), g.flags())
}

func natPort(g *generator, d *draft) {
	v := g.verb(d)
	if !d.hasPorts() {
		natAddr(g, d)
		return
	}
	p := pick(g, []string{"80", "8080", "9000-9010", "1024-65535", "5000-5001"})
	if g.in(25) {
		verb, _, _ := strings.Cut(v, " ")
		d.add("%s to :%s%s", verb, p, g.flags())
		return
	}
	d.add("%s to %s:%s%s", v, d.bracket(g.address(d.ip)), p, g.flags())
}

func natRange(g *generator, d *draft) {
	v := g.verb(d)
	g.target++
	n := g.IntN(200)
	lo, hi := fmt.Sprintf("203.0.200.%d", n), fmt.Sprintf("203.0.200.%d", n+g.IntN(6))
	if d.ip == "ip6" {
		lo, hi = fmt.Sprintf("2001:db8:2::%x", n), fmt.Sprintf("2001:db8:2::%x", n+g.IntN(6))
	}
	if lo == hi {
		natAddr(g, d)
		return
	}
	d.add("%s to %s-%s%s", v, lo, hi, g.flags())
}

// natMap takes the address from a map, by a key of any sort.
func natMap(g *generator, d *draft) {
	v := g.verb(d)
	var key string
	var from []string
	switch g.IntN(6) {
	case 0:
		key, from = d.ip+" saddr", segments[d.ip]
	case 1:
		key, from = d.ip+" daddr", segments[d.ip]
	case 2:
		key, from = "meta mark", markValues
	case 3:
		if g.in(60) {
			key, from = "iifname", devices
		} else {
			key, from = pick(g, []string{"numgen random mod 2", "jhash " + d.ip + " saddr mod 2 seed 0x77"}), []string{"0", "1"}
		}
	default:
		if !d.hasPorts() {
			natAddr(g, d)
			return
		}
		key, from = d.proto+" dport", portSegments
		if g.in(30) {
			key, from = d.ip+" saddr . "+d.proto+" dport", g.concats(d.ip)
		}
	}
	var elements []string
	for _, k := range some(g, from, 2, 5) {
		elements = append(elements, k+" : "+g.address(d.ip))
	}
	d.add("%s to %s map { %s }", v, key, strings.Join(elements, ", "))
}

func natNamed(g *generator, d *draft) {
	v := g.verb(d)
	if !d.hasPorts() {
		natAddr(g, d)
		return
	}
	n := strings.TrimPrefix(d.ip, "ip")
	if g.in(50) {
		d.add("%s to %s dport map @m%s", v, d.proto, n)
		return
	}
	d.add("%s addr . port to %s dport map @p%s", g.full(d), d.proto, n)
}

func natPortMap(g *generator, d *draft) {
	v := g.full(d)
	if !d.hasPorts() {
		natAddr(g, d)
		return
	}
	var elements []string
	for _, p := range some(g, plainPorts, 1, 4) {
		elements = append(elements, fmt.Sprintf("%s : %s . %d", p, g.address(d.ip), 1+g.IntN(60000)))
	}
	d.add("%s addr . port to %s dport map { %s }", v, d.proto, strings.Join(elements, ", "))
}

// natPrefix keeps the host part.
func natPrefix(g *generator, d *draft) {
	v := g.full(d)
	if d.ip == "ip6" {
		d.add("%s prefix to 2001:db8:%x::/%d", v, 16+g.IntN(64), pick(g, []int{64, 96, 112}))
		return
	}
	d.add("%s prefix to 198.%d.%d.0/%d", v, 18+g.IntN(2), g.IntN(250), pick(g, []int{24, 24, 25}))
}

// full is verb with the family, which these forms need in any table.
func (g *generator) full(d *draft) string {
	verb, _, _ := strings.Cut(g.verb(d), " ")
	return verb + " " + d.ip
}

// natPrefixMap chooses the prefix by the address to rewrite.
func natPrefixMap(g *generator, d *draft) {
	v := g.full(d)
	field := map[bool]string{true: "saddr", false: "daddr"}[strings.HasPrefix(v, "snat")]
	from, to := []string{"10.0.0.0/24", "192.168.1.0/24", "203.0.113.0/25"}, "198.20.%d.0/24"
	if d.ip == "ip6" {
		from, to = []string{"fd00:a::/64", "fd00:b::/64", "2001:db8::/65"}, "2001:db8:%d::/64"
	}
	var elements []string
	for _, k := range some(g, from, 1, 3) {
		elements = append(elements, k+" : "+fmt.Sprintf(to, 100+g.IntN(100)))
	}
	d.add("%s prefix to %s %s map { %s }", v, d.ip, field, strings.Join(elements, ", "))
}

// natPool chooses a range of addresses, or of addresses and ports.
func natPool(g *generator, d *draft) {
	v := g.verb(d)
	if d.ip == "ip6" {
		natAddr(g, d)
		return
	}
	var elements []string
	for _, k := range some(g, segments["ip"], 1, 4) {
		n := g.IntN(200)
		elements = append(elements, fmt.Sprintf("%s : 203.0.201.%d-203.0.201.%d", k, n, n+1+g.IntN(5)))
	}
	d.add("%s to ip %s map { %s }", v, pick(g, []string{"saddr", "daddr"}), strings.Join(elements, ", "))
}

// natNothing sets up a rewrite that changes nothing.
func natNothing(g *generator, d *draft) {
	v := g.verb(d)
	field := "daddr"
	if strings.HasPrefix(v, "snat") {
		field = "saddr"
	}
	a := pick(g, points[d.ip])
	d.add("%s %s %s %s to %s", d.ip, field, a, v, a)
}

func redirect(g *generator, d *draft) {
	if !d.hasPorts() || g.in(30) {
		d.add("redirect")
		return
	}
	d.add("redirect to :%s%s", pick(g, []string{"3128", "80", "4000-4010", "8080"}), g.flags())
}

func masquerade(g *generator, d *draft) {
	if !d.hasPorts() || g.in(70) {
		d.add("masquerade%s", g.flags())
		return
	}
	d.add("masquerade to :%s%s", pick(g, []string{"1024-65535", "6000-6100", "700"}), g.flags())
}
