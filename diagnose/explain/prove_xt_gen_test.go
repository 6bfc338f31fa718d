//go:build linux

package explain_test

import (
	"fmt"
	"slices"
	"strings"
)

// xtGenerator writes rulesets that iptables-restore takes, in either form.
type xtGenerator struct {
	*generator
	ip    string // ip or ip6
	table string
	own   map[string][][]string // chains of one's own by kind and level
}

// xtDraft is one rule of iptables being written.
type xtDraft struct {
	chain string
	kind  string // dst, out, src, in of nat; else the hook in lower case, or "" for any
	level int
	proto string // tcp, udp, icmp or ""
	head  []string
	words []string
}

func (d *xtDraft) add(format string, a ...any) { d.words = append(d.words, fmt.Sprintf(format, a...)) }

func (d *xtDraft) hasPorts() bool { return d.proto == "tcp" || d.proto == "udp" }

// not is "! " for n of 100.
func (g *generator) not(n int) string {
	if g.in(n) {
		return "! "
	}
	return ""
}

// maybe is text n times in a hundred.
func (g *generator) maybe(n int, text string) string {
	if g.in(n) {
		return text
	}
	return ""
}

// xtBases are the chains of each table, with the kind of rule that stands in
// them.
var xtBases = map[string][][2]string{
	"raw":    {{"PREROUTING", "prerouting"}, {"OUTPUT", "output"}},
	"mangle": {{"PREROUTING", "prerouting"}, {"INPUT", "input"}, {"FORWARD", "forward"}, {"OUTPUT", "output"}, {"POSTROUTING", "postrouting"}},
	"nat":    {{"PREROUTING", "dst"}, {"INPUT", "in"}, {"OUTPUT", "out"}, {"POSTROUTING", "src"}},
	"filter": {{"INPUT", "input"}, {"FORWARD", "forward"}, {"OUTPUT", "output"}},
}

// iptables writes the tables of one family.
func (g *generator) iptables(ip string) string {
	x := &xtGenerator{generator: g, ip: ip}
	g.b.Reset()
	for _, t := range []struct {
		name  string
		share int
	}{{"raw", 30}, {"mangle", 70}, {"nat", 100}, {"filter", 30}} {
		if g.in(t.share) {
			x.writeTable(t.name)
		}
	}
	return g.b.String()
}

func (x *xtGenerator) writeTable(name string) {
	x.table, x.own = name, map[string][][]string{}
	x.line("*%s", name)
	for _, b := range xtBases[name] {
		x.line(":%s ACCEPT [0:0]", b[0])
	}
	kinds := []string{""}
	if name == "nat" {
		kinds = []string{"dst", "src", "in"}
	}
	var later []func()
	for _, kind := range kinds {
		byLevel := make([][]string, levels+2)
		x.own[kind] = byLevel
		for level := levels; level > 0; level-- {
			for i := range x.IntN(3) {
				chain := fmt.Sprintf("%s-%d%c", strings.ToUpper("c"+kind), level, 'a'+i)
				x.line(":%s - [0:0]", chain)
				byLevel[level] = append(byLevel[level], chain)
				later = append(later, func() { x.rules(chain, kind, level, 1+x.IntN(4)) })
			}
		}
	}
	for _, f := range later {
		f()
	}
	for _, b := range xtBases[name] {
		n := x.IntN(4)
		if name == "nat" && (b[1] == "dst" || b[1] == "src") {
			n = 3 + x.IntN(8)
		}
		x.rules(b[0], b[1], 0, n)
	}
	x.line("COMMIT")
}

func (x *xtGenerator) rules(chain, kind string, level, n int) {
	for range n {
		x.line("%s", x.rule(chain, kind, level))
	}
}

func (x *xtGenerator) rule(chain, kind string, level int) string {
	d := &xtDraft{chain: chain, kind: kind, level: level, proto: pick(x.generator, []string{"", "", "tcp", "tcp", "udp", "icmp"})}
	switch d.proto {
	case "tcp", "udp":
		d.head = append(d.head, "-p "+d.proto)
		x.xtPorts(d)
	case "icmp":
		d.head = append(d.head, "-p "+map[string]string{"ip": "icmp", "ip6": "ipv6-icmp"}[x.ip])
		if x.in(60) {
			d.add("-m %s", map[string]string{"ip": "icmp --icmp-type 8", "ip6": "icmp6 --icmpv6-type 128"}[x.ip])
		}
	}
	x.xtHead(d)
	for range x.IntN(3) {
		pick(x.generator, xtConditions)(x, d)
	}
	if x.in(10) {
		d.add(`-m comment --comment "rule of %s"`, chain)
	}
	x.xtEnd(d)
	return "-A " + chain + " " + strings.Join(append(d.head, d.words...), " ")
}

