package query

import (
	"errors"
	"fmt"
	"strings"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

// kinds are the shapes of text that are understood, tried in this order.
var kinds = []struct {
	name  string
	is    func(words []string) bool
	parse func(p *parser, words []string) error
}{
	{"kernel log line", isKernelLog, parseKernelLog},
	{"conntrack line", isConntrack, parseConntrack},
	{"tcpdump line", isTcpdump, parseTcpdump},
	{"ss line", isSS, parseSS},
	{"", func([]string) bool { return true }, parseWords},
}

// maxText bounds a query, and maxQuoted what an error repeats of it.
const (
	maxText   = 8192
	maxQuoted = 120
)

// Parse reads a query, given as one argument or as several.
func Parse(args []string) (Query, error) {
	text := strings.Join(strings.Fields(strings.Join(args, " ")), " ")
	if text == "" {
		return Query{}, errors.New("no query: name a flow, for example 10.0.0.10:5536 10.8.2.12:80")
	}
	p := &parser{q: Query{Text: text}}
	if len(text) > maxText {
		return p.q, fmt.Errorf("query %q…: longer than %d bytes", text[:40], maxText)
	}
	words := strings.Fields(text)
	for _, k := range kinds {
		if !k.is(words) {
			continue
		}
		p.q.Kind = k.name
		err := k.parse(p, words)
		if err == nil {
			err = p.finish()
		}
		if err != nil {
			return p.q, fmt.Errorf("query %s: %w", quoted(text), err)
		}
		return p.q, nil
	}
	return p.q, fmt.Errorf("query %s: not understood", quoted(text))
}

func quoted(text string) string {
	if r := []rune(text); len(r) > maxQuoted {
		return fmt.Sprintf("%q…", string(r[:maxQuoted]))
	}
	return fmt.Sprintf("%q", text)
}

// parser gathers a query; ends are those without a direction yet.
type parser struct {
	q        Query
	ends     []End
	arrow    int // how many ends stood before the arrow, when hasArrow
	hasArrow bool
	seen     map[string]bool
	id       string // id=, of ICMP or of the entry
}

// finish gives ends their direction and checks that all fits together.
func (p *parser) finish() error {
	if err := p.direct(); err != nil {
		return err
	}
	if err := p.family(); err != nil {
		return err
	}
	if err := p.setID(); err != nil {
		return err
	}
	return p.protocol()
}

func (p *parser) direct() error {
	n := len(p.ends)
	switch {
	case n > 2:
		return fmt.Errorf("%d addresses; a flow has two ends", n)
	case n > 0 && (!p.q.Src.any() || !p.q.Dst.any()):
		return errors.New("an end is given twice, with and without a key")
	case n == 2 && p.hasArrow && p.arrow != 1:
		return errors.New("the arrow does not stand between the two ends")
	case n == 2:
		p.q.Src, p.q.Dst = p.ends[0], p.ends[1]
	case n == 1 && p.hasArrow && p.arrow == 1:
		p.q.Src = p.ends[0]
	case n == 1 && p.hasArrow:
		p.q.Dst = p.ends[0]
	case n == 1:
		p.q.Any = append(p.q.Any, p.ends[0])
	case p.hasArrow && p.q.Src.any() && p.q.Dst.any():
		return errors.New("an arrow without addresses")
	}
	if len(p.q.Any) > 2 {
		return fmt.Errorf("%d ends; a flow has two", len(p.q.Any))
	}
	return nil
}

// family takes the family from the addresses and checks that it is one.
func (p *parser) family() error {
	first := End{}
	for _, e := range append([]End{p.q.Src, p.q.Dst}, p.q.Any...) {
		if !e.Addr.IsValid() {
			continue
		}
		f := familyOf(e.Addr.Addr())
		switch {
		case p.q.Family == 0:
			p.q.Family, first = f, e
		case p.q.Family == f:
		case first.Addr.IsValid():
			return fmt.Errorf("mixed families: %s is %s, %s is %s", show(first), familyName(p.q.Family), show(e), familyName(f))
		default:
			return fmt.Errorf("mixed families: %s asked for, %s is %s", familyName(p.q.Family), show(e), familyName(f))
		}
	}
	return nil
}

func show(e End) string {
	if e.whole() {
		return e.Addr.Addr().String()
	}
	return e.Addr.String()
}

// setID: of an ICMP query a small id is the echo's, else the entry's.
func (p *parser) setID() error {
	if p.id == "" {
		return nil
	}
	n, err := number("id", p.id, 32)
	if err != nil {
		return err
	}
	if p.icmp() && n <= 0xffff && !p.q.ICMPID.Set {
		p.q.ICMPID = some(n)
	} else {
		p.q.ID = some(n)
	}
	return nil
}

func (p *parser) icmp() bool {
	return p.q.Proto.Set && (p.q.Proto.N == host.ProtoICMP || p.q.Proto.N == host.ProtoICMPv6)
}

// protocol checks the protocol against the family and the ports.
func (p *parser) protocol() error {
	q := &p.q
	if !q.Proto.Set && (q.ICMPID.Set || q.ICMPType.Set || q.ICMPCode.Set) {
		q.Proto = some(host.ProtoICMP)
	}
	if q.Proto.Set && q.Proto.N == host.ProtoICMP && q.Family == rules.FamilyIPv6 {
		q.Proto = some(host.ProtoICMPv6)
	}
	if q.Proto.Set && q.Proto.N == host.ProtoICMPv6 && q.Family == rules.FamilyIPv4 {
		return errors.New("mixed families: icmpv6 with IPv4 addresses")
	}
	if !q.Proto.Set {
		return nil
	}
	probe := host.Flow{Original: rules.Tuple{Proto: uint8(q.Proto.N)}}
	if probe.HasPorts() {
		if q.ICMPType.Set || q.ICMPCode.Set || q.ICMPID.Set {
			return fmt.Errorf("%s has no ICMP type, code or id", ProtoName(uint8(q.Proto.N)))
		}
		return nil
	}
	for _, e := range append([]End{q.Src, q.Dst}, q.Any...) {
		if !e.HasPort {
			continue
		}
		if p.icmp() {
			return fmt.Errorf("%s has no port %d; name its id as id=%d", ProtoName(uint8(q.Proto.N)), e.Port, e.Port)
		}
		return fmt.Errorf("protocol %s has no ports", ProtoName(uint8(q.Proto.N)))
	}
	return nil
}

// setProto refuses a second, different protocol.
func (p *parser) setProto(n uint8) error {
	if p.q.Proto.Set && p.q.Proto.N != uint32(n) {
		return fmt.Errorf("two protocols: %s and %s", ProtoName(uint8(p.q.Proto.N)), ProtoName(n))
	}
	p.q.Proto = some(uint32(n))
	return nil
}

func (p *parser) setFamily(f rules.Family) error {
	if p.q.Family != 0 && p.q.Family != f {
		return errors.New("mixed families: IPv4 and IPv6 asked for")
	}
	p.q.Family = f
	return nil
}
