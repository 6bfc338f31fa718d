package xt

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ntdiag/ntdiag/rules"
)

// openTexts look, most of them, at what no entry records. One of which only the
// statement counts keeps its words as they were given.
var openTexts = []textRow{
	{name: "bpf", options: "bytecode=1 object-pinned=1", build: openText("bpf", rules.FromPayload)},
	{name: "cgroup", options: "path=1 cgroup=1", build: textCgroup},
	{name: "comment", options: "comment=1", build: textComment},
	{name: "connbytes", options: "connbytes=1 connbytes-dir=1 connbytes-mode=1", build: textConnbytes},
	{name: "connlimit", options: "connlimit-above=1 connlimit-upto=1 connlimit-mask=1 connlimit-saddr connlimit-daddr", build: textConnlimit},
	{name: "dscp", options: "dscp=1 dscp-class=1", build: textDSCP},
	{name: "hashlimit", options: hashlimitOptionNames, build: openText("hashlimit", rules.FromLimit)},
	{name: "helper", options: "helper=1", build: textHelper},
	{name: "hl", family: rules.FamilyIPv6, options: "hl-eq=1 hl-lt=1 hl-gt=1", build: textTTL("--hl", 7)},
	{name: "ipvs", options: "ipvs vproto=1 vaddr=1 vport=1 vdir=1 vmethod=1 vportctl=1", build: textIPVS},
	{name: "l2tp", options: "tid=1 sid=1 pversion=1 type=1", build: textL2TP},
	{name: "length", options: "length=1", build: textLength},
	{name: "limit", options: "limit=1 limit-burst=1", build: textLimit},
	{name: "osf", family: rules.FamilyIPv4, options: "genre=1 ttl=1 log=1", build: openText("osf", rules.FromTCPHeader)},
	{name: "policy", options: "dir=1 pol=1 strict reqid=1 spi=1 proto=1 mode=1 tunnel-dst=1 tunnel-src=1 next", build: textPolicy},
	{name: "quota", options: "quota=1", build: textQuota},
	{name: "rateest", options: rateestOptionNames, build: openText("rateest", rules.FromLimit)},
	{name: "recent", options: "set rcheck update remove seconds=1 reap hitcount=1 rttl name=1 mask=1 rsource rdest", build: textRecent},
	{name: "rpfilter", options: "loose validmark accept-local invert", build: textRpfilter},
	{name: "socket", options: "transparent nowildcard restore-skmark", build: textSocket},
	{name: "srh", family: rules.FamilyIPv6, options: srhOptionNames, build: textSRH},
	{name: "statistic", options: "mode=1 probability=1 every=1 packet=1", build: textStatistic},
	{name: "string", options: "from=1 to=1 algo=1 string=1 hex-string=1 icase", build: openText("string", rules.FromPayload)},
	{name: "tcpmss", options: "mss=1", build: textTCPMSS},
	{name: "time", options: "datestart=1 datestop=1 timestart=1 timestop=1 monthdays=1 weekdays=1 utc localtz kerneltz contiguous", build: textTime},
	{name: "tos", options: "tos=1", build: textTOS},
	{name: "ttl", family: rules.FamilyIPv4, options: "ttl-eq,ttl=1 ttl-lt=1 ttl-gt=1", build: textTTL("--ttl", 8)},
	{name: "u32", options: "u32=1", build: textU32},
}

const (
	hashlimitOptionNames = "hashlimit-upto,hashlimit=1 hashlimit-above=1 hashlimit-burst=1 hashlimit-mode=1 hashlimit-name=1 " +
		"hashlimit-htable-size=1 hashlimit-htable-max=1 hashlimit-htable-gcinterval=1 hashlimit-htable-expire=1 " +
		"hashlimit-srcmask=1 hashlimit-dstmask=1 hashlimit-rate-match hashlimit-rate-interval=1"
	rateestOptionNames = "rateest=1 rateest1=1 rateest2=1 rateest-delta rateest-bps=? rateest-bps1=1 rateest-bps2=1 " +
		"rateest-pps=? rateest-pps1=1 rateest-pps2=1 rateest-lt rateest-gt rateest-eq"
	srhOptionNames = "srh-next-hdr=1 srh-hdr-len-eq=1 srh-hdr-len-gt=1 srh-hdr-len-lt=1 srh-segs-left-eq=1 srh-segs-left-gt=1 " +
		"srh-segs-left-lt=1 srh-last-entry-eq=1 srh-last-entry-gt=1 srh-last-entry-lt=1 srh-tag=1 srh-psid=1 srh-nsid=1 srh-lsid=1"
)

