//go:build linux

package explain_test

import (
	"fmt"
	"strings"
)

// What generated rules compare with. Segments do not overlap, so that any of
// them go together in one set.
var (
	segments = map[string][]string{
		"ip": {"10.0.0.0/30", "10.0.0.8-10.0.0.10", "10.0.0.11", "10.0.0.12/30", "10.0.0.16/29", "192.168.1.0-192.168.1.5",
			"192.168.1.64-192.168.1.81", "192.168.1.82", "192.168.1.83-192.168.1.90", "203.0.113.0/25", "203.0.113.128/25"},
		"ip6": {"fd00:a::/124", "fd00:a::10-fd00:a::12", "fd00:a::13", "fd00:a::14/126", "fd00:b::0-fd00:b::7f",
			"fd00:b::80/127", "fd00:b::82", "fd00:b::83-fd00:b::ff", "2001:db8::/65", "2001:db8:0:0:8000::/65"},
	}
	points = map[string][]string{
		"ip":  {"10.0.0.10", "10.0.0.11", "10.0.0.1", "192.168.1.2", "192.168.1.80", "192.168.1.81", "203.0.113.7"},
		"ip6": {"fd00:a::10", "fd00:a::11", "fd00:a::1", "fd00:b::2", "fd00:b::80", "fd00:b::81", "2001:db8::7"},
	}
	wide = map[string][]string{
		"ip":  {"10.0.0.0/24", "192.168.1.0/24", "203.0.113.0/24", "10.0.0.1-10.0.0.12", "192.168.0.0/16"},
		"ip6": {"fd00:a::/64", "fd00:b::/64", "2001:db8::/32", "fd00:a::1-fd00:a::12", "fd00::/8"},
	}
	portSegments = []string{"53", "80", "81-442", "443", "444-1023", "1024-4999", "5000-5010", "8000-8080", "8081-9000", "40000-40004", "40005-65535"}
	plainPorts   = []string{"53", "80", "443", "5001", "8080", "40001"}
	devices      = []string{`"c0"`, `"s0"`, `"lo"`}
	markValues   = []string{"0x0", "0x1", "0x2", "0x10", "0x4000"}
	masks        = []string{"0x1", "0x3", "0xff", "0x4000", "0xff00"}
)

// ports is the condition that settles tcp or udp.
func (g *generator) ports(d *draft) {
	field := d.proto + " " + pick(g, []string{"dport", "dport", "dport", "sport"})
	switch g.IntN(7) {
	case 0:
		d.add("%s != %s", field, pick(g, plainPorts))
	case 1:
		d.add("%s { %s }", field, strings.Join(some(g, portSegments, 2, 5), ", "))
	case 2:
		d.add("%s @ports", field)
	case 3:
		d.add("%s %s", field, pick(g, []string{"1-1023", "1024-65535", "80-443", "5000-9000", "< 1024", "> 80", ">= 443"}))
	case 4:
		d.add("%s != { %s }", field, strings.Join(some(g, plainPorts, 1, 3), ", "))
	default:
		d.add("%s %s", field, pick(g, plainPorts))
	}
}

// conditions is one row a sort of condition; a sort that does not go with what
// the rule has settled on adds nothing.
var conditions = []func(*generator, *draft){
	addrCondition, addrCondition, addrCondition, deviceCondition, deviceCondition, markCondition, markCondition,
	concatCondition, fibCondition, ctCondition, protoCondition, openCondition, halfCondition, kindCondition, seenCondition,
}

func addrCondition(g *generator, d *draft) {
	field := g.settle(d) + " " + pick(g, []string{"saddr", "daddr"})
	switch g.IntN(6) {
	case 0:
		d.add("%s %s", field, pick(g, points[d.ip]))
	case 1:
		d.add("%s != %s", field, pick(g, points[d.ip]))
	case 2:
		d.add("%s { %s }", field, strings.Join(some(g, segments[d.ip], 2, 6), ", "))
	case 3:
		d.add("%s != @a%s", field, strings.TrimPrefix(d.ip, "ip"))
	case 4:
		d.add("%s != %s", field, pick(g, wide[d.ip]))
	default:
		d.add("%s %s", field, pick(g, wide[d.ip]))
	}
}

