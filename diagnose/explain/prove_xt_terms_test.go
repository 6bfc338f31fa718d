//go:build linux

package explain_test

import (
	"slices"

	"github.com/ntdiag/ntdiag/diagnose/lab"
)

// xtConditions is one row a sort of match; one that does not go where the rule
// stands adds nothing.
var xtConditions = []func(*xtGenerator, *xtDraft){
	xtMark, xtMark, xtMark, xtConntrack, xtConntrack, xtAddrtype, xtAddrtype, xtIPRange, xtSet, xtSet, xtOpen, xtOpen, xtSmall, xtOwner,
}

func xtMark(x *xtGenerator, d *xtDraft) {
	g := x.generator
	name := pick(g, []string{"mark", "mark", "connmark"})
	mask := pick(g, append([]string{""}, masks...))
	if mask != "" {
		mask = "/" + mask
	}
	d.add("-m %s %s--mark %s%s", name, g.not(25), pick(g, markValues), mask)
}

func xtConntrack(x *xtGenerator, d *xtDraft) {
	g := x.generator
	switch g.IntN(8) {
	case 0:
		d.add("-m conntrack --ctstate NEW")
	case 1:
		d.add("-m conntrack ! --ctstate RELATED,ESTABLISHED")
	case 2:
		d.add("-m conntrack --ctstate %s", pick(g, []string{"NEW,UNTRACKED", "DNAT", "SNAT,DNAT", "INVALID"}))
	case 3:
		o := pick(g, []string{"--ctorigsrc", "--ctorigdst", "--ctreplsrc", "--ctrepldst"})
		d.add("-m conntrack %s%s %s", g.not(20), o, pick(g, slices.Concat(points[x.ip], xtPrefixes[x.ip][:5])))
	case 4:
		o := pick(g, []string{"--ctorigdstport", "--ctorigsrcport", "--ctrepldstport", "--ctreplsrcport"})
		d.add("-m conntrack --ctproto %s %s%s %s", pick(g, []string{"tcp", "udp"}), g.not(20), o, pick(g, []string{"80", "443", "1:1024", "40000:40005"}))
	case 5:
		d.add("-m conntrack --ctdir %s", pick(g, []string{"ORIGINAL", "REPLY"}))
	case 6:
		d.add("-m conntrack %s--ctstatus %s", g.not(30), pick(g, []string{"NONE", "CONFIRMED", "ASSURED", "EXPECTED"}))
	default:
		d.add("-m state --state %s", pick(g, []string{"NEW", "NEW,RELATED", "UNTRACKED"}))
	}
}

func xtAddrtype(x *xtGenerator, d *xtDraft) {
	g := x.generator
	end := pick(g, []string{"dst", "dst", "src"})
	d.add("-m addrtype %s--%s-type %s", g.not(25), end, pick(g, []string{"LOCAL", "LOCAL", "UNICAST", map[string]string{"ip": "LOCAL,BROADCAST", "ip6": "LOCAL,ANYCAST"}[x.ip]}))
}

func xtIPRange(x *xtGenerator, d *xtDraft) {
	g := x.generator
	d.add("-m iprange %s--%s-range %s", g.not(20), pick(g, []string{"src", "dst"}), pick(g, xtRanges[x.ip]))
}

// xtSet asks an ipset of those that ipsets makes.
func xtSet(x *xtGenerator, d *xtDraft) {
	g := x.generator
	n := map[string]string{"ip": "4", "ip6": "6"}[x.ip]
	dir := func() string { return pick(g, []string{"src", "dst"}) }
	switch g.IntN(9) {
	case 0:
		d.add("-m set %s--match-set ip%s %s", g.not(25), n, dir())
	case 1:
		d.add("-m set %s--match-set port%s %s,%s", g.not(25), n, dir(), dir())
	case 2:
		d.add("-m set %s--match-set ports %s", g.not(25), dir())
	case 3:
		d.add("-m set %s--match-set dev%s %s,%s", g.not(25), n, dir(), dir())
	case 4:
		d.add("-m set %s--match-set %s%s %s,%s,%s", g.not(25), pick(g, []string{"pair", "reach"}), n, dir(), dir(), dir())
	case 5:
		d.add("-m set %s--match-set serves%s %s,%s%s", g.not(25), n, dir(), dir(), g.maybe(25, " --return-nomatch"))
	case 6:
		d.add("-m set %s--match-set late%s %s", g.not(25), n, dir())
	case 7:
		d.add("-m set %s--match-set any %s,%s", g.not(25), dir(), dir())
	default:
		d.add("-m set %s--match-set net%s %s%s", g.not(25), n, dir(), g.maybe(25, " --return-nomatch"))
	}
}

// xtOpen is one that no entry records.
func xtOpen(x *xtGenerator, d *xtDraft) {
	g := x.generator
	switch g.IntN(8) {
	case 0:
		d.add("-m statistic --mode random %s--probability %s", g.not(20), pick(g, []string{"0.5", "0.33333333349", "0.25"}))
	case 1:
		d.add("-m statistic --mode nth --every %d --packet 0", 2+g.IntN(2))
	case 2:
		d.add("-m limit --limit 5/hour --limit-burst 3")
	case 3:
		d.add("-m recent --name seen%d --%s", g.IntN(3), pick(g, []string{"set", "rcheck", "update"}))
	case 4:
		d.add("-m length --length 0:100")
	case 5:
		d.add("%s", map[string]string{"ip": "-m ttl --ttl-gt 10", "ip6": "-m hl --hl-gt 10"}[x.ip])
	case 6:
		d.add("-m hashlimit --hashlimit-upto 5/hour --hashlimit-burst 3 --hashlimit-mode srcip --hashlimit-name h%d", g.IntN(1000))
	default:
		d.add("-m string --string abc --algo bm")
	}
}

func xtSmall(x *xtGenerator, d *xtDraft) {
	g := x.generator
	switch g.IntN(4) {
	case 0:
		d.add("-m pkttype %s--pkt-type %s", g.not(30), pick(g, []string{"unicast", "broadcast"}))
	case 1:
		xtHeaderIs(x, d)
	case 2:
		d.add("-m tos --tos 0x0%s", pick(g, []string{"", "0/0xff"}))
	default:
		if x.table == "raw" && d.chain == "PREROUTING" {
			d.add("-m rpfilter%s", pick(g, []string{"", " --invert", " --loose"}))
		}
	}
}

// xtHeaderIs asks for what xtHeader writes.
func xtHeaderIs(x *xtGenerator, d *xtDraft) {
	g := x.generator
	switch g.IntN(3) {
	case 0:
		d.add("-m tos %s--tos 0x%02x/0x%02x", g.not(30), g.IntN(4)<<2, pick(g, []int{0xff, 0x0c, 0x04}))
	case 1:
		d.add("%s %d", map[string]string{"ip": "-m ttl --ttl-eq", "ip6": "-m hl --hl-eq"}[x.ip], 98+g.IntN(6))
	case 2:
		d.add("-m dscp %s--dscp 0x0%d", g.not(30), g.IntN(3))
	}
}

// xtOwner is for what the machine itself sends.
func xtOwner(x *xtGenerator, d *xtDraft) {
	if d.kind == "out" || d.kind == "output" || d.kind == "src" || d.kind == "postrouting" {
		not, uid := x.not(30), x.IntN(2)
		if lab.UserNamespace() {
			uid = 0 // it has no other
		}
		d.add("-m owner %s--uid-owner %d", not, uid)
	}
}