// asGiven is an extension that is printed as it was given.
type asGiven struct {
	text string
	make func(c *Context) []rules.Statement
}

func (x *asGiven) Statements(c *Context) []rules.Statement { return x.make(c) }

func (x *asGiven) Save(_ *Context, o *Options) {
	if x.text != "" {
		o.Word(x.text)
	}
}

func openText(name string, from rules.Source) func(*Context, *given) Extension {
	return func(_ *Context, g *given) Extension {
		return &asGiven{g.text, func(c *Context) []rules.Statement { return openOn(c, name, from) }}
	}
}

func textCgroup(_ *Context, g *given) Extension {
	return &asGiven{g.text, (&cgroup{}).Statements}
}

func textComment(_ *Context, g *given) Extension {
	s, _, _ := g.get("comment")
	return &comment{s}
}

// textConnbytes: inverted, from stands above to.
func textConnbytes(_ *Context, g *given) Extension {
	x := &connbytes{to: math.MaxUint64}
	s, inv, ok := g.get("connbytes")
	if !ok {
		g.fail("connbytes: no range")
	}
	from, to, two := strings.Cut(s, ":")
	if from != "" {
		x.from = g.uint(from, math.MaxUint64)
	}
	if two && to != "" {
		x.to = g.uint(to, math.MaxUint64)
	}
	if inv {
		x.from, x.to = x.to, x.from
	}
	x.what = g.oneOf("connbytes-mode", connbytesWhat)
	x.dir = g.oneOf("connbytes-dir", connbytesDir)
	return x
}

// oneOf is the place of an option's word in a list.
func (g *given) oneOf(name string, words []string) uint8 {
	s, _, _ := g.get(name)
	i := slices.Index(words, s)
	if i < 0 {
		g.fail("--%s %q is not known", name, s)
		return 0
	}
	return uint8(i)
}

func textConnlimit(c *Context, g *given) Extension {
	bits := addressBits(c.Family)
	x := &connlimit{}
	if s, inv, ok := g.get("connlimit-above"); ok {
		if x.limit = g.u32(s); inv {
			x.flags |= connlimitInvert
		}
	} else if s, inv, ok := g.get("connlimit-upto"); ok {
		if x.limit = g.u32(s); !inv {
			x.flags |= connlimitInvert
		}
	} else {
		g.fail("connlimit: no limit")
	}
	if g.has("connlimit-daddr") {
		x.flags |= connlimitDaddr
	}
	x.mask = maskOf(int(g.number("connlimit-mask", uint64(bits), uint64(bits))), bits/8)
	return x
}

// dscpClasses are the classes by name (dscp_helper.c).
func dscpClass(g *given, s string) uint8 {
	known := map[string]uint8{"BE": 0, "EF": 0x2e, "LE": 1, "VA": 0x2c, "VOICE-ADMIT": 0x2c}
	w := strings.ToUpper(s)
	if n, ok := known[w]; ok {
		return n
	}
	if n, ok := strings.CutPrefix(w, "CS"); ok && len(n) == 1 && n[0] >= '0' && n[0] <= '7' {
		return (n[0] - '0') << 3
	}
	if n, ok := strings.CutPrefix(w, "AF"); ok && len(n) == 2 && n[0] >= '1' && n[0] <= '4' && n[1] >= '1' && n[1] <= '3' {
		return (n[0]-'0')<<3 | (n[1]-'0')<<1
	}
	g.fail("class %q is not known", s)
	return 0
}

// dscp reads a code point, by number or by class.
func (g *given) dscp(number, class string) (value uint8, invert bool) {
	if s, inv, ok := g.get(class); ok {
		return dscpClass(g, s), inv
	}
	s, inv, ok := g.get(number)
	if !ok {
		g.fail("no code point")
		return 0, false
	}
	return uint8(g.uint(s, dscpMax)), inv
}

func textDSCP(_ *Context, g *given) Extension {
	x := &dscp{}
	x.value, x.invert = g.dscp("dscp", "dscp-class")
	return x
}

func textHelper(_ *Context, g *given) Extension {
	s, inv, _ := g.get("helper")
	return &helper{invert: inv, name: s}
}

