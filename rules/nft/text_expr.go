package nft

import (
	"fmt"
	"math/bits"
	"strings"

	"github.com/ntdiag/ntdiag/rules"
)

// typed is the text of an expression, with what is needed to print a constant
// that it is compared with.
type typed struct {
	text string
	typ  *datatype
	// host: the register holds it in the host's byte order.
	host bool
	// n is the width in bytes; shift is where a bit field ends inside it.
	n, shift int
	parts    []typed
	// computed: an operation on values, after which nft prints ==.
	computed bool
}

// expr renders an expression. New expressions are a case here and a function.
func (p *printer) expr(e rules.Expr) typed {
	switch x := e.(type) {
	case *rules.Meta:
		return p.meta(x)
	case *rules.Ct:
		return p.ct(x)
	case *rules.Payload:
		return p.payload(x)
	case *rules.Exthdr:
		return p.exthdr(x)
	case *rules.Fib:
		return p.fib(x)
	case *rules.Rt:
		return p.rt(x)
	case *rules.Socket:
		return p.socket(x)
	case *rules.Osf:
		return osfText(x)
	case *rules.Xfrm:
		return xfrmText(x)
	case *rules.Tunnel:
		return tunnelText(x)
	case *rules.Inner:
		return p.innerExpr(x)
	case *rules.Numgen:
		return numgen(x)
	case *rules.Hash:
		return p.hash(x)
	case *rules.Concat:
		return p.concat(x)
	case *rules.Bitwise:
		return p.bitwise(x)
	case *rules.Bool2:
		return p.bool2(x)
	case *rules.Shift:
		return p.shift(x)
	case *rules.Byteorder:
		t := p.expr(x.X)
		t.host = !x.ToNetwork
		return t
	case *rules.Slice:
		return p.slice(x)
	case *rules.Step:
		return typed{text: fmt.Sprintf("%s %+d", p.expr(x.X).text, x.By), typ: typeInteger, n: 1}
	case *rules.NPT:
		return typed{text: fmt.Sprintf("%s npt %s to %s", p.expr(x.X).text, x.From, x.To), typ: typeBitmask, n: 16}
	case *rules.MapLookup:
		return p.mapLookup(x)
	case *rules.Const:
		return typed{text: typeBitmask.format(p.bigEndian(typed{host: true}, x.Data)), typ: typeInteger, n: len(x.Data), host: true}
	case *rules.Tainted:
		return typed{text: "[ ? ]", typ: typeBitmask, n: x.Len}
	}
	return typed{text: "[ ? ]", typ: typeBitmask, n: e.Width()}
}

// metaRow is how a meta key is written and what it holds.
type metaRow struct {
	name string
	typ  *datatype
	// bare: written without the word meta.
	bare bool
	// net: in network order.
	net bool
}