func deviceCondition(g *generator, d *draft) {
	field := "iifname"
	if d.kind == "src" || d.kind == "out" || d.kind == "filter" && g.in(40) {
		field = pick(g, []string{"oifname", "oifname", "iifname"})
	}
	switch g.IntN(5) {
	case 0:
		d.add("%s != %s", field, pick(g, devices))
	case 1:
		d.add("%s { %s }", field, strings.Join(some(g, devices, 1, 2), ", "))
	case 2:
		d.add("%s @devs", field)
	case 3:
		d.add(`%s %s`, field, pick(g, []string{`"c*"`, `"s*"`, `"x*"`}))
	default:
		d.add("%s %s", field, pick(g, devices))
	}
}

func markCondition(g *generator, d *draft) {
	field := pick(g, []string{"meta mark", "meta mark", "ct mark"})
	switch g.IntN(4) {
	case 0:
		d.add("%s and %s == %s", field, pick(g, masks), pick(g, markValues))
	case 1:
		d.add("%s and %s != 0", field, pick(g, masks))
	case 2:
		d.add("%s != %s", field, pick(g, markValues))
	default:
		d.add("%s { %s }", field, strings.Join(some(g, markValues, 1, 3), ", "))
	}
}

func concatCondition(g *generator, d *draft) {
	if !d.hasPorts() {
		d.add(`%s saddr . meta l4proto { %s . tcp, %s . udp }`, g.settle(d), pick(g, segments[d.ip]), pick(g, segments[d.ip]))
		return
	}
	f := g.settle(d)
	field := f + " " + pick(g, []string{"saddr", "daddr"}) + " . " + d.proto + " dport"
	if g.in(50) {
		d.add("%s @c%s", field, strings.TrimPrefix(f, "ip"))
		return
	}
	d.add("%s%s { %s }", field, pick(g, []string{"", " !="}), strings.Join(g.concats(f), ", "))
}

func fibCondition(g *generator, d *draft) {
	d.add("fib %s type %s", pick(g, []string{"daddr", "daddr", "saddr"}), pick(g, []string{"local", "local", "unicast", "!= local", "{ local, broadcast }"}))
}

func ctCondition(g *generator, d *draft) {
	switch g.IntN(6) {
	case 0:
		d.add("ct state new")
	case 1:
		d.add("ct state != { established, related }")
	case 2:
		f := g.settle(d)
		d.add("ct original %s %s %s", f, pick(g, []string{"saddr", "daddr"}), pick(g, wide[f]))
	case 3:
		d.add("ct direction original")
	case 4:
		d.add("ct status %s", pick(g, []string{"dnat", "snat", "& dnat == 0"}))
	default:
		d.add("ct state { new, untracked }")
	}
}

func protoCondition(g *generator, d *draft) {
	if d.proto != "" {
		return
	}
	d.add("meta l4proto %s", pick(g, []string{"tcp", "udp", "{ tcp, udp }", "!= udp", "{ icmp, ipv6-icmp, udp }"}))
}

// openCondition is one that no entry records.
func openCondition(g *generator, d *draft) {
	if g.in(50) {
		return
	}
	switch g.IntN(7) {
	case 0:
		d.add("numgen random mod %d == %d", 2+g.IntN(2), g.IntN(2))
	case 1:
		d.add("numgen inc mod 2 == %d", g.IntN(2))
	case 2:
		d.add("jhash %s saddr mod 2 seed 0xabc == %d", g.settle(d), g.IntN(2))
	case 3:
		d.add("meta random < 0x80000000")
	case 4:
		d.add("%s", map[string]string{"": "meta length > 40", "ip": "ip ttl > 10", "ip6": "ip6 hoplimit > 10"}[d.ip])
	case 5:
		d.add("meta skuid 0")
	default:
		d.add("limit rate 5/hour burst 3 packets")
	}
}

