package nft

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/xt"
)

// MissText says why a condition did not hold of a packet, for a reader: what
// the packet has, then what the rule wants. got is the value that the
// condition looked at, nil when it is not at hand.
//
//	tcp dport 443 ≠ 8080
//	ip daddr 10.0.0.9 not in { 10.0.0.1, 10.0.0.2 }
//	meta mark not known
func MissText(s rules.Statement, got *rules.Value, order binary.ByteOrder) string {
	p := newPrinter(rules.FamilyUnspec, order)
	p.guess(s)
	return p.missText(s, got)
}

// MissIn is MissText for a statement of rule r: what stands before it in the
// rule tells which protocol its header fields belong to.
func MissIn(r *rules.Rule, s rules.Statement, got *rules.Value, order binary.ByteOrder) string {
	p := rulePrinter(r)
	if order != nil {
		p.order = order
	}
	p.until(r, s)
	if whole := rangeOf(r, s); whole != nil {
		s = whole
	}
	switch s.(type) {
	case *rules.Match, *rules.MatchRange, *rules.InSet, *rules.VerdictMap:
	default:
		if words, ok := xt.MatchText(r, s); ok {
			return p.missXT(s, words, got)
		}
	}
	return p.missText(s, got)
}

// rangeOf is the range of which s compares one end, nil where it does not.
func rangeOf(r *rules.Rule, s rules.Statement) rules.Statement {
	at := slices.Index(r.Statements, s)
	if at < 0 {
		return nil
	}
	for _, i := range [...]int{at - 1, at} {
		if i < 0 || i+1 >= len(r.Statements) {
			continue
		}
		if m := asRange(r.Statements[i], r.Statements[i+1]); m != nil {
			return m
		}
	}
	return nil
}

// missXT is for a match of iptables that is no plain comparison: in its own
// words, with what the packet has where it looks at one thing only.
func (p *printer) missXT(s rules.Statement, words string, got *rules.Value) string {
	if x := rules.Subject(s); x != nil && got != nil && got.IsKnown() {
		t := p.expr(x)
		return fmt.Sprintf("%s %s: %s does not hold", t.text, p.list(t, got.Bytes()), words)
	}
	return words + " did not hold"
}

// ConditionIn is ConditionText for a statement of rule r; what an extension of
// iptables tests is in its words, but for odds, which are the same of both.
func ConditionIn(r *rules.Rule, s rules.Statement, order binary.ByteOrder) string {
	if _, odds := s.(*rules.Chance); !odds {
		if words, ok := xt.MatchText(r, s); ok && words != "" {
			return words
		}
	}
	p := rulePrinter(r)
	if order != nil {
		p.order = order
	}
	p.until(r, s)
	p.statement(s)
	return p.text()
}

// until takes from the statements before s what they tell of the headers, and
// forgets their text.
func (p *printer) until(r *rules.Rule, s rules.Statement) {
	for _, before := range r.Statements {
		if before == s {
			break
		}
		p.statement(before)
	}
	p.forget()
	if p.headers[rules.PayloadNetwork] == nil {
		p.guess(s)
	}
}

// forget drops the text, and keeps what it tells of the headers.
func (p *printer) forget() {
	p.items, p.deps = nil, [5]*dependency{}
	for _, in := range p.within {
		in.deps = [5]*dependency{}
	}
}

// missText renders why s did not hold.
func (p *printer) missText(s rules.Statement, got *rules.Value) string {
	switch m := s.(type) {
	case *rules.Match:
		return p.missMatch(m, got)
	case *rules.MatchRange:
		t := p.expr(m.Left)
		relation := "not in"
		if m.Invert {
			relation = "in"
		}
		return p.miss(t, got, relation, p.rangeText(t, m.Lo, m.Hi))
	case *rules.InSet:
		t := p.expr(m.Key)
		relation := "not in"
		if m.Invert {
			relation = "in"
		}
		return p.missNet(m.Key, t, got, relation, p.shortSet(m.Set, t))
	case *rules.VerdictMap:
		t := p.expr(m.Key)
		return p.missNet(m.Key, t, got, "not in", p.shortSet(m.Set, t))
	}
	p.statement(s)
	return p.text() + " did not hold"
}

var missSigns = [...]string{"≠", "=", "≥", ">", "≤", "<"}

