//go:build linux

package explain_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// generator writes rulesets that nft takes, for the router of the lab.
type generator struct {
	*rand.Rand
	b      strings.Builder
	target int // of unique addresses handed out
}

// ground is where a rule stands: what it may look at and what it may do there.
type ground struct {
	table *genTable
	kind  string // dst, out, src, in: of a nat chain at that hook; filter
	level int    // of a regular chain; 0 for a base chain
	raw   bool   // before conntrack
}

// genTable is a table with the regular chains of each kind, by level.
type genTable struct {
	family, name string
	regular      map[string][][]string
}

func (t *genTable) families() []string {
	if t.family == "inet" {
		return []string{"ip", "ip6"}
	}
	return []string{t.family}
}

func newGenerator(seed uint64) *generator {
	return &generator{Rand: rand.New(rand.NewPCG(seed, 0x6e74646961670001))}
}

func pick[T any](g *generator, from []T) T { return from[g.IntN(len(from))] }

// some picks between lo and hi different elements, in their order.
func some[T any](g *generator, from []T, lo, hi int) []T {
	at := g.Perm(len(from))[:min(len(from), lo+g.IntN(hi-lo+1))]
	slices.Sort(at)
	var out []T
	for _, i := range at {
		out = append(out, from[i])
	}
	return out
}

// in is true in n of 100.
func (g *generator) in(n int) bool { return g.IntN(100) < n }

func (g *generator) line(format string, a ...any) { fmt.Fprintf(&g.b, format+"\n", a...) }

// ruleset writes one to three tables, each with sets, regular chains and base
// chains. The nat chains of some are made after all others.
func (g *generator) ruleset() string {
	families := []string{"ip", "inet", "inet", "ip6", "ip", "inet"}
	var late []*genTable
	for i := range 1 + g.IntN(3) {
		t := &genTable{family: pick(g, families), name: fmt.Sprintf("t%d", i), regular: map[string][][]string{}}
		g.line("table %s %s {", t.family, t.name)
		g.sets(t)
		g.regulars(t)
		for j := range g.IntN(3) {
			g.filterBase(t, j)
		}
		if g.in(20) {
			late = append(late, t)
		} else {
			g.natBases(t)
		}
		g.line("}")
	}
	for _, t := range late {
		g.line("table %s %s {", t.family, t.name)
		g.natBases(t)
		g.line("}")
	}
	return g.b.String()
}

func (g *generator) natBases(t *genTable) {
	for i := range 2 + g.IntN(4) {
		g.natBase(t, i)
	}
}

func (g *generator) sets(t *genTable) {
	for _, f := range t.families() {
		n := strings.TrimPrefix(f, "ip")
		typ := map[string]string{"ip": "ipv4_addr", "ip6": "ipv6_addr"}[f]
		g.line("\tset a%s { type %s; flags interval; elements = { %s }; }", n, typ, strings.Join(some(g, segments[f], 1, 5), ", "))
		g.line("\tset c%s { type %s . inet_service; flags interval; elements = { %s }; }", n, typ, strings.Join(g.concats(f), ", "))
		g.line("\tset d%s { type %s; flags dynamic; size 1000; }", n, typ)
		var to, ports []string
		for _, p := range some(g, portSegments, 2, 6) {
			to = append(to, p+" : "+g.address(f))
		}
		for _, p := range some(g, plainPorts, 1, 5) {
			ports = append(ports, fmt.Sprintf("%s : %s . %d", p, g.address(f), 1+g.IntN(60000)))
		}
		if g.in(30) {
			to = append(to, "* : "+g.address(f))
		}
		g.line("\tmap m%s { type inet_service : %s; flags interval; elements = { %s }; }", n, typ, strings.Join(to, ", "))
		g.line("\tmap p%s { type inet_service : %s . inet_service; elements = { %s }; }", n, typ, strings.Join(ports, ", "))
	}
	g.line("\tset ports { type inet_service; flags interval; elements = { %s }; }", strings.Join(some(g, portSegments, 1, 6), ", "))
	g.line("\tset devs { type ifname; elements = { %s }; }", strings.Join(some(g, devices, 1, 2), ", "))
}

