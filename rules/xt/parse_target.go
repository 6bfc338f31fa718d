package xt

import (
	"math"
	"net/netip"
	"strings"

	"github.com/ntdiag/ntdiag/rules"
)

// targetTexts are the targets that are understood.
var targetTexts = append(natTexts, otherTargetTexts...)

// matchTexts are the matches that are understood.
var matchTexts = append(append(headerTexts, metaTexts...), openTexts...)

// otherTargetTexts change the packet, end its way, or only look.
var otherTargetTexts = []textRow{
	{name: "MARK", options: "set-xmark=1 set-mark=1 and-mark=1 or-mark=1 xor-mark=1", build: textMARK},
	{name: "CONNMARK", options: connmarkOptionNames, build: textCONNMARK},
	{name: "CT", options: "notrack helper=1 timeout=1 ctevents=1 expevents=1 zone=1 zone-orig=1 zone-reply=1", build: textCT},
	{name: "NOTRACK", build: func(*Context, *given) Extension { return &ct{flags: ctNotrack | ctNotrackAlias} }},
	{name: "TPROXY", options: "on-port=1 on-ip=1 tproxy-mark=1", build: textTPROXY},
	{name: "REJECT", options: "reject-with=1", build: textREJECT},
	{name: "NFQUEUE", options: "queue-num=1 queue-balance=1 queue-bypass queue-cpu-fanout", build: textNFQUEUE},
	{name: "SYNPROXY", options: "sack-perm timestamp wscale=1 mss=1 ecn", build: textSYNPROXY},
	{name: "LOG", options: "log-prefix=1 log-level=1 log-tcp-sequence log-tcp-options log-ip-options log-uid log-macdecode", build: textLOG},
	{name: "NFLOG", options: "nflog-prefix=1 nflog-group=1 nflog-size=1 nflog-range=1 nflog-threshold=1", build: textNFLOG},
	{name: "TRACE", build: func(*Context, *given) Extension { return trace{} }},
	{name: "CLASSIFY", options: "set-class=1", build: textCLASSIFY},
	{name: "HMARK", options: hmarkOptionNames, build: textHMARK},
	{name: "SET", options: "add-set=2 del-set=2 map-set=2 exist timeout=1 map-mark map-prio map-queue", build: textSETTarget},
	{name: "DSCP", options: "set-dscp=1 set-dscp-class=1", build: textDSCPTarget},
	{name: "TOS", options: "set-tos=1 and-tos=1 or-tos=1 xor-tos=1", build: textTOSTarget},
	{name: "TTL", family: rules.FamilyIPv4, options: "ttl-set=1 ttl-inc=1 ttl-dec=1", build: textTTLTarget("--ttl-", 8)},
	{name: "HL", family: rules.FamilyIPv6, options: "hl-set=1 hl-inc=1 hl-dec=1", build: textTTLTarget("--hl-", 7)},
	{name: "ECN", family: rules.FamilyIPv4, options: "ecn-tcp-remove ecn-tcp-cwr=1 ecn-tcp-ece=1 ecn-ip-ect=1", build: textECNTarget},
	{name: "TEE", options: "gateway=1 oif=1", build: textTEE},
	{name: "SNPT", family: rules.FamilyIPv6, options: "src-pfx=1 dst-pfx=1", build: textNPT(8)},
	{name: "DNPT", family: rules.FamilyIPv6, options: "src-pfx=1 dst-pfx=1", build: textNPT(24)},
	// what these do, no statement says
	{name: "AUDIT", options: "type=1", build: noteText},
	{name: "CHECKSUM", options: "checksum-fill", build: noteText},
	{name: "TCPMSS", options: "set-mss=1 clamp-mss-to-pmtu", build: noteText},
	{name: "TCPOPTSTRIP", options: "strip-options=1", build: noteText},
	{name: "SECMARK", options: "selctx=1", build: noteText},
	{name: "CONNSECMARK", options: "save restore", build: noteText},
	{name: "IDLETIMER", options: "timeout=1 label=1 alarm", build: noteText},
	{name: "LED", options: "led-trigger-id=1 led-delay=1 led-always-blink", build: noteText},
	{name: "RATEEST", options: "rateest-name=1 rateest-interval=1 rateest-ewmalog=1", build: noteText},
}