var metaRows = map[rules.MetaKey]metaRow{
	rules.MetaLen:          {name: "length", typ: typeInteger},
	rules.MetaProtocol:     {name: "protocol", typ: typeEthertype, net: true},
	rules.MetaPriority:     {name: "priority", typ: typeClassid},
	rules.MetaMark:         {name: "mark", typ: typeMark},
	rules.MetaIif:          {name: "iif", typ: typeIfindex, bare: true},
	rules.MetaOif:          {name: "oif", typ: typeIfindex, bare: true},
	rules.MetaIifname:      {name: "iifname", typ: typeIfname, bare: true, net: true},
	rules.MetaOifname:      {name: "oifname", typ: typeIfname, bare: true, net: true},
	rules.MetaIiftype:      {name: "iiftype", typ: typeArphrd},
	rules.MetaOiftype:      {name: "oiftype", typ: typeArphrd},
	rules.MetaSkuid:        {name: "skuid", typ: typeUID},
	rules.MetaSkgid:        {name: "skgid", typ: typeGID},
	rules.MetaNftrace:      {name: "nftrace", typ: typeInteger},
	rules.MetaRtclassid:    {name: "rtclassid", typ: typeRealm},
	rules.MetaSecmark:      {name: "secmark", typ: typeInteger},
	rules.MetaNfproto:      {name: "nfproto", typ: typeNfproto},
	rules.MetaL4proto:      {name: "l4proto", typ: typeProtocol},
	rules.MetaBriIifname:   {name: "ibrname", typ: typeIfname, net: true},
	rules.MetaBriOifname:   {name: "obrname", typ: typeIfname, net: true},
	rules.MetaPkttype:      {name: "pkttype", typ: typePkttype},
	rules.MetaCPU:          {name: "cpu", typ: typeInteger},
	rules.MetaIifgroup:     {name: "iifgroup", typ: typeDevgroup, bare: true},
	rules.MetaOifgroup:     {name: "oifgroup", typ: typeDevgroup, bare: true},
	rules.MetaCgroup:       {name: "cgroup", typ: typeInteger},
	rules.MetaPrandom:      {name: "random", typ: typeInteger, net: true},
	rules.MetaSecpath:      {name: "ipsec", typ: typeBoolean},
	rules.MetaIifkind:      {name: "iifkind", typ: typeIfname, net: true},
	rules.MetaOifkind:      {name: "oifkind", typ: typeIfname, net: true},
	rules.MetaBriIifpvid:   {name: "ibrpvid", typ: typeInteger},
	rules.MetaBriIifvproto: {name: "ibrvproto", typ: typeEthertype, net: true},
	rules.MetaTimeNs:       {name: "time", typ: typeDate},
	rules.MetaTimeDay:      {name: "day", typ: typeDay},
	rules.MetaTimeHour:     {name: "hour", typ: typeHour},
	rules.MetaSdif:         {name: "sdif", typ: typeIfindex},
	rules.MetaSdifname:     {name: "sdifname", typ: typeIfname, net: true},
	rules.MetaBriBroute:    {name: "broute", typ: typeInteger},
	rules.MetaBriIifhwaddr: {name: "ibrhwaddr", typ: typeEtherAddr, net: true},
}

func (p *printer) meta(x *rules.Meta) typed {
	row, ok := metaRows[x.Key]
	if !ok {
		return typed{text: fmt.Sprintf("meta [ %d ? ]", x.Key), typ: typeBitmask, n: x.Width(), host: true}
	}
	t := typed{text: "meta " + row.name, typ: row.typ, n: x.Width(), host: !row.net}
	if row.bare {
		t.text = row.name
	}
	return t
}

// ctRows is how a ct key is written and what it holds.
var ctRows = map[rules.CtKey]metaRow{
	rules.CtState: {name: "state", typ: typeCtState}, rules.CtDirection: {name: "direction", typ: typeCtDir},
	rules.CtStatus: {name: "status", typ: typeCtStatus}, rules.CtMark: {name: "mark", typ: typeMark},
	rules.CtSecmark: {name: "secmark", typ: typeInteger}, rules.CtExpiration: {name: "expiration", typ: typeTime},
	rules.CtHelper: {name: "helper", typ: typeString, net: true}, rules.CtL3protocol: {name: "l3proto", typ: typeNfproto},
	rules.CtSrc: {name: "saddr", typ: typeIPAddr, net: true}, rules.CtDst: {name: "daddr", typ: typeIPAddr, net: true},
	rules.CtProtocol: {name: "protocol", typ: typeProtocol, net: true},
	rules.CtProtoSrc: {name: "proto-src", typ: typeService, net: true}, rules.CtProtoDst: {name: "proto-dst", typ: typeService, net: true},
	rules.CtLabels: {name: "label", typ: typeCtLabel}, rules.CtPkts: {name: "packets", typ: typeInteger},
	rules.CtBytes: {name: "bytes", typ: typeInteger}, rules.CtAvgpkt: {name: "avgpkt", typ: typeInteger},
	rules.CtZone: {name: "zone", typ: typeInteger}, rules.CtEventmask: {name: "event", typ: typeCtEvent},
	rules.CtSrcIP: {name: "ip saddr", typ: typeIPAddr, net: true}, rules.CtDstIP: {name: "ip daddr", typ: typeIPAddr, net: true},
	rules.CtSrcIP6: {name: "ip6 saddr", typ: typeIP6Addr, net: true}, rules.CtDstIP6: {name: "ip6 daddr", typ: typeIP6Addr, net: true},
	rules.CtID: {name: "id", typ: typeInteger, net: true},
}