func (p *printer) missMatch(m *rules.Match, got *rules.Value) string {
	left, right := m.Left, m.Right
	if pl, ok := left.(*rules.Payload); ok && p.expr(left).typ == typeRaw {
		// the front of an address, or several fields: as the rule writes it
		if p.pieces(pl, m.Op, right) {
			want := p.text()
			if got == nil || !got.IsKnown() {
				return want + " not known"
			}
			if have, ok := p.frontOf(pl, got.Bytes(), right); ok {
				return have[0] + " " + missSigns[m.Op] + " " + have[1]
			}
			return want + " does not hold"
		}
	}
	if bw, ok := left.(*rules.Bitwise); ok && isZero(bw.Xor) && p.masked(m, bw) {
		return p.missMasked(m, bw, got)
	}
	if sl, ok := left.(*rules.Slice); ok && p.front(m, sl) {
		return p.missFront(m, sl, got)
	}
	t := p.expr(left)
	sign := "≠"
	if int(m.Op) < len(missSigns) {
		sign = missSigns[m.Op]
	}
	if _, ok := left.(*rules.Bitwise); ok && got != nil && got.IsKnown() {
		if t.typ == typeIPAddr || t.typ == typeIP6Addr {
			// what is left of an address is none
			return fmt.Sprintf("%s %s %s", t.text, sign, p.list(t, right))
		}
		t.text += " =" // meta mark & 0x1 = 0x0 ≠ 0x1
	}
	return p.miss(t, got, sign, p.list(t, right))
}

// frontOf is what the packet has where the front of one address is compared,
// and what the rule wants: "ip saddr 10.0.0.0/24", "192.168.1.0/24".
func (p *printer) frontOf(pl *rules.Payload, got, want []byte) (out [2]string, ok bool) {
	have, wanted := p.cut(pl, got), p.cut(pl, want)
	if len(have) != 1 || len(wanted) != 1 || have[0].n >= have[0].f.bits {
		return out, false
	}
	f := have[0].f
	text := func(b []byte) string {
		data := make([]byte, f.bits/8)
		copy(data, b)
		return fmt.Sprintf("%s/%d", p.value(typed{typ: f.typ, n: len(data)}, data), have[0].n)
	}
	return [2]string{have[0].h.name + " " + f.name + " " + text(have[0].data), text(wanted[0].data)}, true
}

// missMasked: the value is what is left of it behind the mask.
func (p *printer) missMasked(m *rules.Match, bw *rules.Bitwise, got *rules.Value) string {
	want := p.text()
	t := p.expr(bw.X)
	if got == nil || !got.IsKnown() {
		return t.text + " not known (" + want + ")"
	}
	if f, ok := p.bitField(bw.X, bw.Mask); ok {
		return p.miss(f, got, missSigns[m.Op], p.value(f, m.Right))
	}
	if n, ok := prefixLen(p.bigEndian(t, bw.Mask)); ok && t.typ.prefix {
		have := fmt.Sprintf("%s %s/%d ", t.text, p.value(t, got.Bytes()), n)
		return have + missSigns[m.Op] + fmt.Sprintf(" %s/%d", p.value(t, m.Right), n)
	}
	if t.typ.flags && isZero(got.Bytes()) {
		return want + ": none is set"
	}
	return want + ": has " + strings.ReplaceAll(p.value(t, got.Bytes()), " | ", ",")
}

// missFront: of the packet's address the same bytes are shown as are compared.
func (p *printer) missFront(m *rules.Match, sl *rules.Slice, got *rules.Value) string {
	t := p.expr(sl.X)
	if got == nil || !got.IsKnown() {
		return t.text + " not known (" + p.text() + ")"
	}
	net := func(b []byte) string {
		data := make([]byte, t.n)
		copy(data, b[:len(m.Right)])
		return fmt.Sprintf("%s/%d", p.value(t, data), 8*len(m.Right))
	}
	return fmt.Sprintf("%s %s %s %s", t.text, net(got.Bytes()), missSigns[m.Op], net(m.Right))
}

// miss joins what is looked at, what it is, and what it should be.
func (p *printer) miss(t typed, got *rules.Value, relation, want string) string {
	switch {
	case got != nil && got.Absent == rules.Yes:
		return t.text + " is not there"
	case got == nil || !got.IsKnown():
		return t.text + " not known"
	}
	return fmt.Sprintf("%s %s %s %s", t.text, p.list(t, got.Bytes()), relation, want)
}

// missNet is miss for a key that may be a network: it is written with its length.
func (p *printer) missNet(key rules.Expr, t typed, got *rules.Value, relation, want string) string {
	bw, ok := key.(*rules.Bitwise)
	if !ok || got == nil || !got.IsKnown() || t.typ != typeIPAddr && t.typ != typeIP6Addr {
		return p.miss(t, got, relation, want)
	}
	n, ok := prefixLen(bw.Mask)
	if !ok || !isZero(bw.Xor) {
		return fmt.Sprintf("%s %s %s", t.text, relation, want)
	}
	return fmt.Sprintf("%s %s/%d %s %s", t.text, p.value(t, got.Bytes()), n, relation, want)
}

// shortElements is how many elements of a set are listed in a reason.
const shortElements = 6

// shortSet is a set as a rule writes it, cut when it is long.
func (p *printer) shortSet(s *rules.Set, key typed) string {
	data := p.yields(s)
	if s == nil || s.Flags&rules.SetAnonymous == 0 || len(s.Elements) <= shortElements {
		return p.setRef(s, key, data)
	}
	front := *s
	front.Elements = s.Elements[:shortElements]
	list := p.setRef(&front, key, data)
	return fmt.Sprintf("%s, … %d more }", list[:len(list)-2], len(s.Elements)-shortElements)
}