const (
	connmarkOptionNames = "set-xmark=1 set-mark=1 and-mark=1 or-mark=1 xor-mark=1 save-mark restore-mark mask=1 nfmask=1 ctmask=1 " +
		"left-shift-mark=1 right-shift-mark=1"
	hmarkOptionNames = "hmark-tuple=1 hmark-src-prefix=1 hmark-dst-prefix=1 hmark-sport-mask=1 hmark-dport-mask=1 hmark-spi-mask=1 " +
		"hmark-sport=1 hmark-dport=1 hmark-spi=1 hmark-proto-mask=1 hmark-rnd=1 hmark-mod=1 hmark-offset=1"
)

func noteText(_ *Context, g *given) Extension {
	return &asGiven{g.text, func(*Context) []rules.Statement { return nil }}
}

// setMark reads the ways in which MARK and CONNMARK set theirs: mark & ^mask ^
// value.
func (g *given) setMark() (value, mask uint32, ok bool) {
	if s, _, ok := g.get("set-xmark"); ok {
		value, mask = g.masked(s)
		return value, mask, true
	}
	if s, _, ok := g.get("set-mark"); ok {
		value, mask = g.masked(s)
		return value, mask | value, true
	}
	if s, _, ok := g.get("and-mark"); ok {
		return 0, ^g.u32(s), true
	}
	if s, _, ok := g.get("or-mark"); ok {
		n := g.u32(s)
		return n, n, true
	}
	if s, _, ok := g.get("xor-mark"); ok {
		return g.u32(s), 0, true
	}
	return 0, 0, false
}

func textMARK(_ *Context, g *given) Extension {
	v, m, ok := g.setMark()
	if !ok {
		g.fail("no mark")
	}
	return &markSet{v, m}
}

func textCONNMARK(_ *Context, g *given) Extension {
	x := &connmarkTarget{}
	var ok bool
	x.ctmark, x.ctmask, ok = g.setMark()
	switch {
	case g.has("save-mark"):
		x.mode = connmarkSave
	case g.has("restore-mark"):
		x.mode = connmarkRestore
	case !ok:
		g.fail("no mark")
	}
	if x.mode != connmarkSet {
		all := g.number("mask", math.MaxUint32, math.MaxUint32)
		x.nfmask = uint32(g.number("nfmask", math.MaxUint32, all))
		x.ctmask = uint32(g.number("ctmask", math.MaxUint32, all))
	}
	for _, right := range []bool{false, true} {
		if s, _, ok := g.get(map[bool]string{false: "left-shift-mark", true: "right-shift-mark"}[right]); ok {
			x.shift, x.right = uint8(g.uint(s, 31)), right
		}
	}
	return x
}

func textCT(_ *Context, g *given) Extension {
	x := &ct{}
	if g.has("notrack") {
		x.flags |= ctNotrack
	}
	x.helper, _, _ = g.get("helper")
	x.timeout, _, _ = g.get("timeout")
	if s, _, ok := g.get("ctevents"); ok {
		x.events = g.list(s, func(w string) (uint32, bool) {
			for _, e := range ctEvents {
				if strings.ToUpper(e.name) == w {
					return 1 << e.bit, true
				}
			}
			return 0, false
		})
	}
	if s, _, ok := g.get("expevents"); ok {
		if s != "new" {
			g.fail("event %q is not known", s)
		}
		x.expects = 1
	}
	for _, z := range []struct {
		name string
		flag uint16
	}{{"zone", 0}, {"zone-orig", ctZoneOrig}, {"zone-reply", ctZoneReply}} {
		s, _, ok := g.get(z.name)
		if !ok {
			continue
		}
		if x.flags |= z.flag; s == "mark" {
			x.flags |= ctZoneMark
		} else {
			x.zone = g.u16(s)
		}
	}
	return x
}

func textTPROXY(c *Context, g *given) Extension {
	x := &tproxy{addr: zeroAddr(c.Family), port: uint16(g.number("on-port", math.MaxUint16, 0))}
	if s, _, ok := g.get("on-ip"); ok {
		x.addr = g.addr(c, s)
	}
	if s, _, ok := g.get("tproxy-mark"); ok {
		x.value, x.mask = g.masked(s)
	}
	return x
}