func textTTL(opt string, off int) func(*Context, *given) Extension {
	return func(_ *Context, g *given) Extension {
		x := &ttl{option: opt, off: off}
		for mode := range ttlModes {
			m := ttlModes[mode]
			if s, inv, ok := g.get(opt[2:] + m.suffix); ok && inv == m.invert {
				x.mode, x.value = uint8(mode), g.u8(s)
				return x
			}
		}
		g.fail("no value")
		return x
	}
}

func textIPVS(_ *Context, g *given) Extension {
	x := &ipvs{}
	if s, _, ok := g.get("vdir"); ok {
		x.asks |= ipvsDir
		if strings.EqualFold(s, "REPLY") {
			x.invert |= ipvsDir
		}
	}
	return &asGiven{g.text, x.Statements}
}

func textL2TP(_ *Context, g *given) Extension { return &asGiven{g.text, (&l2tp{}).Statements} }

func textSRH(_ *Context, g *given) Extension { return &asGiven{g.text, (&srh{}).Statements} }

func textLength(_ *Context, g *given) Extension {
	s, inv, ok := g.get("length")
	if !ok {
		g.fail("no length")
	}
	return &length{span: g.ports(s), invert: inv}
}

func textTCPMSS(_ *Context, g *given) Extension {
	s, inv, ok := g.get("mss")
	if !ok {
		g.fail("no size")
	}
	return &tcpmss{span: g.ports(s), invert: inv}
}

// textLimit follows parse_rate of libxt_limit.c.
func textLimit(_ *Context, g *given) Extension {
	x := &limit{avg: 3600 * limitScale / 3, burst: uint32(g.number("limit-burst", 10000, limitBurst))}
	s, inv, ok := g.get("limit")
	if !ok {
		return x
	}
	if inv {
		g.fail("a limit that is inverted")
	}
	x.avg = uint32(g.rate(s, limitScale))
	return x
}

// rate reads N/UNIT as the period in scale-ths of a second.
func (g *given) rate(s string, scale uint64) uint64 {
	n, unit, two := strings.Cut(s, "/")
	count := g.uint(n, math.MaxUint32)
	if count == 0 {
		g.fail("rate %q", s)
		return 1
	}
	if !two {
		return scale / count
	}
	for _, u := range rateNames {
		if unit != "" && strings.HasPrefix(u.name, strings.ToLower(unit)) {
			period := u.seconds * scale / count
			if period == 0 {
				g.fail("rate %q is too fast", s)
			}
			return period
		}
	}
	g.fail("rate %q", s)
	return 1
}

var rateNames = []rateUnit{{"second", 1}, {"minute", 60}, {"hour", 60 * 60}, {"day", 24 * 60 * 60}}

func textPolicy(_ *Context, g *given) Extension {
	x := &policy{}
	dir, _, _ := g.get("dir")
	switch dir {
	case "in":
		x.flags = policyIn
	case "out":
		x.flags = policyOut
	default:
		g.fail("policy: direction %q", dir)
	}
	if pol, _, _ := g.get("pol"); pol == "none" {
		x.flags |= policyNone
	} else if pol != "ipsec" {
		g.fail("policy %q is not known", pol)
	}
	if g.has("strict") {
		x.flags |= policyStrict
	}
	x.elements = make([]policyElement, policyParts(g))
	return &asGiven{g.text, x.Statements}
}

// policyParts counts the elements: the tool makes one where none is described.
func policyParts(g *given) int {
	n := 1
	for i := range g.opts {
		if g.opts[i].name == "next" {
			n++
		}
	}
	if pol, _, _ := g.get("pol"); pol == "none" {
		return 0
	}
	return n
}

func textQuota(_ *Context, g *given) Extension {
	s, inv, _ := g.get("quota")
	return &quota{invert: inv, quota: g.uint(s, math.MaxUint64)}
}

func textRecent(_ *Context, g *given) Extension {
	x := &recent{}
	verbs := 0
	for i, w := range []string{"rcheck", "set", "update", "remove"} {
		if _, inv, ok := g.get(w); ok {
			verbs++
			x.check |= 1 << i
			x.invert = inv
		}
	}
	if verbs != 1 {
		g.fail("recent: one of set, rcheck, update and remove")
	}
	return &asGiven{g.text, x.Statements}
}

func textRpfilter(_ *Context, g *given) Extension { return &rpfilter{g.flags(rpfilterWords)} }