func (g *generator) concats(f string) []string {
	var out []string
	for _, a := range some(g, segments[f], 1, 3) {
		for _, p := range some(g, portSegments, 1, 3) {
			out = append(out, a+" . "+p)
		}
	}
	return out
}

const levels = 3

// regulars are written deepest first; a chain jumps to deeper ones only.
func (g *generator) regulars(t *genTable) {
	for _, kind := range []string{"filter", "dst", "src", "in"} {
		byLevel := make([][]string, levels+2)
		t.regular[kind] = byLevel
		for level := levels; level > 0; level-- {
			for i := range g.IntN(3) {
				name := fmt.Sprintf("%s_%d%c", kind, level, 'a'+i)
				g.line("\tchain %s {", name)
				g.rules(&ground{table: t, kind: kind, level: level}, 1+g.IntN(4))
				g.line("\t}")
				byLevel[level] = append(byLevel[level], name)
			}
		}
	}
}

// base chains of type filter or route, at the priorities that people use.
func (g *generator) filterBase(t *genTable, i int) {
	where := pick(g, []struct {
		hook string
		prio []string
	}{
		{"prerouting", []string{"raw", "mangle", "-199", "-151", "filter", "-90"}},
		{"prerouting", []string{"raw", "mangle", "-199", "-151", "filter", "-90"}},
		{"forward", []string{"mangle", "filter", "-1"}},
		{"output", []string{"raw", "mangle", "filter", "-99"}},
		{"postrouting", []string{"mangle", "filter", "99"}},
		{"input", []string{"mangle", "filter", "99"}},
	})
	typ, prio := "filter", pick(g, where.prio)
	if where.hook == "output" && g.in(40) {
		typ = "route"
	}
	g.line("\tchain f%d {\n\t\ttype %s hook %s priority %s; policy accept;", i, typ, where.hook, prio)
	g.rules(&ground{table: t, kind: "filter", raw: prio == "raw"}, 1+g.IntN(5))
	g.line("\t}")
}

func (g *generator) natBase(t *genTable, i int) {
	where := pick(g, []struct{ kind, hook, prio string }{
		{"dst", "prerouting", "dstnat"}, {"dst", "prerouting", "dstnat"}, {"src", "postrouting", "srcnat"},
		{"src", "postrouting", "srcnat"}, {"out", "output", "-100"}, {"in", "input", "100"},
	})
	prio := where.prio
	if g.in(60) { // where tables share one, the kernel does not tell which is asked first
		prio = pick(g, []string{"-190", "-101", "-100", "-99", "-50", "-5", "0", "7", "50", "100", "101", "102", "110", "200", "300"})
	}
	g.line("\tchain n%d {\n\t\ttype nat hook %s priority %s; policy accept;", i, where.hook, prio)
	g.rules(&ground{table: t, kind: where.kind}, 2+g.IntN(7))
	g.line("\t}")
}

func (g *generator) rules(w *ground, n int) {
	for range n {
		g.line("\t\t%s", g.rule(w))
	}
}

// draft is one rule being written. Once it has settled on a family or a
// protocol, nft takes nothing that contradicts it.
type draft struct {
	*ground
	ip    string // ip, ip6, or "" for either
	proto string // tcp, udp, icmp, or "" for any
	words []string
}

func (d *draft) add(format string, a ...any) { d.words = append(d.words, fmt.Sprintf(format, a...)) }

func (d *draft) hasPorts() bool { return d.proto == "tcp" || d.proto == "udp" }

func (g *generator) rule(w *ground) string {
	d := &draft{ground: w, proto: pick(g, []string{"", "", "tcp", "tcp", "udp", "icmp"})}
	if f := w.table.families(); len(f) == 1 {
		d.ip = f[0]
	} else if g.in(70) {
		d.ip = pick(g, f)
	}
	if d.proto == "icmp" && d.ip == "" {
		d.proto = ""
	}
	if d.hasPorts() {
		g.ports(d)
	} else if d.proto == "icmp" {
		d.add("%s type echo-request", map[string]string{"ip": "icmp", "ip6": "icmpv6"}[d.ip])
	}
	for range g.IntN(3) {
		pick(g, conditions)(g, d)
	}
	if g.in(5) {
		d.add("counter")
	}
	if g.in(12) {
		pick(g, marks)(g, d)
	}
	g.end(d)
	return strings.Join(d.words, " ")
}