// xtHead is what an entry itself asks for.
func (x *xtGenerator) xtHead(d *xtDraft) {
	g := x.generator
	full := map[string]string{"ip": "", "ip6": ""}
	for _, o := range []string{"-s", "-d"} {
		switch {
		case g.in(20):
			d.head = append(d.head, g.not(20)+o+" "+pick(g, points[x.ip])+full[x.ip])
		case g.in(20):
			d.head = append(d.head, g.not(30)+o+" "+pick(g, xtPrefixes[x.ip]))
		}
	}
	in := d.kind != "out" && d.kind != "output" && d.kind != "src" && d.kind != "postrouting"
	out := d.kind != "dst" && d.kind != "prerouting" && d.kind != "in" && d.kind != "input"
	if in && g.in(25) {
		d.head = append(d.head, g.not(25)+"-i "+pick(g, xtDevices))
	}
	if out && g.in(25) {
		d.head = append(d.head, g.not(25)+"-o "+pick(g, xtDevices))
	}
}

var (
	xtDevices  = []string{"c0", "c0", "s0", "s0", "lo", "c+", "s+", "x+"}
	xtPrefixes = map[string][]string{
		"ip":  {"10.0.0.0/24", "10.0.0.8/30", "192.168.1.0/24", "192.168.1.64/26", "203.0.113.0/24", "203.0.113.128/25", "10.0.0.1/255.0.0.255"},
		"ip6": {"fd00:a::/64", "fd00:a::10/127", "fd00:b::/64", "2001:db8::/32", "2001:db8:0:0:8000::/65", "fd00::/8"},
	}
	xtRanges = map[string][]string{
		"ip":  {"10.0.0.1-10.0.0.12", "10.0.0.9-10.0.0.10", "192.168.1.70-192.168.1.81", "203.0.113.0-203.0.113.99"},
		"ip6": {"fd00:a::1-fd00:a::12", "fd00:a::10-fd00:a::10", "fd00:b::70-fd00:b::81", "2001:db8::-2001:db8::ff"},
	}
)

// xtPorts asks for ports of tcp or udp.
func (x *xtGenerator) xtPorts(d *xtDraft) {
	g := x.generator
	field := pick(g, []string{"--dport", "--dport", "--dport", "--sport"})
	switch g.IntN(7) {
	case 0:
		d.add("-m %s ! %s %s", d.proto, field, pick(g, plainPorts))
	case 1:
		d.add("-m multiport %s%ss %s", g.not(20), field, strings.Join(some(g, plainPorts, 2, 4), ","))
	case 2:
		d.add("-m multiport %s%s %s", g.not(15), pick(g, []string{"--dports", "--ports", "--sports"}), pick(g, []string{"80,443,8000:9000", "1:1023", "40000:40004,53", "1024:65535"}))
	case 3:
		d.add("-m %s %s%s %s", d.proto, g.not(15), field, pick(g, []string{"1:1023", "1024:", ":443", "80:443", "5000:9000"}))
	case 4:
		if d.proto == "tcp" {
			d.add("-m tcp %s", pick(g, []string{"--syn", "--tcp-flags SYN,ACK SYN", "! --syn", "--tcp-flags ALL SYN --dport 80"}))
		}
	default:
		d.add("-m %s %s %s", d.proto, field, pick(g, plainPorts))
	}
}

// xtEnd writes the target.
func (x *xtGenerator) xtEnd(d *xtDraft) {
	g := x.generator
	kind := map[string]string{"out": "dst"}[d.kind]
	if kind == "" {
		kind = d.kind
	}
	if x.table != "nat" {
		kind = ""
	}
	deeper := x.own[kind][d.level+1:]
	switch next := slices.Concat(deeper...); {
	case len(next) > 0 && g.in(25):
		d.add("%s %s", pick(g, []string{"-j", "-j", "-g"}), pick(g, next))
	case x.table == "nat" && g.in(75):
		x.xtNAT(d, kind)
	case g.in(15):
		d.add("-j %s", pick(g, []string{"RETURN", "ACCEPT", "RETURN"}))
	case x.table == "raw" && g.in(12):
		d.add("-j CT %s", pick(g, []string{"--notrack", "--zone 1", "--zone 2", "--zone-orig 3"}))
	case g.in(4) && d.hasPorts() && x.table != "nat":
		d.add("-j DROP")
	case g.in(8):
		// no target: it only counts
	default:
		pick(g, xtMarks)(x, d)
	}
}

