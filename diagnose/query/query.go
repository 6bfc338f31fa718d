// Package query is how a user names flows: in the words that people have at
// hand (a tuple, a line of conntrack, tcpdump, ss or the kernel log), or by
// filter flags. It is pure: it reads text and tests entries.
package query

import (
	"net/netip"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

// End is one end of a flow as far as a query names it. The zero End is any.
type End struct {
	// Addr is invalid for any address; a single address has its full length.
	Addr    netip.Prefix
	Port    uint16
	HasPort bool
}

// whole tells whether the end is one address.
func (e End) whole() bool { return e.Addr.IsValid() && e.Addr.IsSingleIP() }

func (e End) any() bool { return !e.Addr.IsValid() && !e.HasPort }

func (e End) matches(a netip.Addr, port uint16, hasPort bool) bool {
	if e.Addr.IsValid() && !e.Addr.Contains(a) {
		return false
	}
	return !e.HasPort || hasPort && e.Port == port
}

// Opt is a number that a query may leave open.
type Opt struct {
	N   uint32
	Set bool
}

func some(n uint32) Opt { return Opt{N: n, Set: true} }

func (o Opt) open(n uint32) bool { return !o.Set || o.N == n }

// Query is what was asked for. What is not set is open.
type Query struct {
	Text   string // the words as given, joined by one space
	Kind   string // the pasted line it was taken for: "conntrack line", …; "" for words
	Family rules.Family
	Proto  Opt
	Src    End
	Dst    End
	// Any are ends without a direction: each must be one end of the flow.
	Any []End
	// ICMPID, ICMPType and ICMPCode are those of an ICMP query.
	ICMPID, ICMPType, ICMPCode Opt

	ID       Opt // CTA_ID, conntrack -o id
	Zone     Opt
	Mark     Opt
	MarkMask uint32 // when Mark is set
	State    string // as host.Flow.State, "" for any
}

// Form says as what an entry fits a query.
type Form uint8

const (
	FormNone Form = iota
	// FormOriginal: the original tuple, as the initiator sends it.
	FormOriginal
	// FormReply: the reply tuple, as the far end answers.
	FormReply
	// FormReversed: the original tuple from its far end, as the initiator
	// receives the answers.
	FormReversed
	// FormTranslated: the forward packet after both rewrites, as the far end
	// receives it.
	FormTranslated
	// FormForward: between the two rewrites, as the forward hook sees it.
	FormForward
	// FormForwardReply: an answer between the two, on its way back.
	FormForwardReply
	// FormOther: by id or by something that is not of the tuples.
	FormOther
)

var formNames = [...]string{
	FormNone:         "no match",
	FormOriginal:     "original tuple",
	FormReply:        "reply tuple",
	FormReversed:     "original tuple reversed",
	FormTranslated:   "forward tuple after NAT",
	FormForward:      "forward tuple between DNAT and SNAT",
	FormForwardReply: "reply tuple between SNAT and DNAT",
	FormOther:        "entry",
}

func (f Form) String() string { return formNames[f] }

// ends are the two ends of a tuple; for ICMP id, type and code are kept apart.
type ends struct {
	src, dst     netip.Addr
	sport, dport uint16
}

func endsOf(t rules.Tuple) ends { return ends{t.Src, t.Dst, t.SrcPort, t.DstPort} }

func (e ends) reversed() ends { return ends{e.dst, e.src, e.dport, e.sport} }

// form returns the ends of f as the wire shows them in that form.
func form(f *host.Flow, k Form) ends {
	o, r := endsOf(f.Original), endsOf(f.Reply)
	switch k {
	case FormOriginal:
		return o
	case FormReply:
		return r
	case FormReversed:
		return o.reversed()
	case FormTranslated:
		return r.reversed()
	case FormForward:
		return ends{o.src, r.src, o.sport, r.sport}
	}
	return ends{r.src, o.src, r.sport, o.sport}
}

// Match tells as what f fits the query, FormNone when it does not. It
// allocates nothing.
func (q *Query) Match(f *host.Flow) Form {
	if !q.matchEntry(f) {
		return FormNone
	}
	if q.Src.any() && q.Dst.any() && len(q.Any) == 0 {
		return FormOther
	}
	for k := FormOriginal; k <= FormForwardReply; k++ {
		if q.matchEnds(f, form(f, k)) {
			return k
		}
	}
	return FormNone
}

// matchEntry tests what is not an end of the flow.
func (q *Query) matchEntry(f *host.Flow) bool {
	switch {
	case q.Family != 0 && q.Family != f.Family,
		!q.Proto.open(uint32(f.Original.Proto)),
		q.ID.Set && (f.Has&host.HasID == 0 || f.ID != q.ID.N),
		!q.Zone.open(uint32(f.Zone)),
		q.Mark.Set && f.Mark&q.MarkMask != q.Mark.N&q.MarkMask,
		q.State != "" && f.State() != q.State:
		return false
	}
	return q.matchICMP(f)
}

// matchICMP: the id may be rewritten like a port; the type of the answer is
// the other one of its pair.
func (q *Query) matchICMP(f *host.Flow) bool {
	if !q.ICMPID.Set && !q.ICMPType.Set && !q.ICMPCode.Set {
		return true
	}
	if !f.IsICMP() {
		return false
	}
	for _, t := range [2]rules.Tuple{f.Original, f.Reply} {
		typ, code := host.ICMPTypeCode(t)
		if q.ICMPID.open(uint32(t.SrcPort)) && q.ICMPType.open(uint32(typ)) && q.ICMPCode.open(uint32(code)) {
			return true
		}
	}
	return false
}

func (q *Query) matchEnds(f *host.Flow, e ends) bool {
	ports := f.HasPorts()
	if !q.Src.matches(e.src, e.sport, ports) || !q.Dst.matches(e.dst, e.dport, ports) {
		return false
	}
	if len(q.Any) == 2 {
		a, b := q.Any[0], q.Any[1]
		return a.matches(e.src, e.sport, ports) && b.matches(e.dst, e.dport, ports) ||
			b.matches(e.src, e.sport, ports) && a.matches(e.dst, e.dport, ports)
	}
	for _, a := range q.Any {
		if !a.matches(e.src, e.sport, ports) && !a.matches(e.dst, e.dport, ports) {
			return false
		}
	}
	return true
}

// Near counts how much of the query's ends f shares in its best form: an
// address counts 2, a port 1. 0 when nothing of weight is shared.
func (q *Query) Near(f *host.Flow) int {
	if q.Family != 0 && q.Family != f.Family {
		return 0
	}
	best := 0
	for k := FormOriginal; k <= FormForwardReply; k++ {
		e := form(f, k)
		n := share(q.Src, e.src, e.sport) + share(q.Dst, e.dst, e.dport)
		for _, a := range q.Any {
			n += max(share(a, e.src, e.sport), share(a, e.dst, e.dport))
		}
		best = max(best, n)
	}
	if best < 2 {
		return 0
	}
	if q.Proto.open(uint32(f.Original.Proto)) {
		best++
	}
	return best
}

func share(e End, a netip.Addr, port uint16) int {
	n := 0
	if e.Addr.IsValid() && e.Addr.Contains(a) {
		n += 2
	}
	if e.HasPort && e.Port == port {
		n++
	}
	return n
}

// icmpAnswer pairs the types that conntrack pairs (icmp_pkt_to_tuple's
// invmap), for IPv4 and IPv6.
var icmpAnswer = map[uint32]uint32{
	8: 0, 0: 8, 13: 14, 14: 13, 15: 16, 16: 15, 17: 18, 18: 17,
	128: 129, 129: 128, 139: 140, 140: 139,
}

// Lookups lists the tuples by which the kernel can find the entry without a
// dump: it finds one by either of its tuples, so as given and reversed cover
// four of the six forms. nil when the query does not name a whole tuple.
func (q *Query) Lookups() []rules.Tuple {
	if !q.Src.whole() || !q.Dst.whole() {
		return nil
	}
	if q.Proto.Set {
		return q.lookupsOf(uint8(q.Proto.N))
	}
	return append(q.lookupsOf(host.ProtoTCP), q.lookupsOf(host.ProtoUDP)...)
}

func (q *Query) lookupsOf(proto uint8) []rules.Tuple {
	fwd := rules.Tuple{Proto: proto, Src: q.Src.Addr.Addr(), Dst: q.Dst.Addr.Addr()}
	rev := rules.Tuple{Proto: proto, Src: fwd.Dst, Dst: fwd.Src}
	probe := host.Flow{Original: fwd}
	switch {
	case probe.HasPorts():
		if !q.Src.HasPort || !q.Dst.HasPort {
			return nil
		}
		fwd.SrcPort, fwd.DstPort = q.Src.Port, q.Dst.Port
		rev.SrcPort, rev.DstPort = q.Dst.Port, q.Src.Port
	case probe.IsICMP():
		return q.icmpLookups(fwd, rev)
	}
	return []rules.Tuple{fwd, rev}
}

// icmpLookups: without a type the query is taken for an echo.
func (q *Query) icmpLookups(fwd, rev rules.Tuple) []rules.Tuple {
	if !q.ICMPID.Set {
		return nil
	}
	typ := q.ICMPType.N
	if !q.ICMPType.Set {
		typ = 8
		if fwd.Proto == host.ProtoICMPv6 {
			typ = 128
		}
	}
	answer, paired := icmpAnswer[typ]
	if !paired {
		return nil
	}
	var out []rules.Tuple
	for _, t := range []struct {
		rules.Tuple
		typ uint32
	}{{fwd, typ}, {fwd, answer}, {rev, answer}, {rev, typ}} {
		t.SrcPort, t.DstPort = uint16(q.ICMPID.N), uint16(t.typ<<8|q.ICMPCode.N)
		out = append(out, t.Tuple)
	}
	return out
}
