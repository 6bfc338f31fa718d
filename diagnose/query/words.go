package query

import (
	"errors"
	"fmt"
	"strings"

	"github.com/ntdiag/ntdiag/rules"
)

// arrows part the source from the destination; the long ones first.
var arrows = []string{"──▶", "-->", "==>", "->", "=>", "→", "➜", "▶", "⟶", ">"}

// families are the words that name one.
var families = map[string]rules.Family{
	"ip": rules.FamilyIPv4, "ipv4": rules.FamilyIPv4, "ip4": rules.FamilyIPv4, "inet": rules.FamilyIPv4,
	"ip6": rules.FamilyIPv6, "ipv6": rules.FamilyIPv6, "inet6": rules.FamilyIPv6,
}

// Key is one key of a query: KEY=VALUE, or KEY VALUE where word is set.
type Key struct {
	Names []string
	Value string // what its value is, for help
	Help  string
	word  bool
	set   func(p *parser, v string) error
}

// Keys lists the keys.
func Keys() []Key {
	return []Key{
		{[]string{"proto", "protocol"}, "NAME", "protocol: tcp, udp, icmp, icmpv6, sctp, … or its number", true, keyProto},
		{[]string{"src", "saddr"}, "ADDR", "source address or prefix, in any form of the flow", true, keySrc},
		{[]string{"dst", "daddr"}, "ADDR", "destination address or prefix", true, keyDst},
		{[]string{"addr", "host", "net"}, "ADDR", "address or prefix at either end", true, keyAddr},
		{[]string{"sport", "srckey"}, "PORT", "source port", true, keySport},
		{[]string{"dport", "dstkey"}, "PORT", "destination port", true, keyDport},
		{[]string{"port"}, "PORT", "port at either end", true, keyPort},
		{[]string{"zone"}, "N", "conntrack zone", true, keyZone},
		{[]string{"mark"}, "N[/MASK]", "ct mark", true, keyMark},
		{[]string{"state"}, "STATE", "state of a TCP or SCTP entry", true, keyState},
		{[]string{"id"}, "N", "the entry's id (conntrack -o id), or the id of an ICMP query", true, keyID},
		{[]string{"type"}, "N", "ICMP type", false, keyType},
		{[]string{"code"}, "N", "ICMP code", false, keyCode},
	}
}

func keyByName(name string) (Key, bool) {
	for _, k := range Keys() {
		for _, n := range k.Names {
			if strings.EqualFold(n, name) {
				return k, true
			}
		}
	}
	return Key{}, false
}

func keyNames() string {
	var out []string
	for _, k := range Keys() {
		out = append(out, k.Names[0])
	}
	return strings.Join(out, ", ")
}

// parseWords reads ends, arrows, protocol names and keys in any order.
func parseWords(p *parser, words []string) error {
	p.seen = map[string]bool{}
	words = splitArrows(words)
	for len(words) > 0 {
		used, err := p.word(strings.TrimRight(words[0], ",;"), words[1:])
		if err != nil {
			return err
		}
		words = words[1+used:]
	}
	return nil
}

// splitArrows makes every arrow a word ">" of its own.
func splitArrows(words []string) []string {
	var out []string
	for _, w := range words {
		if !strings.Contains(w, "=") || strings.ContainsAny(w, ">→") {
			for _, a := range arrows {
				w = strings.ReplaceAll(w, a, "\x00")
			}
		}
		out = append(out, strings.Fields(strings.ReplaceAll(w, "\x00", " > "))...)
	}
	return out
}

// word takes one word, and tells how many of the rest it used too.
func (p *parser) word(w string, rest []string) (used int, err error) {
	switch {
	case w == "" || strings.EqualFold(w, "and"):
		return 0, nil
	case w == ">" || strings.EqualFold(w, "to"):
		if p.hasArrow {
			return 0, errors.New("two arrows")
		}
		p.hasArrow, p.arrow = true, len(p.ends)
		return 0, nil
	case strings.Contains(w, "="):
		name, value, _ := strings.Cut(w, "=")
		return 0, p.key(name, value)
	}
	if f, ok := families[strings.ToLower(w)]; ok {
		return 0, p.setFamily(f)
	}
	if n, ok := protoByName(w); ok {
		return 0, p.setProto(n)
	}
	if k, ok := keyByName(w); ok && k.word {
		return p.wordKey(w, rest)
	}
	if digits(w) {
		return 0, p.bareNumber(w)
	}
	if !strings.ContainsAny(w, ".:*[") {
		return 0, fmt.Errorf("unknown word %q", w)
	}
	e, err := parseEnd(w)
	if err != nil {
		return 0, err
	}
	p.ends = append(p.ends, e)
	return 0, nil
}