func (p *printer) ct(x *rules.Ct) typed {
	row, ok := ctRows[x.Key]
	if !ok {
		return typed{text: fmt.Sprintf("ct [ %d ? ]", x.Key), typ: typeBitmask, n: x.Width(), host: true}
	}
	t := typed{text: row.name, typ: row.typ, n: x.Width(), host: !row.net}
	if x.Key == rules.CtSrc || x.Key == rules.CtDst {
		// older rules name the address without its family
		if t.n == 16 {
			t.typ, t.text = typeIP6Addr, "ip6 "+t.text
		} else {
			t.text = "ip " + t.text
		}
	}
	if x.Dir <= rules.CtDirReply {
		t.text = ctDirNames[x.Dir].name + " " + t.text
	}
	t.text = "ct " + t.text
	return t
}

// payload finds the field by its place in the header that is there.
func (p *printer) payload(x *rules.Payload) typed {
	if h, f := p.field(x.Base, x.Off*8, x.Len*8); f != nil {
		p.imply(h, f)
		return typed{text: h.name + " " + f.name, typ: f.typ, n: x.Len}
	}
	return rawPayload(x)
}

func rawPayload(x *rules.Payload) typed {
	base := "ih"
	if int(x.Base) < len(baseTokens) {
		base = baseTokens[x.Base]
	}
	return typed{text: fmt.Sprintf("@%s,%d,%d", base, x.Off*8, x.Len*8), typ: typeRaw, n: x.Len}
}

// field is the field of n bits at off, nil when the header is not known.
func (p *printer) field(base rules.PayloadBase, off, n int) (*header, *field) {
	h, off := p.headerAt(base, off)
	if h == nil {
		return nil, nil
	}
	for i := range h.fields {
		f := &h.fields[i]
		if f.off == off && f.bits == n && p.icmpFits(f) {
			return h, f
		}
	}
	return h, nil
}

// icmpFits: a field that only some ICMP types have is it only where the type
// is one of them, or is not known.
func (p *printer) icmpFits(f *field) bool {
	if f.icmp == nil || p.icmpType < 0 {
		return true
	}
	for _, t := range f.icmp {
		if int(t) == p.icmpType {
			return true
		}
	}
	return false
}

// headerAt is the header at base and the offset in bits inside it.
func (p *printer) headerAt(base rules.PayloadBase, off int) (*header, int) {
	if int(base) >= len(p.headers) {
		return nil, 0
	}
	h := p.headers[base]
	if h == nil && base == rules.PayloadTransport {
		return headerTh, off
	}
	if base == rules.PayloadLink && h != nil && off >= h.length*8 {
		off -= h.length * 8
		for _, s := range p.stacked {
			if off < s.length*8 {
				return s, off
			}
			off -= s.length * 8
		}
		return nil, 0
	}
	return h, off
}

// bitwise is a bit field where the mask says so, else an operation.
func (p *printer) bitwise(x *rules.Bitwise) typed {
	if isZero(x.Xor) {
		if t, ok := p.bitField(x.X, x.Mask); ok {
			return t
		}
	}
	t := p.expr(x.X)
	and, xor, or := splitMask(x.Mask, x.Xor)
	for _, op := range []struct {
		sign string
		data []byte
		none bool
	}{{"&", and, isOnes(and)}, {"^", xor, isZero(xor)}, {"|", or, isZero(or)}} {
		if !op.none {
			t.text += " " + op.sign + " " + p.operand(t, op.data)
			t.computed = true
		}
	}
	return t
}

// operand prints the constant of a bit operation.
func (p *printer) operand(t typed, data []byte) string {
	s := p.value(t, data)
	if strings.Contains(s, " | ") {
		return "(" + s + ")"
	}
	return s
}

// splitMask turns (x & mask) ^ xor into x & and ^ flip | or
// (netlink_parse_bitwise_mask_xor).
func splitMask(mask, xor []byte) (and, flip, or []byte) {
	n := min(len(mask), len(xor))
	and, flip, or = make([]byte, n), make([]byte, n), make([]byte, n)
	for i := range n {
		or[i] = xor[i] &^ mask[i]
		flip[i] = xor[i] & mask[i]
		and[i] = mask[i] | or[i]
	}
	return and, flip, or
}