// halfCondition looks at a part of a field.
func halfCondition(g *generator, d *draft) {
	switch {
	case d.hasPorts():
		d.add("%s sport and 1 == %d", d.proto, g.IntN(2))
	case g.settle(d) == "ip":
		d.add("ip saddr and 0.0.0.1 == 0.0.0.%d", g.IntN(2))
	default:
		d.add("ip6 daddr and ::1 == ::%d", g.IntN(2))
	}
}

// kindCondition is one that the sort of packet settles.
func kindCondition(g *generator, d *draft) {
	switch g.IntN(5) {
	case 0:
		if d.table.family == "inet" {
			d.add("meta nfproto %s", map[string]string{"ip": "ipv4", "ip6": "ipv6"}[g.settle(d)])
		}
	case 1:
		if d.proto == "tcp" {
			d.add("tcp flags & (fin|syn|rst|ack) == syn")
		}
	case 2:
		if d.proto == "" {
			d.add("meta l4proto { tcp, udp } th %s %s", pick(g, []string{"dport", "sport"}), pick(g, portSegments))
		}
	case 3:
		if g.settle(d) == "ip" {
			d.add("ip saddr and 255.255.255.0 %s 10.0.0.0", pick(g, []string{"==", "!="}))
		}
	default:
		d.add("iiftype %s", pick(g, []string{"ether", "!= loopback", "!= ether"}))
	}
}

// seenCondition asks a set that packets fill.
func seenCondition(g *generator, d *draft) {
	if g.in(25) {
		f := g.settle(d)
		d.add("%s saddr %s@d%s", f, pick(g, []string{"", "!= "}), strings.TrimPrefix(f, "ip"))
	}
}

// marks is one row a statement that later rules can see.
var marks = []func(*generator, *draft){
	func(g *generator, d *draft) { d.add("meta mark set %s", pick(g, markValues)) },
	func(g *generator, d *draft) { d.add("meta mark set meta mark or %s", pick(g, masks)) },
	func(g *generator, d *draft) { d.add("meta mark set meta mark and %s", pick(g, masks)) },
	func(g *generator, d *draft) { d.add("meta mark set meta mark xor %s", pick(g, masks)) },
	func(g *generator, d *draft) { d.add("ct mark set %s", pick(g, markValues)) },
	func(g *generator, d *draft) { d.add("ct mark set meta mark") },
	func(g *generator, d *draft) { d.add("ct mark set ct mark or %s", pick(g, masks)) },
	func(g *generator, d *draft) { d.add("meta mark set ct mark") },
	func(g *generator, d *draft) { d.add("ct mark set meta mark and %s", pick(g, masks)) },
	func(g *generator, d *draft) { d.add("meta mark set meta mark lshift %d", pick(g, []int{1, 4, 8})) },
	func(g *generator, d *draft) {
		d.add("%s mark set jhash %s saddr mod 4 seed 0x5%s", pick(g, []string{"meta", "ct"}), g.settle(d), pick(g, []string{"", " offset 1"}))
	},
	func(g *generator, d *draft) {
		f := g.settle(d)
		d.add("%s @d%s { %s saddr }", pick(g, []string{"add", "update"}), strings.TrimPrefix(f, "ip"), f)
	},
	func(g *generator, d *draft) {
		if d.kind == "filter" && d.hasPorts() {
			d.add("%s dport set %s", d.proto, pick(g, plainPorts))
		}
	},
	func(g *generator, d *draft) {
		if !d.hasPorts() {
			d.add("meta mark set %s", pick(g, markValues))
			return
		}
		d.add("meta mark set %s dport map { %s : 0x1, 1024-4999 : 0x2, 8000-9000 : 0x4000 }", d.proto, pick(g, []string{"53", "80", "443"}))
	},
}

// address is one that no other rule of the ruleset has, as a rule.
func (g *generator) address(ip string) string {
	if !g.in(12) {
		g.target++
	}
	if ip == "ip" {
		return fmt.Sprintf("203.0.%d.%d", 114+g.target/200, 1+g.target%200)
	}
	return fmt.Sprintf("2001:db8:1::%x", 1+g.target)
}
