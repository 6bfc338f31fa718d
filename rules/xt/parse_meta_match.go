package xt

import (
	"math"
	"strings"

	"github.com/ntdiag/ntdiag/rules"
)

// metaTexts look at marks, devices, conntrack and the machine.
var metaTexts = []textRow{
	{name: "conntrack", options: ctOptionNames, build: textConntrack},
	{name: "state", options: "state=1", build: textState},
	{name: "mark", options: "mark=1", build: textMark(&rules.Meta{Key: rules.MetaMark})},
	{name: "connmark", options: "mark=1", build: textMark(&rules.Ct{Key: rules.CtMark, Dir: rules.CtDirNone})},
	{name: "connlabel", options: "label=1 set", build: textConnlabel},
	{name: "addrtype", options: "src-type=1 dst-type=1 limit-iface-in limit-iface-out", build: textAddrtype},
	{name: "owner", options: "uid-owner=1 gid-owner=1 socket-exists suppl-groups", build: textOwner},
	{name: "physdev", options: "physdev-in=1 physdev-out=1 physdev-is-in physdev-is-out physdev-is-bridged", build: textPhysdev},
	{name: "pkttype", options: "pkt-type=1", build: textPkttype},
	{name: "devgroup", options: "src-group=1 dst-group=1", build: textDevgroup},
	{name: "nfacct", options: "nfacct-name=1", build: textNfacct},
	{name: "cluster", options: "cluster-total-nodes=1 cluster-local-node=1 cluster-local-nodemask=1 cluster-hash-seed=1", build: textCluster},
	{name: "realm", family: rules.FamilyIPv4, options: "realm=1", build: textRealm},
	{name: "set", options: "match-set,set=2 return-nomatch update-counters update-subcounters packets-eq=1 packets-lt=1 packets-gt=1 bytes-eq=1 bytes-lt=1 bytes-gt=1", build: textSet},
}

const ctOptionNames = "ctstate=1 ctproto=1 ctorigsrc=1 ctorigdst=1 ctreplsrc=1 ctrepldst=1 ctorigsrcport=1 ctorigdstport=1 " +
	"ctreplsrcport=1 ctrepldstport=1 ctstatus=1 ctexpire=1 ctdir=1"

func textConntrack(c *Context, g *given) Extension {
	x := &conntrack{}
	for i := range x.addr {
		x.addr[i], x.mask[i] = zeroAddr(c.Family), zeroAddr(c.Family)
	}
	asks := func(bit uint16, name string) (string, bool) {
		s, inv, ok := g.get(name)
		if ok {
			x.ask |= bit
		}
		if inv {
			x.invert |= bit
		}
		return s, ok
	}
	if s, ok := asks(ctAskState, "ctstate"); ok {
		x.state = g.states(s)
	}
	if s, ok := asks(ctAskProto, "ctproto"); ok {
		x.proto = g.proto(s)
	}
	for i, a := range ctAddrs {
		if s, ok := asks(a.ask, a.option[2:]); ok {
			x.addr[i], x.mask[i] = g.prefix(c, s)
		}
	}
	for i, p := range ctPorts {
		if s, ok := asks(p.ask, p.option[2:]); ok {
			x.port[i] = g.ports(s)
		}
	}
	if s, ok := asks(ctAskStatus, "ctstatus"); ok {
		x.status = uint16(g.list(s, func(w string) (uint32, bool) {
			for _, known := range statusWords {
				if known.name == w {
					return uint32(known.bit), true
				}
			}
			return 0, w == "NONE"
		}))
	}
	if s, ok := asks(ctAskExpires, "ctexpire"); ok {
		n := g.numbers(s, ":")
		x.expires = [2]uint32{n.lo, n.hi}
	}
	if s, ok := asks(ctAskDirection, "ctdir"); ok {
		switch strings.ToUpper(s) {
		case "ORIGINAL":
		case "REPLY":
			x.invert |= ctAskDirection
		default:
			g.fail("direction %q is not known", s)
		}
	}
	if x.ask == 0 {
		g.fail("conntrack: nothing is asked for")
	}
	return x
}