// end writes the statement that the rule is for.
func (g *generator) end(d *draft) {
	target := map[string]string{"out": "dst"}[d.kind]
	if target == "" {
		target = d.kind
	}
	deeper := d.table.regular[target][d.level+1]
	if d.level == 0 && g.in(30) {
		deeper = append(slices.Clone(deeper), d.table.regular["filter"][1]...)
	}
	switch {
	case len(deeper) > 0 && g.in(25):
		if g.in(35) {
			g.verdictMap(d, deeper)
			return
		}
		d.add("%s %s", pick(g, []string{"jump", "jump", "goto"}), pick(g, deeper))
	case d.kind != "filter" && g.in(80):
		g.nat(d)
	case d.raw && g.in(10):
		if d.proto == "" {
			d.add("meta l4proto { tcp, udp }")
		}
		d.add("%s", pick(g, []string{"notrack", "ct zone set 1", "ct zone set 2"}))
	case g.in(25):
		d.add("%s", pick(g, []string{"return", "accept", "return", "continue"}))
	case g.in(4): // but not neighbour discovery
		if d.proto == "" {
			d.add("meta l4proto { tcp, udp }")
		}
		d.add("%s saddr %s drop", g.settle(d), pick(g, points[d.ip]))
	default:
		pick(g, marks)(g, d)
	}
}

// settle makes the rule one of a single family.
func (g *generator) settle(d *draft) string {
	if d.ip == "" {
		d.ip = pick(g, d.table.families())
	}
	return d.ip
}

// verdictMap leads to chains by a key, some of them intervals, some a default.
func (g *generator) verdictMap(d *draft, deeper []string) {
	var key string
	var from []string
	switch g.IntN(8) {
	case 3:
		key, from = "ct state", []string{"new", "established", "untracked"}
	case 4:
		key, from = "fib daddr type", []string{"local", "unicast", "broadcast"}
	case 5:
		key, from = "meta mark and 0xff", []string{"0x0", "0x1", "0x2", "0x10"}
	case 6:
		key, from = "iifname . meta l4proto", []string{`"c0" . tcp`, `"c0" . udp`, `"s0" . tcp`, `"s0" . udp`, `"lo" . tcp`}
	case 7:
		if d.hasPorts() {
			key, from = g.settle(d)+" saddr . "+d.proto+" dport", g.concats(d.ip)
			break
		}
		key, from = "meta l4proto", []string{"tcp", "udp", "icmp", "ipv6-icmp"}
	case 0:
		key, from = g.settle(d)+" "+pick(g, []string{"saddr", "daddr"}), segments[d.ip]
	case 1:
		key, from = "meta mark", []string{"0x0", "0x1", "0x2-0xff", "0x4000"}
	case 2:
		key, from = "iifname", devices
	default:
		if !d.hasPorts() {
			key, from = "meta l4proto", []string{"tcp", "udp"}
		} else {
			key, from = d.proto+" "+pick(g, []string{"dport", "dport", "sport"}), portSegments
		}
	}
	var elements []string
	for _, k := range some(g, from, 1, 4) {
		elements = append(elements, k+" : "+g.mapVerdict(deeper))
	}
	if g.in(30) && key != "iifname" {
		elements = append(elements, "* : "+g.mapVerdict(deeper))
	}
	d.add("%s vmap { %s }", key, strings.Join(elements, ", "))
}

func (g *generator) mapVerdict(deeper []string) string {
	if g.in(20) {
		return pick(g, []string{"accept", "return", "continue"})
	}
	return pick(g, []string{"jump", "goto"}) + " " + pick(g, deeper)
}
