package xt

import (
	"net"
	"net/netip"
	"strings"

	"github.com/ntdiag/ntdiag/rules"
)

// headerTexts look at headers that an entry tells.
var headerTexts = []textRow{
	{name: "tcp", options: portOptionNames + " tcp-flags=2 syn tcp-option=1", build: textTCP},
	{name: "udp", options: portOptionNames, build: textUDP},
	{name: "udplite", options: portOptionNames, build: textUDP},
	{name: "multiport", options: "sports,source-ports=1 dports,destination-ports=1 ports=1", build: textMultiport},
	{name: "sctp", options: portOptionNames + " chunk-types=2", build: textSCTP},
	{name: "dccp", options: portOptionNames + " dccp-types=1 dccp-option=1", build: textDCCP},
	{name: "icmp", family: rules.FamilyIPv4, options: "icmp-type=1", build: textICMP},
	{name: "icmp6", family: rules.FamilyIPv6, options: "icmpv6-type,icmp6-type=1", build: textICMP},
	{name: "esp", options: "espspi=1", build: textSPI("--espspi", 0)},
	{name: "ah", family: rules.FamilyIPv4, options: "ahspi=1", build: textSPI("--ahspi", 4)},
	{name: "ah", family: rules.FamilyIPv6, options: "ahspi=1 ahlen=1 ahres", build: textAH6},
	{name: "iprange", options: "src-range=1 dst-range=1", build: textIprange},
	{name: "ecn", options: "ecn-tcp-cwr ecn-tcp-ece ecn-ip-ect=1 ip-ect=1", build: textECN},
	{name: "eui64", family: rules.FamilyIPv6, build: func(*Context, *given) Extension { return eui64{} }},
	{name: "frag", family: rules.FamilyIPv6, options: "fragid=1 fraglen=1 fragres fragfirst fragmore fraglast", build: textFrag6},
	{name: "rt", family: rules.FamilyIPv6, options: "rt-type=1 rt-segsleft=1 rt-len=1 rt-0-res rt-0-addrs=1 rt-0-not-strict", build: textRT6},
	{name: "hbh", family: rules.FamilyIPv6, options: "hbh-len=1 hbh-opts=1", build: textOpts6("hbh")},
	{name: "dst", family: rules.FamilyIPv6, options: "dst-len=1 dst-opts=1", build: textOpts6("dst")},
	{name: "ipv6header", family: rules.FamilyIPv6, options: "header=1 soft", build: textHeaders6},
	{name: "mh", family: rules.FamilyIPv6, options: "mh-type=1", build: textMH},
	{name: "mac", options: "mac-source=1", build: textMAC},
}

const portOptionNames = "sport,source-port=1 dport,destination-port=1"

func (g *given) portOption(name string) (p ports, invert bool) {
	p = ports{0, 0xffff}
	if s, inv, ok := g.get(name); ok {
		return g.ports(s), inv
	}
	return p, false
}

func textTCP(_ *Context, g *given) Extension {
	x := &tcp{}
	var inv bool
	if x.sport, inv = g.portOption("sport"); inv {
		x.inv |= tcpInvSrc
	}
	if x.dport, inv = g.portOption("dport"); inv {
		x.inv |= tcpInvDst
	}
	if s, inv, ok := g.get("tcp-option"); ok {
		x.option = g.u8(s)
		if inv {
			x.inv |= tcpInvOption
		}
	}
	mask, want, inv, ok := g.pair("tcp-flags")
	if _, i, syn := g.get("syn"); syn && !ok {
		mask, want, inv, ok = "FIN,SYN,RST,ACK", "SYN", i, true
	}
	if ok {
		x.mask, x.want = g.tcpFlags(mask), g.tcpFlags(want)
		if inv {
			x.inv |= tcpInvFlags
		}
	}
	return x
}

func (g *given) tcpFlags(s string) uint8 {
	return uint8(g.list(s, func(w string) (uint32, bool) {
		switch w {
		case "NONE":
			return 0, true
		case "ALL":
			return 0x3f, true
		}
		for _, f := range tcpFlags {
			if f.name == w {
				return uint32(f.bit), true
			}
		}
		return 0, false
	}))
}

func textUDP(_ *Context, g *given) Extension {
	x := &udp{}
	var inv bool
	if x.sport, inv = g.portOption("sport"); inv {
		x.inv |= udpInvSrc
	}
	if x.dport, inv = g.portOption("dport"); inv {
		x.inv |= udpInvDst
	}
	return x
}

func textMultiport(_ *Context, g *given) Extension {
	x := &multiport{}
	for i := range multiportSides {
		s, inv, ok := g.get(strings.TrimPrefix(multiportSides[i].option, "--"))
		if !ok {
			continue
		}
		x.which, x.invert = &multiportSides[i], inv
		n := 0
		for one := range strings.SplitSeq(s, ",") {
			p := g.ports(one)
			if n++; p.lo != p.hi {
				n++
			}
			if p.lo > p.hi {
				g.fail("multiport: %s is no range", one)
			}
			x.ports = append(x.ports, p)
		}
		if n > multiportMax {
			g.fail("multiport: %d ports, at most %d", n, multiportMax)
		}
	}
	if x.which == nil {
		g.fail("multiport: no ports")
		x.which = &multiportSides[0]
	}
	return x
}