func textSocket(_ *Context, g *given) Extension { return &socket{g.flags(socketWords)} }

func textStatistic(_ *Context, g *given) Extension {
	x := &statistic{}
	mode, _, _ := g.get("mode")
	switch mode {
	case "random":
		s, inv, _ := g.get("probability")
		p, err := strconv.ParseFloat(s, 64)
		if err != nil || !(p >= 0 && p <= 1) {
			g.fail("probability %q", s)
			return x
		}
		// lround(0x80000000 * prob)
		x.probability, x.invert = uint32(math.Round(statisticOne*p)), inv
	case "nth":
		s, inv, _ := g.get("every")
		every := g.u32(s)
		if every == 0 {
			g.fail("--every 0")
			every = 1
		}
		x.mode, x.every, x.invert = statisticNth, every-1, inv
		x.packet = uint32(g.number("packet", math.MaxUint32, 0))
	default:
		g.fail("mode %q is not known", mode)
	}
	return x
}

// textTime: of the window only one that never is decides anything.
func textTime(_ *Context, g *given) Extension {
	x := &timeWindow{dateStop: math.MaxInt32, monthdays: timeAllMonthdays, weekdays: timeAllWeekdays}
	for name, to := range map[string]*uint32{"datestart": &x.dateStart, "datestop": &x.dateStop} {
		if s, _, ok := g.get(name); ok {
			*to = g.date(s)
		}
	}
	return &asGiven{g.text, x.Statements}
}

// date reads a date, cut off where it likes, in UTC.
func (g *given) date(s string) uint32 {
	const full = "2006-01-02T15:04:05"
	for _, n := range []int{4, 7, 10, 13, 16, 19} {
		if t, err := time.Parse(full[:n], s); err == nil {
			return uint32(min(max(t.Unix(), 0), math.MaxInt32))
		}
	}
	g.fail("date %q", s)
	return 0
}

// tosNames are what iptables calls some values (tos_values.c); by name the two
// bits of ECN are left out.
var tosNames = map[string]uint8{
	"minimize-delay": 0x10, "maximize-throughput": 0x08, "maximize-reliability": 0x04, "minimize-cost": 0x02, "normal-service": 0,
}

func (g *given) tos(s string) (value, mask uint8) {
	if v, ok := tosNames[strings.ToLower(s)]; ok {
		return v, 0x3f
	}
	v, m, two := strings.Cut(s, "/")
	mask = 0xff
	if two {
		mask = g.u8(m)
	}
	return g.u8(v), mask
}

func textTOS(_ *Context, g *given) Extension {
	s, inv, ok := g.get("tos")
	if !ok {
		g.fail("no value")
	}
	x := &tos{invert: inv}
	x.value, x.mask = g.tos(s)
	return x
}

// textU32 follows u32_parse: LOCATION=VALUE tests joined by &&.
func textU32(_ *Context, g *given) Extension {
	s, inv, _ := g.get("u32")
	x := &u32{invert: inv}
	s = strings.Join(strings.Fields(s), "")
	for part := range strings.SplitSeq(s, "&&") {
		x.tests = append(x.tests, g.u32Test(part))
	}
	if len(x.tests) > u32Max {
		g.fail("%d tests, at most %d", len(x.tests), u32Max)
	}
	return x
}

func (g *given) u32Test(s string) U32Test {
	where, values, ok := strings.Cut(s, "=")
	if !ok {
		g.fail("test %q", s)
		return U32Test{Steps: make([]U32Step, 1)}
	}
	t := U32Test{}
	op := uint8(0)
	for {
		n := strings.IndexAny(where, "&<>@")
		digits := where
		if n >= 0 {
			digits = where[:n]
		}
		t.Steps = append(t.Steps, U32Step{g.u32(digits), op})
		if n < 0 {
			break
		}
		where = where[n:]
		i := slices.IndexFunc(u32Signs[:], func(sign string) bool { return strings.HasPrefix(where, sign) })
		if i < 0 {
			g.fail("test %q", s)
			break
		}
		op, where = uint8(i), where[len(u32Signs[i]):]
	}
	for one := range strings.SplitSeq(values, ",") {
		lo, hi := g.span(one, ":", math.MaxUint32)
		t.Ranges = append(t.Ranges, [2]uint32{uint32(lo), uint32(hi)})
	}
	if err := t.Valid(); err != nil {
		g.fail("%w", err)
	}
	return t
}
