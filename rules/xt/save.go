package xt

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"

	"github.com/ntdiag/ntdiag/rules"
)

// RuleText is the rule as iptables-save prints it: "-A CHAIN -p tcp …",
// without counters. An extension whose bytes are not at hand prints by its text
// (rules.RawExpr): "-m NAME …" or "-j NAME …". It is false where the rule holds
// something that iptables has no words for: then it is a rule of nf_tables in a
// table of iptables'.
func RuleText(r *rules.Rule) (string, bool) {
	if r.Chain == nil || r.Chain.Table == nil {
		return "", false
	}
	l := &line{ctx: contextOf(r)}
	for i := range r.Statements {
		if !l.statement(r, r.Statements[i]) {
			return "", false
		}
	}
	return l.text(r.Chain.Name), true
}

func contextOf(r *rules.Rule) *Context {
	t := r.Chain.Table
	c := &Context{Order: binary.NativeEndian, Family: t.Family, IPSet: func(uint16) *rules.IPSet { return nil }}
	if rs := t.Ruleset; rs != nil {
		c.IPSet = rs.IPSet
		if rs.Order != nil {
			c.Order = rs.Order
		}
	}
	return c
}

// line gathers the words of a rule in the order in which iptables-save prints
// them, whatever the order in which they stand in the rule.
type line struct {
	ctx *Context
	// what the entry itself asks for, each with its option
	src, dst, in, out, proto, frag string
	entry                          string // all of these, of a rule that has its texts
	protoNumber                    uint8
	matches                        []*words
	target                         string
	last                           int // the raw expression that was printed last, +1
}

// words are one match. Conditions on ports that stand apart in nf_tables are
// one match in iptables, whose options have their order.
type words struct {
	name    string
	options map[string]string // by their name, of a match that stands apart
	Options
}

// portOrder is the order of the options of tcp and its kin.
var portOrder = []string{"--sport", "--dport", "--tcp-flags"}

func (w *words) text() string {
	for _, name := range portOrder {
		if s := w.options[name]; s != "" {
			w.Word(s)
		}
	}
	return w.String()
}

// text joins what was gathered.
func (l *line) text(chain string) string {
	var o Options
	o.Word("-A", quoteChain(chain))
	if w := l.head(); w != "" {
		o.Word(w)
	}
	l.saveMatches(&o)
	if l.target != "" {
		o.Word(l.target)
	}
	return o.String()
}

// head is what the entry itself asks for.
func (l *line) head() string {
	var o Options
	for _, w := range []string{l.entry, l.src, l.dst, l.in, l.out, l.proto, l.frag} {
		if w != "" {
			o.Word(w)
		}
	}
	return o.String()
}

func (l *line) saveMatches(o *Options) {
	for _, m := range l.matches {
		o.Word("-m", m.name)
		if s := m.text(); s != "" {
			o.Word(s)
		}
	}
}

// quoteChain: a chain's name is printed as it is, but for what a terminal or
// the next line would take for something else.
func quoteChain(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '"' }) {
		return quote(s)
	}
	return s
}

// statement adds one. Statements of one extension print once.
func (l *line) statement(r *rules.Rule, s rules.Statement) bool {
	at := s.Covers()
	if len(at) == 1 && at[0] < len(r.Raw) {
		raw := &r.Raw[at[0]]
		if len(raw.Data) == 0 && raw.Text != "" {
			if l.last != at[0]+1 {
				l.last = at[0] + 1
				return l.words(raw)
			}
			return true
		}
		if b, target, ok := blobOf(l.ctx.Order, raw); ok {
			if l.last != at[0]+1 {
				l.last = at[0] + 1
				l.extension(s, &b, target)
			}
			return true
		}
	}
	return l.native(s)
}

// words prints what has its text and no bytes.
func (l *line) words(raw *rules.RawExpr) bool {
	switch raw.Name {
	case RawEntry:
		l.entry = raw.Text
	case RawMatch, "match":
		l.begin(strings.TrimPrefix(raw.Text, "-m "))
	case RawTarget, "target":
		l.target = raw.Text
	default:
		return false
	}
	return true
}

// extension prints a blob by its own row. The standard target of
// iptables-legacy has no name: its verdict is the statement.
func (l *line) extension(s rules.Statement, b *Blob, target bool) {
	if target && b.Name == "" {
		if v, ok := s.(*rules.Verdict); ok && l.verdict(v) {
			return
		}
		l.target = "-j [ ? ]"
		return
	}
	l.ctx.Proto = l.protoNumber
	if !target {
		m := &words{name: b.Name}
		if x, err := DecodeMatch(l.ctx, b); err == nil {
			m.name = alias(x, b.Name)
			x.Save(l.ctx, &m.Options)
		} else {
			m.Word("[ ? ]")
		}
		l.matches = append(l.matches, m)
		return
	}
	var o Options
	if x, err := DecodeTarget(l.ctx, b); err == nil {
		o.Word("-j", alias(x, b.Name))
		x.Save(l.ctx, &o)
	} else {
		o.Word("-j", b.Name, "[ ? ]")
	}
	l.target = o.String()
}

// alias is the name that an extension is printed by: some were written under
// another one (struct xtables_match.alias).
func alias(x Extension, name string) string {
	if a, ok := x.(interface{ Alias() string }); ok {
		return a.Alias()
	}
	return name
}