// xtMarks is one row a target that later rules can see. Those on the entry's
// mark do nothing before conntrack.
var xtMarks = []func(*xtGenerator, *xtDraft){
	func(x *xtGenerator, d *xtDraft) { d.add("-j MARK --set-mark %s", pick(x.generator, markValues)) },
	func(x *xtGenerator, d *xtDraft) { d.add("-j MARK --or-mark %s", pick(x.generator, masks)) },
	func(x *xtGenerator, d *xtDraft) { d.add("-j MARK --and-mark %s", pick(x.generator, masks)) },
	func(x *xtGenerator, d *xtDraft) { d.add("-j MARK --xor-mark %s", pick(x.generator, masks)) },
	func(x *xtGenerator, d *xtDraft) {
		d.add("-j MARK --set-xmark %s/%s", pick(x.generator, markValues), pick(x.generator, masks))
	},
	func(x *xtGenerator, d *xtDraft) {
		d.add("-j CONNMARK --set-xmark %s/%s", pick(x.generator, markValues), pick(x.generator, masks))
	},
	func(x *xtGenerator, d *xtDraft) { d.add("-j CONNMARK --save-mark") },
	func(x *xtGenerator, d *xtDraft) {
		d.add("-j CONNMARK --restore-mark --nfmask %s --ctmask %s", pick(x.generator, masks), pick(x.generator, masks))
	},
	func(x *xtGenerator, d *xtDraft) {
		way := pick(x.generator, []string{
			"--save-mark --nfmask %s --ctmask %s --left-shift-mark %d", "--restore-mark --nfmask %s --ctmask %s --right-shift-mark %d",
			"--set-xmark %s/%s --left-shift-mark %d",
		})
		d.add("-j CONNMARK "+way, pick(x.generator, masks), pick(x.generator, masks), 1+x.IntN(9))
	},
	xtHeader, xtHeader,
}

// xtHeader writes the fields of the IP header that a rule can set. The hop
// limit stays high enough for the packet to arrive, and that of neighbour
// discovery, which has to be 255, as it is.
func xtHeader(x *xtGenerator, d *xtDraft) {
	if x.table != "mangle" || !d.hasPorts() {
		return
	}
	hops := map[string]string{"ip": "-j TTL --ttl-", "ip6": "-j HL --hl-"}[x.ip]
	switch x.IntN(4) {
	case 0:
		d.add("-j DSCP --set-dscp %d", x.IntN(4))
	case 1:
		d.add("-j TOS --set-tos 0x%02x/0x%02x", x.IntN(4)<<2, pick(x.generator, []int{0xff, 0x1c, 0x04}))
	case 2:
		d.add(hops+"set %d", 100+x.IntN(3))
	case 3:
		d.add(hops+pick(x.generator, []string{"inc %d", "dec %d"}), 1+x.IntN(2))
	}
}

// xtNAT writes a target that sets up a rewrite.
func (x *xtGenerator) xtNAT(d *xtDraft, kind string) {
	forms := map[string][]func(*xtGenerator, *xtDraft){
		"dst": {xtTo, xtTo, xtTo, xtTo, xtToPort, xtToPort, xtToRange, xtRedirect, xtNetmap, xtNoop},
		"src": {xtTo, xtTo, xtToPort, xtToRange, xtMasquerade, xtMasquerade, xtMasquerade, xtNetmap, xtNoop},
		"in":  {xtTo, xtToPort, xtToRange, xtNoop},
	}
	pick(x.generator, forms[kind])(x, d)
}

func (d *xtDraft) verb() string {
	if d.kind == "src" || d.kind == "in" {
		return "-j SNAT --to-source"
	}
	return "-j DNAT --to-destination"
}

func (x *xtGenerator) xtFlags() string {
	if x.in(75) {
		return ""
	}
	return " " + pick(x.generator, []string{"--random", "--persistent"})
}

func xtTo(x *xtGenerator, d *xtDraft) { d.add("%s %s%s", d.verb(), x.address(x.ip), x.xtFlags()) }

func xtToPort(x *xtGenerator, d *xtDraft) {
	g := x.generator
	if !d.hasPorts() {
		xtTo(x, d)
		return
	}
	p := pick(g, []string{"80", "8080", "9000-9010", "1024-65535", "5000-5001"})
	if d.kind == "dst" || d.kind == "out" {
		p = pick(g, []string{p, p, p, "9000-9999/" + pick(g, []string{"1", "53", "80"})})
	}
	a := x.address(x.ip)
	switch {
	case g.in(20):
		a = ""
	case x.ip == "ip6":
		a = "[" + a + "]"
	}
	d.add("%s %s:%s%s", d.verb(), a, p, x.xtFlags())
}

func xtToRange(x *xtGenerator, d *xtDraft) {
	n := x.IntN(200)
	lo, hi := fmt.Sprintf("203.0.200.%d", n), fmt.Sprintf("203.0.200.%d", n+1+x.IntN(6))
	if x.ip == "ip6" {
		lo, hi = fmt.Sprintf("2001:db8:2::%x", n), fmt.Sprintf("2001:db8:2::%x", n+1+x.IntN(6))
	}
	d.add("%s %s-%s%s", d.verb(), lo, hi, x.xtFlags())
}

