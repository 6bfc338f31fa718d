package nft

import (
	"encoding/binary"
	"strconv"
	"strings"

	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/xt"
)

// RuleText is the rule as its own tool prints it, without counters and handle:
// as `nft list ruleset` does, and without its comment, or as iptables-save does
// where it is a rule of iptables. For nft it follows netlink_delinearize.c of
// nft 1.0.6: a condition that another one implies is left out.
func RuleText(r *rules.Rule) string {
	if r.Chain != nil && r.Chain.Table != nil && r.Chain.Table.Backend.Iptables() {
		if s, ok := xt.RuleText(r); ok {
			return s
		}
	}
	p := rulePrinter(r)
	return p.rule(r)
}

// RuleTextFull is the rule with what it has counted and its comment; nft
// loads it.
func RuleTextFull(r *rules.Rule) string {
	p := rulePrinter(r)
	p.counters = true
	s := p.rule(r)
	if r.Comment != "" {
		s += " comment " + quote(r.Comment)
	}
	return s
}

// ExprText is what an expression loads, as nft writes it: tcp dport, meta mark,
// ip saddr & 255.255.255.0.
func ExprText(e rules.Expr, f rules.Family) string { return newPrinter(f, nil).expr(e).text }

// ConditionText is one condition of a rule, or another statement, by itself.
func ConditionText(s rules.Statement) string {
	p := newPrinter(rules.FamilyUnspec, nil)
	p.guess(s)
	p.statement(s)
	return p.text()
}

// ValueText prints a constant in the type of the expression that it is
// compared with. Meta and ct values in data are in the given order, header
// fields in network order.
func ValueText(e rules.Expr, data []byte, order binary.ByteOrder) string {
	p := newPrinter(rules.FamilyUnspec, order)
	p.guessExpr(e)
	return p.list(p.expr(e), data)
}

// rulePrinter prints r in the byte order, and with the device names, of the
// ruleset that it belongs to.
func rulePrinter(r *rules.Rule) *printer {
	p := newPrinter(familyOf(r), nil)
	if r.Chain == nil || r.Chain.Table == nil || r.Chain.Table.Ruleset == nil {
		return p
	}
	rs := r.Chain.Table.Ruleset
	if rs.Order != nil {
		p.order = rs.Order
	}
	p.links = rs.DeviceName
	return p
}

// loopback is LOOPBACK_IFINDEX: lo has it in every namespace.
const loopback = 1

// link writes a device by name where it is known.
func (p *printer) link(index uint32) string {
	if p.links != nil {
		if name, ok := p.links(index); ok {
			return quote(name)
		}
	}
	if index == loopback {
		return `"lo"`
	}
	return strconv.FormatUint(uint64(index), 10)
}

// printer renders the statements of one rule, keeping what earlier ones tell
// of the packet's protocols.
type printer struct {
	order    binary.ByteOrder
	counters bool
	links    func(index uint32) (name string, ok bool)
	// indent is that of the rule's line; where it is empty, the rule stays on
	// one line.
	indent string
	// depth counts the blocks that a rule is inside of.
	depth int

	layers
	// within is what is known of the packets inside tunnels, by the tunnel.
	within map[string]*layers

	items []string
}

// layers is what the statements so far tell of a packet's protocols.
type layers struct {
	family rules.Family
	// the headers that are known, by PayloadBase; link holds the VLAN headers
	// after the first.
	headers [5]*header
	stacked []*header
	// icmpType is the type that an earlier condition asks for, or -1.
	icmpType int
	// deps is, by PayloadBase, the condition that tells which header it is.
	deps [5]*dependency
}

// dependency is a condition that nft adds by itself where a field of a header
// is asked for, and leaves out when it prints.
type dependency struct {
	item   int
	header *header // nil for a meta expression
	value  uint64
}

func newPrinter(f rules.Family, order binary.ByteOrder) *printer {
	if order == nil {
		order = binary.NativeEndian
	}
	p := &printer{order: order, layers: layers{family: f, icmpType: -1}}
	p.headers[rules.PayloadNetwork] = families[uint64(f)]
	switch f {
	case rules.FamilyARP:
		p.headers[rules.PayloadNetwork] = headerARP
	case rules.FamilyBridge, rules.FamilyNetdev:
		p.headers[rules.PayloadLink] = headerEther
	}
	return p
}