func (g *given) portPair(pp *portPair) (ask, invert uint32) {
	for _, o := range []struct {
		name string
		bit  uint32
		to   *ports
	}{{"sport", sctpSrc, &pp.sport}, {"dport", sctpDst, &pp.dport}} {
		if s, inv, ok := g.get(o.name); ok {
			*o.to = g.ports(s)
			ask |= o.bit
			if inv {
				invert |= o.bit
			}
		}
	}
	return ask, invert
}

func textSCTP(_ *Context, g *given) Extension {
	x := &xtSCTP{}
	x.ask, x.invert = g.portPair(&x.portPair)
	kind, list, inv, ok := g.pair("chunk-types")
	if !ok {
		return x
	}
	x.ask |= sctpChunks
	if inv {
		x.invert |= sctpChunks
	}
	for n, name := range sctpKinds {
		if name == strings.ToLower(kind) {
			x.kind = n
		}
	}
	if x.kind == 0 {
		g.fail("%q is not any, all or only", kind)
	}
	switch strings.ToUpper(list) {
	case "NONE":
		return x
	case "ALL":
		for i := range x.chunks {
			x.chunks[i] = 0xffffffff
		}
		return x
	}
	for one := range strings.SplitSeq(list, ",") {
		x.textChunk(g, one)
	}
	return x
}

// textChunk is NAME or NAME:FLAGS, whose capitals are set.
func (x *xtSCTP) textChunk(g *given, s string) {
	name, flags, _ := strings.Cut(s, ":")
	for n, known := range sctpChunkNames {
		if known.name != strings.ToUpper(name) {
			continue
		}
		x.chunks[n/32] |= 1 << (n % 32)
		f := sctpFlags{chunk: n}
		for _, c := range flags {
			at := strings.IndexRune(strings.ToUpper(known.flags), c&^0x20)
			if at < 0 {
				g.fail("chunk %s has no flag %c", name, c)
				return
			}
			bit := uint8(1) << (len(known.flags) - 1 - at)
			f.mask |= bit
			if c >= 'A' && c <= 'Z' {
				f.want |= bit
			}
		}
		if f.mask != 0 {
			x.flags = append(x.flags, f)
		}
		return
	}
	g.fail("chunk %q is not known", name)
}

func textDCCP(_ *Context, g *given) Extension {
	x := &xtDCCP{}
	x.ask, x.invert = g.portPair(&x.portPair)
	if s, inv, ok := g.get("dccp-types"); ok {
		x.ask |= dccpTypes
		if inv {
			x.invert |= dccpTypes
		}
		x.types = uint16(g.list(s, func(w string) (uint32, bool) {
			for i, name := range dccpTypeNames {
				if name == w {
					if name == "INVALID" {
						return 0xffff << i & 0xffff, true
					}
					return 1 << i, true
				}
			}
			return 0, false
		}))
	}
	if s, inv, ok := g.get("dccp-option"); ok {
		x.ask |= dccpOption
		if inv {
			x.invert |= dccpOption
		}
		x.option = g.u8(s)
	}
	return x
}

