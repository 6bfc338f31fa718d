package nft

import (
	"fmt"
	"strings"

	"github.com/ntdiag/ntdiag/rules"
)

// statement renders one statement. New statements are a case here and a
// function.
func (p *printer) statement(s rules.Statement) {
	switch x := s.(type) {
	case *rules.Match:
		p.match(x)
	case *rules.MatchRange:
		p.matchRange(x)
	case *rules.InSet:
		p.inSet(x)
	case *rules.VerdictMap:
		key := p.expr(x.Key)
		p.add(key.text + " vmap " + p.setRef(x.Set, key, typed{}))
	case *rules.Verdict:
		p.add(p.verdict(x))
	case *rules.NAT:
		p.nat(x)
	case *rules.Assign:
		p.assign(x)
	case *rules.Counter:
		p.counter(x)
	case *rules.Limit:
		p.add(limitText(x))
	case *rules.Quota:
		p.add(quotaText(x, p.counters))
	case *rules.Connlimit:
		p.add("ct count " + over(x.Over) + fmt.Sprint(x.Count))
	case *rules.Log:
		p.add(logText(x))
	case *rules.Notrack:
		p.add("notrack")
	case *rules.ObjRef:
		p.objRef(x)
	case *rules.Dynset:
		p.dynset(x)
	case *rules.Reject:
		p.reject(x)
	case *rules.TProxy:
		p.tproxy(x)
	case *rules.Dup:
		p.dup(x)
	case *rules.Fwd:
		p.fwd(x)
	case *rules.Queue:
		p.queue(x)
	case *rules.Synproxy:
		p.add(synproxyText(x))
	case *rules.Last:
		p.add(lastText(x, p.counters))
	case *rules.FlowOffload:
		p.add("flow add @" + Escape(x.Flowtable))
	case *rules.StripOption:
		p.add("reset " + p.expr(&rules.Exthdr{Op: exthdrOpTCP, Type: x.Option, Len: 1, Present: true}).text)
	case *rules.Load:
		// nothing reads it
	case *rules.Opaque:
		p.add("[ " + Escape(x.Name) + " ? ]")
	default:
		if !p.combined(s) {
			p.add(fmt.Sprintf("[ %T ? ]", s))
		}
	}
}

func over(b bool) string {
	if b {
		return "over "
	}
	return ""
}

// verdict renders a verdict; a chain without a name is written in place.
func (p *printer) verdict(v *rules.Verdict) string {
	if v.Code >= 0 {
		return (v.Code & verdictMask).String()
	}
	if v.ChainName == "" {
		return v.Code.String()
	}
	if v.Chain == nil || !v.Chain.Binding || p.depth > maxBlocks {
		return v.Code.String() + " " + Escape(v.ChainName)
	}
	var out strings.Builder
	out.WriteString(v.Code.String() + " {")
	for _, r := range v.Chain.Rules {
		q := p.fresh()
		if p.indent == "" {
			out.WriteString(" " + q.rule(r) + commentOf(r, p.counters) + ";")
			continue
		}
		q.indent += "\t"
		out.WriteString("\n" + q.indent + q.rule(r) + commentOf(r, true))
	}
	if p.indent == "" {
		return out.String() + " }"
	}
	return out.String() + "\n" + p.indent + "}"
}

// maxBlocks bounds how deep blocks are followed: the kernel has no loops, but
// what a file says is not the kernel's word.
const maxBlocks = 16

func commentOf(r *rules.Rule, full bool) string {
	if !full || r.Comment == "" {
		return ""
	}
	return " comment " + quote(r.Comment)
}

var natFlagNames = []struct {
	flag rules.NATFlags
	name string
}{{rules.NATProtoRandom, "random"}, {rules.NATFullyRandom, "fully-random"}, {rules.NATPersistent, "persistent"}}