// rejectAliases are the short names that iptables takes.
var rejectAliases = map[string]string{
	"net-unreach": "icmp-net-unreachable", "host-unreach": "icmp-host-unreachable", "proto-unreach": "icmp-proto-unreachable",
	"port-unreach": "icmp-port-unreachable", "net-prohib": "icmp-net-prohibited", "host-prohib": "icmp-host-prohibited",
	"tcp-rst": "tcp-reset", "admin-prohib": "icmp-admin-prohibited",
	"no-route": "icmp6-no-route", "adm-prohibited": "icmp6-adm-prohibited", "addr-unreach": "icmp6-addr-unreachable",
	"policy-fail": "icmp6-policy-fail", "reject-route": "icmp6-reject-route",
}

func textREJECT(c *Context, g *given) Extension {
	s, _, ok := g.get("reject-with")
	switch {
	case !ok && c.Family == rules.FamilyIPv4:
		s = "icmp-port-unreachable"
	case !ok, c.Family == rules.FamilyIPv6 && s == "port-unreach":
		s = "icmp6-port-unreachable"
	}
	if full, ok := rejectAliases[s]; ok {
		s = full
	}
	for _, w := range rejects[c.Family] {
		if w.name == s {
			return &reject{w}
		}
	}
	g.fail("answer %q is not known", s)
	return &reject{}
}

func textNFQUEUE(_ *Context, g *given) Extension {
	x := &nfqueue{num: uint16(g.number("queue-num", math.MaxUint16, 0)), total: 1}
	if s, _, ok := g.get("queue-balance"); ok {
		p := g.ports(s)
		if p.hi <= p.lo {
			g.fail("queues %q", s)
			p.hi = p.lo
		}
		x.num, x.total = p.lo, p.hi-p.lo+1
	}
	if g.has("queue-bypass") {
		x.flags |= nfqBypass
	}
	if g.has("queue-cpu-fanout") {
		x.flags |= nfqFanout
	}
	return x
}

func textSYNPROXY(_ *Context, g *given) Extension {
	x := &synproxy{wscale: uint8(g.number("wscale", 14, 0)), mss: uint16(g.number("mss", math.MaxUint16, 0))}
	for _, f := range []struct {
		name string
		flag rules.SynproxyFlags
	}{
		{"mss", rules.SynproxyMSS}, {"wscale", rules.SynproxyWscale}, {"sack-perm", rules.SynproxySackPerm},
		{"timestamp", rules.SynproxyTimestamp}, {"ecn", synproxyECN},
	} {
		if g.has(f.name) {
			x.flags |= f.flag
		}
	}
	return x
}

// logLevels are those of syslog, by number; the alias behind each is its old
// name.
var logLevels = [...][2]string{
	{"emerg", "panic"}, {"alert"}, {"crit"}, {"err", "error"}, {"warning", "warn"}, {"notice"}, {"info"}, {"debug"},
}

func textLOG(_ *Context, g *given) Extension {
	x := &logTarget{level: logLevel}
	x.prefix, _, _ = g.get("log-prefix")
	if s, _, ok := g.get("log-level"); ok {
		found := false
		for i, names := range logLevels {
			if s == names[0] || s == names[1] {
				x.level, found = uint8(i), true
			}
		}
		if !found {
			x.level = uint8(g.uint(s, 7))
		}
	}
	for _, f := range logFlags {
		if g.has(f.word[2:]) {
			x.flags |= f.bit
		}
	}
	return x
}

func textNFLOG(_ *Context, g *given) Extension {
	x := &nflog{
		group: uint16(g.number("nflog-group", math.MaxUint16, 0)), threshold: uint16(g.number("nflog-threshold", math.MaxUint16, 0)),
		length: uint32(g.number("nflog-range", math.MaxUint32, 0)),
	}
	x.prefix, _, _ = g.get("nflog-prefix")
	if s, _, ok := g.get("nflog-size"); ok {
		x.length, x.flags = g.u32(s), nflogCopyLen
	}
	return x
}

func textCLASSIFY(_ *Context, g *given) Extension {
	s, _, _ := g.get("set-class")
	major, minor, _ := strings.Cut(s, ":")
	hex := func(s string) uint32 { return uint32(g.uint("0x"+s, 0xffff)) }
	return &classify{hex(major)<<16 | hex(minor)}
}