func (g *given) states(s string) uint16 {
	return uint16(g.list(s, func(w string) (uint32, bool) {
		for _, known := range stateWords {
			if known.name == w {
				return uint32(known.bit), true
			}
		}
		return 0, false
	}))
}

func (g *given) proto(s string) uint8 {
	n, err := protoNumber(s)
	if err != nil {
		g.fail("%w", err)
	}
	if n > math.MaxUint8 {
		g.fail("protocol %d", n)
	}
	return uint8(n)
}

// textState: iptables has made a conntrack match of -m state since 1.4.17.
func textState(c *Context, g *given) Extension {
	x := textConntrack(c, &given{opts: []option{{name: "ctdir", values: []string{"ORIGINAL"}}}}).(*conntrack)
	s, inv, ok := g.get("state")
	if !ok {
		g.fail("state: no state")
	}
	x.ask, x.invert = ctAskState|ctAskAlias, 0
	if inv {
		x.invert = ctAskState
	}
	x.state = g.states(s)
	return x
}

func textMark(of rules.Expr) func(*Context, *given) Extension {
	return func(_ *Context, g *given) Extension {
		x := &markMatch{of: of}
		s, inv, ok := g.get("mark")
		if !ok {
			g.fail("no mark")
			return x
		}
		x.mark, x.mask = g.masked(s)
		x.invert = inv
		return x
	}
}

func textConnlabel(_ *Context, g *given) Extension {
	s, inv, _ := g.get("label")
	x := &connlabel{bit: uint16(g.uint(s, connlabelMax))}
	if inv {
		x.options |= connlabelInvert
	}
	if g.has("set") {
		x.options |= connlabelSet
	}
	return x
}

func textAddrtype(_ *Context, g *given) Extension {
	x := &addrtype{}
	types := func(name string, flag uint32) uint16 {
		s, inv, ok := g.get(name)
		if !ok {
			return 0
		}
		if inv {
			x.flags |= flag
		}
		return uint16(g.list(s, func(w string) (uint32, bool) {
			for i, known := range addrtypeNames {
				if known == w {
					return 1 << i, true
				}
			}
			return 0, false
		}))
	}
	x.src, x.dst = types("src-type", addrtypeInvertSrc), types("dst-type", addrtypeInvertDst)
	if g.has("limit-iface-in") {
		x.flags |= addrtypeIifOnly
	}
	if g.has("limit-iface-out") {
		x.flags |= addrtypeOifOnly
	}
	r := &reader{}
	x.checked(r)
	if r.err != nil {
		g.fail("%w", r.err)
	}
	return x
}

func textOwner(_ *Context, g *given) Extension {
	x := &owner{}
	ask := func(name string, bit uint8) (string, bool) {
		s, inv, ok := g.get(name)
		if ok {
			x.ask |= bit
		}
		if inv {
			x.invert |= bit
		}
		return s, ok
	}
	if s, ok := ask("uid-owner", ownerUID); ok {
		x.uid = g.owners(s, "user")
	}
	if s, ok := ask("gid-owner", ownerGID); ok {
		x.gid = g.owners(s, "group")
	}
	ask("socket-exists", ownerSocket)
	ask("suppl-groups", ownerSuppl)
	return x
}

// owners reads N or N-M. What number a name has is known to the machine alone.
func (g *given) owners(s, of string) numbers {
	if s == "root" {
		return numbers{}
	}
	if s != "" && (s[0] < '0' || s[0] > '9') {
		g.fail("number of the %s %q is not in the text", of, s)
		return numbers{}
	}
	return g.numbers(s, "-")
}

func textPhysdev(_ *Context, g *given) Extension {
	x := &physdev{}
	for _, o := range physdevOptions {
		s, inv, ok := g.get(o.name[2:])
		if !ok {
			continue
		}
		if x.ask |= o.flag; inv {
			x.invert |= o.flag
		}
		switch o.name {
		case "--physdev-in":
			x.in = s
		case "--physdev-out":
			x.out = s
		}
	}
	if x.ask == 0 {
		g.fail("physdev: nothing is asked for")
	}
	return x
}