// wordKey is KEY VALUE, and the "src host A", "dst port N" of a tcpdump filter.
func (p *parser) wordKey(name string, rest []string) (used int, err error) {
	key := strings.ToLower(name)
	if len(rest) > 1 && (key == "src" || key == "dst") {
		switch strings.ToLower(rest[0]) {
		case "host", "net":
			used = 1
		case "port":
			key, used = key[:1]+"port", 1
		}
	}
	if len(rest) <= used {
		return 0, fmt.Errorf("%s without a value", name)
	}
	return used + 1, p.key(key, strings.TrimRight(rest[used], ",;"))
}

// bareNumber is the port of the address just before it.
func (p *parser) bareNumber(w string) error {
	n := len(p.ends)
	if n == 0 || !p.ends[n-1].Addr.IsValid() || p.ends[n-1].HasPort || p.hasArrow && p.arrow == n {
		return fmt.Errorf("number %s stands alone; write :%s for a port, id=%s for an entry's id", w, w, w)
	}
	port, err := ParsePort(w)
	p.ends[n-1].Port, p.ends[n-1].HasPort = port, true
	return err
}

func (p *parser) key(name, value string) error {
	k, ok := keyByName(name)
	if !ok {
		return fmt.Errorf("unknown key %q (known: %s)", name, keyNames())
	}
	if p.seen[k.Names[0]] {
		return fmt.Errorf("%s is given twice", k.Names[0])
	}
	p.seen[k.Names[0]] = true
	if value == "" {
		return fmt.Errorf("%s without a value", name)
	}
	return k.set(p, value)
}

func keyProto(p *parser, v string) error {
	n, err := ParseProto(v)
	if err != nil {
		return err
	}
	return p.setProto(n)
}

// endAddr takes an address, or an address with its port, into e.
func endAddr(e *End, v string) error {
	got, err := parseEnd(v)
	if err != nil {
		return err
	}
	if got.HasPort && e.HasPort && got.Port != e.Port {
		return fmt.Errorf("two ports: %d and %d", e.Port, got.Port)
	}
	e.Addr = got.Addr
	if got.HasPort {
		e.Port, e.HasPort = got.Port, true
	}
	return nil
}

func endPort(e *End, v string) error {
	n, err := ParsePort(strings.TrimPrefix(v, ":"))
	if err != nil {
		return err
	}
	if e.HasPort && e.Port != n {
		return fmt.Errorf("two ports: %d and %d", e.Port, n)
	}
	e.Port, e.HasPort = n, true
	return nil
}

func keySrc(p *parser, v string) error   { return endAddr(&p.q.Src, v) }
func keyDst(p *parser, v string) error   { return endAddr(&p.q.Dst, v) }
func keySport(p *parser, v string) error { return endPort(&p.q.Src, v) }
func keyDport(p *parser, v string) error { return endPort(&p.q.Dst, v) }

func keyAddr(p *parser, v string) error {
	var e End
	if err := endAddr(&e, v); err != nil {
		return err
	}
	p.q.Any = append(p.q.Any, e)
	return nil
}

func keyPort(p *parser, v string) error {
	var e End
	if err := endPort(&e, v); err != nil {
		return err
	}
	p.q.Any = append(p.q.Any, e)
	return nil
}

func keyZone(p *parser, v string) error { return keyNumber(&p.q.Zone, "zone", v, 16) }
func keyType(p *parser, v string) error { return keyNumber(&p.q.ICMPType, "ICMP type", v, 8) }
func keyCode(p *parser, v string) error { return keyNumber(&p.q.ICMPCode, "ICMP code", v, 8) }
func keyID(p *parser, v string) error   { p.id = v; return nil }

func keyNumber(o *Opt, what, v string, bits int) error {
	n, err := number(what, v, bits)
	*o = some(n)
	return err
}

func keyMark(p *parser, v string) (err error) {
	p.q.Mark.Set = true
	p.q.Mark.N, p.q.MarkMask, err = ParseMark(v)
	return err
}

func keyState(p *parser, v string) (err error) {
	p.q.State, err = ParseState(v)
	return err
}