// fresh is a printer for another rule of the same table.
func (p *printer) fresh() *printer {
	q := newPrinter(p.family, p.order)
	q.counters, q.links, q.indent, q.depth = p.counters, p.links, p.indent, p.depth+1
	return q
}

func familyOf(r *rules.Rule) rules.Family {
	if r.Chain == nil || r.Chain.Table == nil {
		return rules.FamilyUnspec
	}
	return r.Chain.Table.Family
}

// rule renders every statement of r.
func (p *printer) rule(r *rules.Rule) string {
	for i := 0; i < len(r.Statements); i++ {
		if i+1 < len(r.Statements) && p.pair(r.Statements[i], r.Statements[i+1]) {
			i++
			continue
		}
		p.statement(r.Statements[i])
	}
	return p.text()
}

// text joins what was not dropped.
func (p *printer) text() string {
	out := make([]string, 0, len(p.items))
	for _, s := range p.items {
		if s != "" {
			out = append(out, s)
		}
	}
	return strings.Join(out, " ")
}

func (p *printer) add(s string) { p.items = append(p.items, s) }

// depend notes that the item added last tells which header is at base.
func (p *printer) depend(base rules.PayloadBase, h *header, value uint64) {
	p.deps[base] = &dependency{item: len(p.items) - 1, header: h, value: value}
}

// drop leaves the condition out that tells which header is at base.
func (p *printer) drop(base rules.PayloadBase) {
	if d := p.deps[base]; d != nil {
		p.items[d.item] = ""
		p.deps[base] = nil
	}
}

// imply is called when a field of h is printed: it makes the condition that
// says that the header is there superfluous (payload_may_dependency_kill).
func (p *printer) imply(h *header, f *field) {
	d := p.deps[h.base]
	if d == nil || h == headerTh {
		return
	}
	mixed := p.family == rules.FamilyInet || p.family == rules.FamilyBridge || p.family == rules.FamilyNetdev
	if mixed && d.header != nil {
		if d.header.base == rules.PayloadNetwork && h.base == rules.PayloadTransport {
			// `ip protocol` also says that it is IPv4
			return
		}
		if d.header.base == h.base && f.next {
			return
		}
		if d.header.base == rules.PayloadLink && h.base == rules.PayloadLink &&
			(d.header == headerVlan || d.value != 0x8100) {
			return
		}
	}
	if d.header == headerICMP || d.header == headerICMP6 {
		// the condition nft adds for an echo is both types, not the one
		if d.header != h || len(f.icmp) != 1 || int(f.icmp[0]) != p.icmpType {
			return
		}
	}
	p.drop(h.base)
}

// guess sets the headers so that a statement without its rule reads well.
func (p *printer) guess(s rules.Statement) {
	switch m := s.(type) {
	case *rules.Match:
		p.guessExpr(m.Left)
	case *rules.MatchRange:
		p.guessExpr(m.Left)
	case *rules.InSet:
		p.guessExpr(m.Key)
	case *rules.VerdictMap:
		p.guessExpr(m.Key)
	}
}

// guessExpr: a network header field of four bytes at 12 or 16 is an IPv4
// address, one of sixteen at 8 or 24 an IPv6 address, whatever the family.
func (p *printer) guessExpr(e rules.Expr) {
	switch x := e.(type) {
	case *rules.Payload:
		if x.Base != rules.PayloadNetwork {
			return
		}
		p.headers[rules.PayloadNetwork] = headerIP
		if x.Len == 16 && (x.Off == 8 || x.Off == 24) {
			p.headers[rules.PayloadNetwork] = headerIP6
		}
	case *rules.Bitwise:
		p.guessExpr(x.X)
	case *rules.Slice:
		p.guessExpr(x.X)
	case *rules.Byteorder:
		p.guessExpr(x.X)
	case *rules.Concat:
		for _, part := range x.Parts {
			p.guessExpr(part)
			if h := p.headers[rules.PayloadNetwork]; h == headerIP6 {
				return
			}
		}
	}
}