func textPkttype(_ *Context, g *given) Extension {
	s, inv, _ := g.get("pkt-type")
	x := &pkttype{invert: inv}
	for i, name := range pkttypeNames {
		if name == s {
			x.typ = uint32(i)
			return x
		}
	}
	switch s {
	case "bcast":
		x.typ = 1
	case "mcast":
		x.typ = 2
	case "host":
		x.typ = 0
	default:
		x.typ = uint32(g.u8(s))
	}
	return x
}

func textDevgroup(_ *Context, g *given) Extension {
	x := &devgroup{}
	group := func(name string, ask, invert uint32) (group, mask uint32) {
		s, inv, ok := g.get(name)
		if !ok {
			return 0, 0
		}
		if x.flags |= ask; inv {
			x.flags |= invert
		}
		if s == "default" {
			return 0, math.MaxUint32
		}
		return g.masked(s)
	}
	x.src, x.srcMask = group("src-group", devgroupSrc, devgroupInvertSrc)
	x.dst, x.dstMask = group("dst-group", devgroupDst, devgroupInvertDst)
	return x
}

func textNfacct(_ *Context, g *given) Extension {
	s, _, _ := g.get("nfacct-name")
	return &nfacct{s}
}

func textCluster(_ *Context, g *given) Extension {
	x := &cluster{
		total: uint32(g.number("cluster-total-nodes", clusterNodesMax, 0)),
		seed:  uint32(g.number("cluster-hash-seed", math.MaxUint32, 0)),
		nodes: uint32(g.number("cluster-local-nodemask", math.MaxUint32, 0)),
	}
	_, inv, _ := g.get("cluster-local-nodemask")
	if s, i, ok := g.get("cluster-local-node"); ok {
		if n := g.uint(s, clusterNodesMax); n > 0 {
			x.nodes |= 1 << (n - 1)
		}
		inv = i
	}
	if inv {
		x.flags = 1
	}
	return x
}

func textRealm(_ *Context, g *given) Extension {
	s, inv, _ := g.get("realm")
	x := &realm{invert: inv, mask: math.MaxUint32}
	if s != "cosmos" {
		x.id, x.mask = g.masked(s)
	}
	return x
}

// textSet refers to a set by its name: the number is the machine's.
func textSet(c *Context, g *given) Extension {
	x := &setMatch{}
	name, dims, inv, ok := g.pair("match-set")
	if !ok {
		g.fail("set: no set")
	}
	x.IPSetRef, x.Invert = g.setRef(c, name, dims), inv
	x.ReturnNomatch = g.has("return-nomatch")
	_, x.KeepCounters, _ = g.get("update-counters")
	_, x.KeepSubcounters, _ = g.get("update-subcounters")
	x.Packets, x.Bytes = g.counterMatch("packets"), g.counterMatch("bytes")
	return x
}

func (g *given) setRef(c *Context, name, dims string) rules.IPSetRef {
	ref := rules.IPSetRef{ID: rules.IPSetNoID, Name: name}
	if c.setNamed != nil {
		if ref.Set = c.setNamed(name); ref.Set != nil {
			ref.ID = ref.Set.ID
		}
	}
	for d := range strings.SplitSeq(dims, ",") {
		switch d {
		case "src":
			ref.Dims = append(ref.Dims, rules.IPSetSrc)
		case "dst":
			ref.Dims = append(ref.Dims, rules.IPSetDst)
		default:
			g.fail("%q is not src or dst", d)
		}
	}
	if len(ref.Dims) > ipsetDims {
		g.fail("%d directions of a set, at most %d", len(ref.Dims), ipsetDims)
	}
	return ref
}

func (g *given) counterMatch(of string) (m rules.IPSetCounterMatch) {
	for _, o := range []struct {
		suffix string
		op     rules.IPSetCounterOp
	}{{"-eq", rules.IPSetCounterEq}, {"-lt", rules.IPSetCounterLt}, {"-gt", rules.IPSetCounterGt}} {
		if s, inv, ok := g.get(of + o.suffix); ok {
			m = rules.IPSetCounterMatch{Op: o.op, Value: g.uint(s, math.MaxUint64)}
			if inv && o.op == rules.IPSetCounterEq {
				m.Op = rules.IPSetCounterNe
			}
		}
	}
	return m
}