// icmpNames are the types that iptables has names for (icmp_codes,
// icmpv6_codes): type, and the range of codes.
var icmpNames = map[rules.Family]map[string][3]uint8{
	rules.FamilyIPv4: {
		"any": {0xff, 0, 0xff}, "echo-reply": {0, 0, 0xff}, "pong": {0, 0, 0xff},
		"destination-unreachable": {3, 0, 0xff}, "network-unreachable": {3, 0, 0}, "host-unreachable": {3, 1, 1},
		"protocol-unreachable": {3, 2, 2}, "port-unreachable": {3, 3, 3}, "fragmentation-needed": {3, 4, 4},
		"source-route-failed": {3, 5, 5}, "network-unknown": {3, 6, 6}, "host-unknown": {3, 7, 7},
		"network-prohibited": {3, 9, 9}, "host-prohibited": {3, 10, 10},
		"TOS-network-unreachable": {3, 11, 11}, "TOS-host-unreachable": {3, 12, 12},
		"communication-prohibited": {3, 13, 13}, "host-precedence-violation": {3, 14, 14}, "precedence-cutoff": {3, 15, 15},
		"source-quench": {4, 0, 0xff}, "redirect": {5, 0, 0xff}, "network-redirect": {5, 0, 0}, "host-redirect": {5, 1, 1},
		"TOS-network-redirect": {5, 2, 2}, "TOS-host-redirect": {5, 3, 3}, "echo-request": {8, 0, 0xff}, "ping": {8, 0, 0xff},
		"router-advertisement": {9, 0, 0xff}, "router-solicitation": {10, 0, 0xff},
		"time-exceeded": {11, 0, 0xff}, "ttl-exceeded": {11, 0, 0xff},
		"ttl-zero-during-transit": {11, 0, 0}, "ttl-zero-during-reassembly": {11, 1, 1},
		"parameter-problem": {12, 0, 0xff}, "ip-header-bad": {12, 0, 0}, "required-option-missing": {12, 1, 1},
		"timestamp-request": {13, 0, 0xff}, "timestamp-reply": {14, 0, 0xff},
		"address-mask-request": {17, 0, 0xff}, "address-mask-reply": {18, 0, 0xff},
	},
	rules.FamilyIPv6: {
		"destination-unreachable": {1, 0, 0xff}, "no-route": {1, 0, 0}, "communication-prohibited": {1, 1, 1},
		"beyond-scope": {1, 2, 2}, "address-unreachable": {1, 3, 3}, "port-unreachable": {1, 4, 4},
		"failed-policy": {1, 5, 5}, "reject-route": {1, 6, 6}, "packet-too-big": {2, 0, 0xff},
		"time-exceeded": {3, 0, 0xff}, "ttl-exceeded": {3, 0, 0xff},
		"ttl-zero-during-transit": {3, 0, 0}, "ttl-zero-during-reassembly": {3, 1, 1},
		"parameter-problem": {4, 0, 0xff}, "bad-header": {4, 0, 0}, "unknown-header-type": {4, 1, 1}, "unknown-option": {4, 2, 2},
		"echo-request": {128, 0, 0xff}, "ping": {128, 0, 0xff}, "echo-reply": {129, 0, 0xff}, "pong": {129, 0, 0xff},
		"mld-listener-query": {130, 0, 0xff}, "mld-listener-report": {131, 0, 0xff},
		"mld-listener-done": {132, 0, 0xff}, "mld-listener-reduction": {132, 0, 0xff},
		"router-solicitation": {133, 0, 0xff}, "router-advertisement": {134, 0, 0xff},
		"neighbour-solicitation": {135, 0, 0xff}, "neighbor-solicitation": {135, 0, 0xff},
		"neighbour-advertisement": {136, 0, 0xff}, "neighbor-advertisement": {136, 0, 0xff}, "redirect": {137, 0, 0xff},
	},
}

func textICMP(c *Context, g *given) Extension {
	x := &icmp{typ: icmpAny, hi: 0xff, v6: c.Family == rules.FamilyIPv6}
	s, inv, ok := g.get("icmp-type")
	if x.v6 {
		s, inv, ok = g.get("icmpv6-type")
	}
	if !ok {
		if x.v6 {
			g.fail("no type of ICMPv6")
		}
		return x
	}
	x.invert = inv
	if known, ok := icmpNames[c.Family][s]; ok {
		x.typ, x.lo, x.hi = known[0], known[1], known[2]
		return x
	}
	typ, code, hasCode := strings.Cut(s, "/")
	if x.typ = g.u8(typ); hasCode {
		x.lo = g.u8(code)
		x.hi = x.lo
	}
	return x
}

func textSPI(opt string, off int) func(*Context, *given) Extension {
	return func(_ *Context, g *given) Extension {
		x := &spi{option: opt, off: off, spis: numbers{0, 0xffffffff}}
		if s, inv, ok := g.get(opt[2:]); ok {
			x.spis, x.invert = g.numbers(s, ":"), inv
		}
		return x
	}
}

func textIprange(c *Context, g *given) Extension {
	x := &iprange{src: [2]netip.Addr{zeroAddr(c.Family), zeroAddr(c.Family)}, dst: [2]netip.Addr{zeroAddr(c.Family), zeroAddr(c.Family)}}
	for _, side := range []struct {
		name string
		bit  uint8
		to   *[2]netip.Addr
	}{{"src-range", iprangeSrc, &x.src}, {"dst-range", iprangeDst, &x.dst}} {
		s, inv, ok := g.get(side.name)
		if !ok {
			continue
		}
		lo, hi, two := strings.Cut(s, "-")
		if !two {
			hi = lo
		}
		*side.to = [2]netip.Addr{g.addr(c, lo), g.addr(c, hi)}
		if x.flags |= side.bit; inv {
			x.flags |= side.bit << 4
		}
	}
	if x.flags == 0 {
		g.fail("iprange: no range")
	}
	return x
}

func textECN(_ *Context, g *given) Extension {
	x := &ecn{}
	for _, o := range []struct {
		name string
		bit  uint8
	}{{"ecn-tcp-ece", ecnECE}, {"ecn-tcp-cwr", ecnCWR}, {"ecn-ip-ect", ecnIP}, {"ip-ect", ecnIP}} {
		s, inv, ok := g.get(o.name)
		if !ok {
			continue
		}
		if x.ask |= o.bit; inv {
			x.invert |= o.bit
		}
		if o.bit == ecnIP {
			x.ect = uint8(g.uint(s, 3))
		}
	}
	return x
}

func textMAC(_ *Context, g *given) Extension {
	s, inv, _ := g.get("mac-source")
	hw, err := net.ParseMAC(s)
	if err != nil || len(hw) != 6 {
		g.fail("%q is not an Ethernet address", s)
		hw = make([]byte, 6)
	}
	return &mac{addr: hw, invert: inv}
}