func (p *printer) nat(x *rules.NAT) {
	out := x.Kind.String()
	if x.AddrMin != nil || x.PortMin != nil {
		if p.natNamesFamily(x) {
			out += " " + x.Family.String()
		}
		if x.Flags&rules.NATNetmap != 0 {
			out += " prefix"
		}
		out += " to"
	}
	addr := p.natAddr(x)
	if addr != "" {
		out += " " + addr
	}
	if port := p.natPort(x); port != "" {
		if addr == "" {
			out += " "
		}
		out += ":" + port
	}
	sep := " "
	for _, f := range natFlagNames {
		if x.Flags&f.flag != 0 {
			out += sep + f.name
			sep = ","
		}
	}
	p.add(out)
}

// natNamesFamily: nft writes the family where the table does not tell it, and
// where it would not see what a map yields.
func (p *printer) natNamesFamily(x *rules.NAT) bool {
	if x.Kind != rules.SNAT && x.Kind != rules.DNAT || x.Family != rules.FamilyIPv4 && x.Family != rules.FamilyIPv6 {
		return false
	}
	m := lookupOf(x.AddrMin)
	both := m != nil && m == lookupOf(x.PortMin)
	interval := m != nil && x.AddrMax != nil
	return p.family == rules.FamilyInet || both || interval || x.Flags&rules.NATNetmap != 0
}

func (p *printer) natAddr(x *rules.NAT) string {
	t := addressOf(x.Family)
	lo, hi := constant(x.AddrMin), constant(x.AddrMax)
	brackets := x.PortMin != nil && x.Family == rules.FamilyIPv6
	one := func(b []byte) string {
		s := p.value(t, b)
		if brackets {
			s = "[" + s + "]"
		}
		return s
	}
	switch {
	case x.AddrMin == nil:
		return ""
	case lo == nil:
		return p.natMap(x.AddrMin, x.PortMin, t)
	case hi == nil:
		return one(lo)
	}
	if n, ok := prefixOf(lo, hi); ok && x.Flags&rules.NATNetmap != 0 {
		return fmt.Sprintf("%s/%d", p.value(t, lo), n)
	}
	return one(lo) + "-" + one(hi)
}

func constant(e rules.Expr) []byte {
	if c, ok := e.(*rules.Const); ok {
		return c.Data
	}
	return nil
}

// natMap is an address, perhaps with a port, that a map yields.
func (p *printer) natMap(addr, port rules.Expr, t typed) string {
	m := lookupOf(addr)
	if m == nil {
		return p.expr(addr).text
	}
	data := p.dataType(m.Set)
	if len(data.parts) == 0 && !data.typ.prefix {
		data = t
		if m == lookupOf(port) {
			data = typed{typ: typeInteger, parts: []typed{t, {typ: typeService, n: 2}}}
		}
	}
	key := p.expr(m.Key)
	return key.text + " map " + p.setRef(m.Set, key, data)
}

// lookupOf is the map lookup whose data e is, or is a part of.
func lookupOf(e rules.Expr) *rules.MapLookup {
	if s, ok := e.(*rules.Slice); ok {
		e = s.X
	}
	m, _ := e.(*rules.MapLookup)
	return m
}

func (p *printer) natPort(x *rules.NAT) string {
	t := typed{typ: typeService, n: 2}
	lo, hi := constant(x.PortMin), constant(x.PortMax)
	switch {
	case x.PortMin == nil:
		return ""
	case lo != nil && hi != nil:
		return p.rangeText(t, lo, hi)
	case lo != nil:
		return p.value(t, lo)
	}
	if m := lookupOf(x.PortMin); m != nil && m == lookupOf(x.AddrMin) {
		return "" // comes out of the same map as the address
	}
	return p.expr(x.PortMin).text
}

// assign renders `… set …`. A field of the packet is written as the bytes
// around it with a mask.
func (p *printer) assign(x *rules.Assign) {
	if pl, ok := x.Dest.(*rules.Payload); ok {
		if bw, ok := x.Value.(*rules.Bitwise); ok {
			if src, ok := bw.X.(*rules.Payload); ok && *src == *pl && p.assignBits(pl, bw) {
				return
			}
		}
	}
	dest := p.expr(x.Dest)
	out := dest.text + " set "
	switch v := x.Value.(type) {
	case *rules.Const:
		out += strings.ReplaceAll(p.value(dest, v.Data), " | ", ",")
	case *rules.MapLookup:
		key := p.expr(v.Key)
		data := p.dataType(v.Set)
		if data.typ == typeInteger || data.typ == typeBitmask {
			data = dest
		}
		out += key.text + " map " + p.setRef(v.Set, key, data)
	default:
		out += p.expr(x.Value).text
	}
	p.add(out)
}