func xtNetmap(x *xtGenerator, d *xtDraft) {
	g := x.generator
	if x.ip == "ip6" {
		d.add("-j NETMAP --to 2001:db8:%x::/%d", 16+g.IntN(64), pick(g, []int{64, 96, 112}))
		return
	}
	d.add("-j NETMAP --to 198.%d.%d.0/%d", 18+g.IntN(2), g.IntN(250), pick(g, []int{24, 24, 25}))
}

// xtNoop sets up a rewrite that changes nothing.
func xtNoop(x *xtGenerator, d *xtDraft) {
	a := pick(x.generator, points[x.ip])
	o := "-d"
	if strings.Contains(d.verb(), "SNAT") {
		o = "-s"
	}
	d.head = slices.DeleteFunc(d.head, func(s string) bool { return strings.Contains(s, o+" ") })
	d.head = append(d.head, o+" "+a)
	d.add("%s %s", d.verb(), a)
}

func xtRedirect(x *xtGenerator, d *xtDraft) {
	if !d.hasPorts() || x.in(30) {
		d.add("-j REDIRECT")
		return
	}
	d.add("-j REDIRECT --to-ports %s", pick(x.generator, []string{"3128", "80", "4000-4010", "8080"}))
}

func xtMasquerade(x *xtGenerator, d *xtDraft) {
	if !d.hasPorts() || x.in(70) {
		d.add("-j MASQUERADE%s", pick(x.generator, []string{"", "", "", " --random"}))
		return
	}
	d.add("-j MASQUERADE --to-ports %s", pick(x.generator, []string{"1024-65535", "6000-6100", "700"}))
}

// ipsetsOfMore are sets of networks with ports and devices, of three
// dimensions, and of elements that run out.
func (g *generator) ipsetsOfMore(n, family, ip string, line func(string, ...any)) {
	service := func() string { return pick(g, []string{"tcp", "udp"}) + ":" + pick(g, plainPorts) }
	types := []struct{ name, typ string }{
		{"dev", "hash:net,iface"}, {"serves", "hash:net,port"}, {"pair", "hash:ip,port,ip"}, {"reach", "hash:ip,port,net"},
	}
	for _, t := range types {
		line("create %s%s %s family %s", t.name, n, t.typ, family)
	}
	line("create late%s hash:ip family %s timeout 600", n, family)
	prefix := func() string { return pick(g, xtPrefixes[ip][:5]) }
	for range 1 + g.IntN(3) {
		line("add dev%s %s,%s%s -exist", n, prefix(), pick(g, []string{"c0", "s0", "lo"}), g.maybe(30, " nomatch"))
		line("add serves%s %s,%s%s -exist", n, prefix(), service(), g.maybe(30, " nomatch"))
		line("add pair%s %s,%s,%s -exist", n, pick(g, points[ip]), service(), pick(g, points[ip]))
		line("add reach%s %s,%s,%s%s -exist", n, pick(g, points[ip]), service(), prefix(), g.maybe(30, " nomatch"))
		line("add late%s %s%s -exist", n, pick(g, points[ip]), g.maybe(50, " timeout 0"))
	}
}

// ipsets are the sets that xtSet asks.
func (g *generator) ipsets() string {
	var b strings.Builder
	line := func(format string, a ...any) { fmt.Fprintf(&b, format+"\n", a...) }
	line("create ports bitmap:port range 0-65535")
	for _, p := range some(g, []string{"53", "80", "443", "1000-5000", "8000-9000", "40000-40004"}, 1, 4) {
		line("add ports %s", p)
	}
	for _, f := range []struct{ n, family, ip string }{{"4", "inet", "ip"}, {"6", "inet6", "ip6"}} {
		line("create ip%s hash:ip family %s", f.n, f.family)
		line("create net%s hash:net family %s", f.n, f.family)
		line("create port%s hash:ip,port family %s", f.n, f.family)
		for _, a := range some(g, points[f.ip], 1, 5) {
			line("add ip%s %s", f.n, a)
		}
		for _, a := range some(g, xtPrefixes[f.ip][:5], 1, 3) {
			line("add net%s %s", f.n, a)
		}
		if g.in(50) {
			line("add net%s %s nomatch -exist", f.n, pick(g, points[f.ip]))
		}
		for _, a := range some(g, points[f.ip], 1, 5) {
			line("add port%s %s,%s:%s", f.n, a, pick(g, []string{"tcp", "udp"}), pick(g, plainPorts))
		}
		g.ipsetsOfMore(f.n, f.family, f.ip, line)
	}
	line("create any list:set")
	for _, member := range some(g, []string{"ports", "ip4", "net4", "serves4", "dev4", "ip6", "net6", "port6"}, 1, 4) {
		line("add any %s", member)
	}
	return b.String()
}