// bitField is a field of fewer bits than were loaded, chosen by a mask.
func (p *printer) bitField(e rules.Expr, mask []byte) (typed, bool) {
	lead, n, trail := maskRun(mask)
	if n == 0 || lead == 0 && trail == 0 {
		return typed{}, false
	}
	if opt, ok := e.(*rules.Exthdr); ok {
		t, ok := p.option(opt, opt.Off*8+lead, n)
		t.shift = trail
		return t, ok
	}
	x, ok := e.(*rules.Payload)
	if !ok {
		return typed{}, false
	}
	h, f := p.field(x.Base, x.Off*8+lead, n)
	if f == nil || f.bits != n {
		return typed{}, false
	}
	p.imply(h, f)
	return typed{text: h.name + " " + f.name, typ: f.typ, n: x.Len, shift: trail}, true
}

// maskRun is the one run of ones in a mask: zeros before it, ones, zeros
// after it. n is 0 when there is not exactly one.
func maskRun(mask []byte) (lead, n, trail int) {
	state := 0
	for _, b := range mask {
		for bit := 7; bit >= 0; bit-- {
			one := b>>bit&1 == 1
			switch {
			case one && state <= 1:
				state = 1
				n++
			case one:
				return 0, 0, 0
			case state == 0:
				lead++
			default:
				state = 2
				trail++
			}
		}
	}
	return lead, n, trail
}

var boolSigns = [...]string{"&", "|", "^"}

func (p *printer) bool2(x *rules.Bool2) typed {
	t := p.expr(x.X)
	right := ""
	if c, ok := x.Y.(*rules.Const); ok {
		right = p.operand(t, c.Data)
	} else {
		right = p.expr(x.Y).text
	}
	t.text += " " + boolSigns[x.Op] + " " + right
	t.computed = true
	return t
}

func (p *printer) shift(x *rules.Shift) typed {
	t := p.expr(x.X)
	if !x.Left && t.shift == int(x.By) && t.shift > 0 {
		// a bit field moved down to be looked up
		t.shift = 0
		return t
	}
	sign := ">>"
	if x.Left {
		sign = "<<"
	}
	if t.computed {
		t.text = "(" + t.text + ")"
	}
	t.text += fmt.Sprintf(" %s %d", sign, x.By)
	t.computed = true
	return t
}

// slice: the front of a name is still that name; a part of a map's data is
// one of its fields.
func (p *printer) slice(x *rules.Slice) typed {
	t := p.expr(x.X)
	t.n = x.Len
	if x.Off == 0 && t.typ.text {
		return t
	}
	if pl, ok := x.X.(*rules.Payload); ok {
		return p.payload(&rules.Payload{Base: pl.Base, Off: pl.Off + x.Off, Len: x.Len})
	}
	at := 0
	for _, part := range t.parts {
		if at == x.Off && part.n == x.Len {
			part.text = t.text
			return part
		}
		at += pad(part.n)
	}
	return t
}

func (p *printer) concat(x *rules.Concat) typed {
	t := typed{typ: typeInteger}
	var names []string
	for _, e := range x.Parts {
		part := p.expr(e)
		names = append(names, part.text)
		t.parts = append(t.parts, part)
		t.n += pad(part.n)
	}
	t.text = strings.Join(names, " . ")
	return t
}

func (p *printer) mapLookup(x *rules.MapLookup) typed {
	key := p.expr(x.Key)
	data := p.dataType(x.Set)
	data.text = key.text + " map " + p.setRef(x.Set, key, data)
	return data
}

func pad(n int) int { return (n + 3) &^ 3 }

func isZero(b []byte) bool {
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}

func isOnes(b []byte) bool {
	for _, x := range b {
		if x != 0xff {
			return false
		}
	}
	return true
}

// prefixLen is the length of a mask that is a prefix.
func prefixLen(mask []byte) (int, bool) {
	n, seen := 0, false
	for _, b := range mask {
		if seen && b != 0 {
			return 0, false
		}
		ones := bits.LeadingZeros8(^b)
		if b != 0xff {
			seen = true
			if b<<ones != 0 {
				return 0, false
			}
		}
		n += ones
	}
	return n, true
}