// assignBits renders the write of a field that is not whole bytes, or that
// shares the two bytes that a checksum goes over.
func (p *printer) assignBits(pl *rules.Payload, bw *rules.Bitwise) bool {
	clear := make([]byte, len(bw.Mask))
	for i, m := range bw.Mask {
		clear[i] = ^m
	}
	lead, n, trail := maskRun(clear)
	h, f := p.field(pl.Base, pl.Off*8+lead, n)
	if n == 0 || f == nil {
		return false
	}
	p.imply(h, f)
	v := shiftRight(bw.Xor, trail)
	if w := (n + 7) / 8; w < len(v) {
		v = v[len(v)-w:]
	}
	p.add(h.name + " " + f.name + " set " + f.typ.format(v))
	return true
}

func (p *printer) counter(x *rules.Counter) {
	switch {
	case x.Name != "":
		p.add("counter name " + quote(x.Name))
	case p.counters:
		p.add(fmt.Sprintf("counter packets %d bytes %d", x.Packets, x.Bytes))
	default:
		p.add("counter")
	}
}

var unitNames = map[uint64]string{1: "second", 60: "minute", 3600: "hour", 86400: "day", 604800: "week"}

func limitText(x *rules.Limit) string {
	unit, ok := unitNames[x.Unit]
	if !ok {
		unit = fmt.Sprintf("%ds", x.Unit)
	}
	out := "limit rate " + over(x.Over)
	if !x.Bytes {
		out += fmt.Sprintf("%d/%s", x.Rate, unit)
		if x.Burst != 0 && x.Burst != 5 {
			out += fmt.Sprintf(" burst %d packets", x.Burst)
		}
		return out
	}
	out += bytesText(x.Rate) + "/" + unit
	if x.Burst != 0 {
		out += " burst " + bytesText(uint64(x.Burst))
	}
	return out
}

// bytesText is a number of bytes in the largest unit that divides it.
func bytesText(n uint64) string {
	units := [...]string{"bytes", "kbytes", "mbytes"}
	i := 0
	for i < len(units)-1 && n != 0 && n%1024 == 0 {
		n /= 1024
		i++
	}
	return fmt.Sprintf("%d %s", n, units[i])
}

func quotaText(x *rules.Quota, full bool) string {
	out := "quota " + over(x.Over) + bytesText(x.Bytes)
	if full && x.Consumed != 0 {
		out += " used " + bytesText(x.Consumed)
	}
	return out
}

func logText(x *rules.Log) string {
	out := "log"
	if x.Prefix != "" {
		out += " prefix " + quote(x.Prefix)
	}
	if x.HasGroup {
		out += fmt.Sprintf(" group %d", x.Group)
	}
	if x.HasSnaplen && x.Snaplen != 0 {
		out += fmt.Sprintf(" snaplen %d", x.Snaplen)
	}
	if x.HasQthreshold && x.Qthreshold != 0 {
		out += fmt.Sprintf(" queue-threshold %d", x.Qthreshold)
	}
	if x.HasLevel && x.Level != 4 {
		if int(x.Level) < len(logLevels) {
			out += " level " + logLevels[x.Level]
		} else if x.Level == 8 {
			out += " level audit"
		}
	}
	return out + logFlags(x.Flags)
}

// logFlags are NF_LOG_*: TCP sequence 1, TCP options 2, IP options 4, uid 8,
// MAC header 32.
func logFlags(f uint32) string {
	if f&0x2f == 0x2f {
		return " flags all"
	}
	out := ""
	switch f & 3 {
	case 1:
		out += " flags tcp sequence"
	case 2:
		out += " flags tcp options"
	case 3:
		out += " flags tcp sequence,options"
	}
	for _, n := range []symbol{{"ip options", 4}, {"skuid", 8}, {"ether", 32}} {
		if uint64(f)&n.value != 0 {
			out += " flags " + n.name
		}
	}
	return out
}