// textHMARK: of the rest of its options no statement depends.
func textHMARK(_ *Context, g *given) Extension {
	x := &hmark{
		modulus: uint32(g.number("hmark-mod", math.MaxUint32, 0)), offset: uint32(g.number("hmark-offset", math.MaxUint32, 0)),
	}
	if x.modulus == 0 {
		g.fail("no --hmark-mod")
	}
	if s, _, _ := g.get("hmark-tuple"); s == "ct" || strings.Contains(","+s+",", ",ct,") {
		x.flags |= 1 << hmarkCT
	}
	return &asGiven{g.text, x.Statements}
}

func textSETTarget(c *Context, g *given) Extension {
	x := &setTarget{add: noSet, del: noSet, to: noSet, timeout: rules.IPSetNoTimeout}
	for _, s := range []struct {
		name string
		to   *setRef
	}{{"add-set", &x.add}, {"del-set", &x.del}, {"map-set", &x.to}} {
		name, dims, _, ok := g.pair(s.name)
		if !ok {
			continue
		}
		ref := g.setRef(c, name, dims)
		*s.to = setRef{id: ref.ID, named: &ref}
	}
	if x.add.none() && x.del.none() && x.to.none() {
		g.fail("no set")
	}
	if s, _, ok := g.get("timeout"); ok {
		x.timeout = g.u32(s)
	}
	for _, f := range []struct {
		name string
		bit  uint32
	}{{"exist", setExist}, {"map-mark", setMapMark}, {"map-prio", setMapPrio}, {"map-queue", setMapQueue}} {
		if g.has(f.name) {
			x.flags |= f.bit
		}
	}
	return x
}

var noSet = setRef{id: rules.IPSetNoID}

func textDSCPTarget(_ *Context, g *given) Extension {
	n, _ := g.dscp("set-dscp", "set-dscp-class")
	return &dscpSet{n}
}

func textTOSTarget(_ *Context, g *given) Extension {
	if s, _, ok := g.get("set-tos"); ok {
		v, m := g.tos(s)
		return &tosSet{v, m}
	}
	if s, _, ok := g.get("and-tos"); ok {
		return &tosSet{0, ^g.u8(s)}
	}
	if s, _, ok := g.get("or-tos"); ok {
		n := g.u8(s)
		return &tosSet{n, n}
	}
	s, _, _ := g.get("xor-tos")
	return &tosSet{g.u8(s), 0}
}

func textTTLTarget(opt string, off int) func(*Context, *given) Extension {
	return func(_ *Context, g *given) Extension {
		x := &ttlTarget{opt: opt, off: off}
		for mode, name := range ttlChanges {
			if s, _, ok := g.get(opt[2:] + name); ok {
				x.mode, x.value = uint8(mode), g.u8(s)
				return x
			}
		}
		g.fail("no value")
		return x
	}
}

func textECNTarget(_ *Context, g *given) Extension {
	x := &ecnSet{}
	if g.has("ecn-tcp-remove") {
		x.op = ecnSetECE | ecnSetCWR
	}
	for _, o := range []struct {
		name string
		bit  uint8
		most uint64
		to   *uint8
	}{{"ecn-tcp-cwr", ecnSetCWR, 1, &x.cwr}, {"ecn-tcp-ece", ecnSetECE, 1, &x.ece}, {"ecn-ip-ect", ecnSetIP, 3, &x.ect}} {
		if s, _, ok := g.get(o.name); ok {
			x.op |= o.bit
			*o.to = uint8(g.uint(s, o.most))
		}
	}
	return x
}

func textTEE(c *Context, g *given) Extension {
	s, _, _ := g.get("gateway")
	x := &tee{gateway: g.addr(c, s)}
	x.oif, _, _ = g.get("oif")
	return x
}

func textNPT(off int) func(*Context, *given) Extension {
	return func(c *Context, g *given) Extension {
		x := &npt{off: off}
		prefix := func(name string) (netip.Addr, uint8) {
			s, _, _ := g.get(name)
			p, err := netip.ParsePrefix(s)
			if err != nil || p.Bits() > 64 {
				g.fail("--%s %q", name, s)
				return zeroAddr(c.Family), 0
			}
			return p.Addr(), uint8(p.Bits())
		}
		x.from, x.fromBits = prefix("src-pfx")
		x.to, x.toBits = prefix("dst-pfx")
		return x
	}
}