// MatchText is the match that statement s of r was made of, as iptables-save
// prints it: "-m multiport --dports 80,443". It is false where s is none of an
// extension's.
func MatchText(r *rules.Rule, s rules.Statement) (string, bool) {
	at := s.Covers()
	if r.Chain == nil || r.Chain.Table == nil || len(at) != 1 || at[0] >= len(r.Raw) {
		return "", false
	}
	raw := &r.Raw[at[0]]
	if len(raw.Data) == 0 && raw.Text != "" {
		return raw.Text, raw.Name == RawMatch || raw.Name == "match"
	}
	l := &line{ctx: contextOf(r)}
	b, target, ok := blobOf(l.ctx.Order, raw)
	if !ok || target {
		return "", false
	}
	l.extension(s, &b, false)
	var o Options
	l.saveMatches(&o)
	return o.String(), true
}

// blobOf is the extension that a raw expression holds, if it holds one.
func blobOf(order binary.ByteOrder, raw *rules.RawExpr) (b Blob, target, ok bool) {
	switch raw.Name {
	case RawMatch, RawTarget:
		b, _, err := splitBlob(order, raw.Data)
		return b, raw.Name == RawTarget, err == nil
	case "match", "target":
		return compatBlob(order, raw.Data), raw.Name == "target", true
	}
	return b, false, false
}

// compatBlob reads NFTA_MATCH_* or NFTA_TARGET_*: name 1, revision 2, info 3.
func compatBlob(order binary.ByteOrder, data []byte) Blob {
	var b Blob
	for len(data) >= 4 {
		n := int(order.Uint16(data))
		if n < 4 || n > len(data) {
			return b
		}
		val := data[4:n]
		switch order.Uint16(data[2:]) & 0x3fff {
		case 1:
			b.Name = cstring(val)
		case 2:
			if len(val) == 4 {
				b.Revision = val[3]
			}
		case 3:
			b.Info = val
		}
		data = data[min((n+3)&^3, len(data)):]
	}
	return b
}

// verdict prints the standard targets.
func (l *line) verdict(v *rules.Verdict) bool {
	switch v.Code {
	case rules.VerdictJump:
		l.target = "-j " + quoteChain(v.ChainName)
	case rules.VerdictGoto:
		l.target = "-g " + quoteChain(v.ChainName)
	case rules.VerdictAccept, rules.VerdictDrop, rules.VerdictReturn, rules.VerdictQueue:
		l.target = "-j " + strings.ToUpper(v.Code.String())
	case rules.VerdictContinue:
	default:
		return false
	}
	return true
}

// addressText is an address behind a mask as -s and -d have it: /24 where the
// mask is a prefix, the mask itself where it is not.
func addressText(addr, mask []byte) string {
	a, _ := netip.AddrFromSlice(addr)
	bits, ok := prefixLen(mask)
	if ok {
		return fmt.Sprintf("%s/%d", addrText(a), bits)
	}
	m, _ := netip.AddrFromSlice(mask)
	return addrText(a) + "/" + addrText(m)
}

// hostMask is an address behind a mask as an extension's option has it: the
// mask of a single host is left out (xtables_ipmask_to_numeric).
func hostMask(addr, mask netip.Addr) string {
	if n, ok := prefixLen(mask.AsSlice()); ok && n == mask.BitLen() {
		return addrText(addr)
	}
	return addressText(addr.AsSlice(), mask.AsSlice())
}

// prefixLen is the number of leading ones, false where a one follows a zero.
func prefixLen(mask []byte) (n int, ok bool) {
	ended := false
	for _, b := range mask {
		for bit := 7; bit >= 0; bit-- {
			one := b>>bit&1 == 1
			if one && ended {
				return 0, false
			}
			if ended = ended || !one; one {
				n++
			}
		}
	}
	return n, true
}

// addrText is an address as inet_ntop prints it: other than Go it has a dotted
// form for what was once meant to hold IPv4 addresses, ::/96.
func addrText(a netip.Addr) string {
	b := a.AsSlice()
	if len(b) == 16 && zero(b[:12]) && !zero(b[12:14]) {
		return "::" + netip.AddrFrom4([4]byte(b[12:])).String()
	}
	return a.String()
}

// RawTexts are the matches and targets that the raw expressions of r are, each
// as iptables-save prints it: "-m multiport --dports 80,443", "-j DNAT
// --to-destination 10.0.0.1"; empty for an expression that is none, and for the
// standard target of iptables-legacy.
func RawTexts(r *rules.Rule) []string {
	out := make([]string, len(r.Raw))
	if r.Chain == nil || r.Chain.Table == nil {
		return out
	}
	l := &line{ctx: contextOf(r)}
	for _, s := range r.Statements {
		at := s.Covers()
		if len(at) != 1 || at[0] >= len(out) {
			l.native(s)
			continue
		}
		b, target, ok := blobOf(l.ctx.Order, &r.Raw[at[0]])
		switch {
		case !ok || b.Name == "":
			l.native(s)
		case out[at[0]] == "":
			one := &line{ctx: l.ctx, protoNumber: l.protoNumber}
			one.extension(s, &b, target)
			var o Options
			one.saveMatches(&o)
			out[at[0]] = o.String() + one.target
		}
	}
	return out
}
