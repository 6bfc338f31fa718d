package index

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/ntdiag/ntdiag/rules"
)

func chain(list ...[]rules.Statement) *rules.Chain {
	c := &rules.Chain{Name: "c"}
	for i, s := range list {
		c.Rules = append(c.Rules, &rules.Rule{Chain: c, Position: i + 1, Statements: s})
	}
	return c
}

func do(s ...rules.Statement) []rules.Statement { return s }

var (
	daddr = &rules.Payload{Base: rules.PayloadNetwork, Off: 16, Len: 4}
	port  = &rules.Payload{Base: rules.PayloadTransport, Off: 2, Len: 2}
)

func addr(s string) []byte { return netip.MustParseAddr(s).AsSlice() }

func is(x rules.Expr, b []byte) rules.Statement {
	return &rules.Match{Left: x, Op: rules.CmpEq, Right: b}
}

func prefix(x rules.Expr, s string) rules.Statement {
	p := netip.MustParsePrefix(s)
	mask := binary.BigEndian.AppendUint32(nil, ^uint32(0)<<(32-p.Bits()))
	return is(&rules.Bitwise{X: x, Mask: mask, Xor: make([]byte, 4)}, p.Addr().AsSlice())
}

func dport(n uint16) rules.Statement { return is(port, binary.BigEndian.AppendUint16(nil, n)) }

func proto(n byte) rules.Statement { return is(&rules.Meta{Key: rules.MetaL4proto}, []byte{n}) }

func comesBy(name string) rules.Statement {
	return is(&rules.Meta{Key: rules.MetaIifname}, append([]byte(name), make([]byte, 16-len(name))...))
}

func oneOf(x rules.Expr, flags rules.SetFlags, keys ...[]byte) rules.Statement {
	s := &rules.Set{Flags: flags, KeyLen: x.Width()}
	for _, k := range keys {
		s.Elements = append(s.Elements, rules.Element{Key: k})
	}
	return &rules.InSet{Key: x, Set: s}
}

// packet is from 10.0.0.1 to 10.96.0.7, TCP port 80, by eth0 as is assumed.
func packet() *rules.Packet {
	p := &rules.Packet{Order: binary.LittleEndian, Family: rules.FamilyIPv4, Proto: 6, Tracked: rules.No, Untracked: rules.No}
	p.Net.N, p.Trans.N = 20, 20
	p.Net.Set(12, addr("10.0.0.1"), rules.FromEntry)
	p.Net.Set(16, addr("10.96.0.7"), rules.FromEntry)
	p.Trans.Set(2, []byte{0, 80}, rules.FromEntry)
	p.Iif = rules.Iface{State: rules.IfaceAssumed, Link: rules.Link{Name: "eth0"}}
	p.Mark = rules.KnownUint(p.Order, 4, 0).AssumedFrom(rules.FromMark)
	return p
}

// yields are the rules that the filter of a chain leaves.
func yields(c *rules.Chain, p *rules.Packet, used rules.Sources) (out []int) {
	compiled := compile(c.Rules)
	if len(compiled.parts) == 0 {
		return []int{-1}
	}
	var f Filter
	f.Of(compiled)
	f.Begin(p, used, 0)
	for at := f.Next(0); at < len(c.Rules); at = f.Next(at + 1) {
		out = append(out, at)
	}
	return out
}

func TestFilter(t *testing.T) {
	iif := rules.Of(rules.FromIif)
	services := chain(
		do(is(daddr, addr("10.96.0.1")), proto(6), &rules.Remark{}, dport(80)),
		do(is(daddr, addr("10.96.0.7")), proto(6), &rules.Remark{}, dport(80)),
		do(is(daddr, addr("10.96.0.7")), proto(6), &rules.Remark{}, dport(81)),
		do(is(daddr, addr("10.96.0.7")), proto(6), &rules.Remark{}, dport(82)),
		do(is(daddr, addr("10.96.0.9")), proto(6), &rules.Remark{}, dport(80)),
		do(&rules.Counter{}, &rules.Verdict{}),
	)
	prefixes := chain(
		do(prefix(daddr, "10.0.0.0/8")), do(prefix(daddr, "10.96.0.0/24")), do(prefix(daddr, "10.96.0.0/29")),
		do(prefix(daddr, "10.96.0.8/29")), do(prefix(daddr, "192.168.0.0/16")), do(is(daddr, addr("10.96.0.7"))),
		do(&rules.Match{Left: port, Op: rules.CmpLt, Right: []byte{0, 80}}), do(&rules.Match{Left: port, Op: rules.CmpLte, Right: []byte{0, 80}}),
		do(&rules.MatchRange{Left: port, Lo: []byte{0, 70}, Hi: []byte{0, 90}}),
		do(oneOf(port, rules.SetAnonymous, []byte{0, 70}, []byte{0, 80})), do(oneOf(port, rules.SetAnonymous, []byte{0, 70}, []byte{0, 90})),
		do(oneOf(port, 0, []byte{0, 70})), // can change
	)
	byDevice := chain(
		do(comesBy("eth0"), dport(80)), do(comesBy("eth0"), dport(81)), do(comesBy("eth1"), dport(82)),
		do(comesBy("eth1"), dport(83)), do(comesBy("eth1"), dport(80)), do(comesBy("eth0"), dport(84)),
	)
	for _, tt := range []struct {
		name  string
		chain *rules.Chain
		edit  func(*rules.Packet)
		used  rules.Sources
		want  []int
	}{
		{"an address and a port", services, nil, 0, []int{1, 5}},
		{"an address that is not known", services, func(p *rules.Packet) { p.Net.Open(18, 1, rules.FromNAT) }, 0, []int{0, 1, 2, 3, 4, 5}},
		{"one that is assumed", services, func(p *rules.Packet) { p.Net.From[19] = rules.FromNAT }, 0, []int{0, 1, 2, 3, 4, 5}},
		{"as something before it was", services, func(p *rules.Packet) { p.Net.From[19] = rules.FromNAT }, rules.Of(rules.FromNAT), []int{1, 5}},
		{"prefixes, ranges, sets", prefixes, nil, 0, []int{0, 1, 2, 5, 7, 8, 9, 11}},
		{"the first that fails for an assumption", byDevice, nil, 0, []int{0, 2, 3, 4}},
		{"once it has", byDevice, nil, iif, []int{0, 4}},
		{"a device that is not known", byDevice, func(p *rules.Packet) { p.Iif = rules.Iface{} }, 0, []int{0, 1, 2, 3, 4, 5}},
		{"nothing to tell them apart by", chain(do(&rules.Counter{}), do(&rules.Fixed{}), do(&rules.Limit{}, dport(80))), nil, 0, []int{-1}},
	} {
		p := packet()
		if tt.edit != nil {
			tt.edit(p)
		}
		if got := yields(tt.chain, p, tt.used); !slices.Equal(got, tt.want) {
			t.Errorf("%s: rules %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestWord(t *testing.T) {
	for _, tt := range []struct {
		name       string
		n          int
		w          []byte
		next, prev []byte // nil for none
	}{
		{"a byte", 1, []byte{7}, []byte{8}, []byte{6}},
		{"the greatest", 2, []byte{0xff, 0xff}, nil, []byte{0xff, 0xfe}},
		{"the least", 4, []byte{0, 0, 0, 0}, []byte{0, 0, 0, 1}, nil},
		{"eight bytes", 8, []byte{0, 0, 0, 0, 0, 0, 0, 0xff}, []byte{0, 0, 0, 0, 0, 0, 1, 0}, []byte{0, 0, 0, 0, 0, 0, 0, 0xfe}},
		{"carried", 16, append(make([]byte, 7), 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), append(make([]byte, 7), 2, 0, 0, 0, 0, 0, 0, 0, 0), append(make([]byte, 7), 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe)},
		{"carried, ten bytes", 10, []byte{0, 0, 0, 0, 0, 0, 0, 1, 0, 0}, []byte{0, 0, 0, 0, 0, 0, 0, 1, 0, 1}, []byte{0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}},
	} {
		w := wordOf(tt.w)
		if next, ok := w.step(tt.n); ok != (tt.next != nil) || ok && next != wordOf(tt.next) {
			t.Errorf("%s: next %x, %v", tt.name, next, ok)
		}
		if prev, ok := w.back(tt.n); ok != (tt.prev != nil) || ok && prev != wordOf(tt.prev) {
			t.Errorf("%s: before %x, %v", tt.name, prev, ok)
		}
	}
}

// TestRoom: intervals one inside the other do not take room without bound.
func TestRoom(t *testing.T) {
	const n = 2000
	var list [][]rules.Statement
	for i := range n {
		list = append(list, do(&rules.MatchRange{Left: port, Lo: binary.BigEndian.AppendUint16(nil, uint16(i)), Hi: binary.BigEndian.AppendUint16(nil, uint16(60000-i))}))
	}
	c := compile(chain(list...).Rules)
	took := len(c.always)
	for _, p := range c.parts {
		for _, w := range p.within {
			took += len(w)
		}
	}
	if took > (roomPerRule+1)*n {
		t.Errorf("%d rules stand in %d places", n, took)
	}
}

// BenchmarkCompile is a chain of 10,000 services.
func BenchmarkCompile(b *testing.B) {
	var list [][]rules.Statement
	for i := range 10000 {
		a := binary.BigEndian.AppendUint32(nil, 10<<24|96<<16|uint32(i))
		list = append(list, do(is(daddr, a), proto(6), &rules.Remark{Text: fmt.Sprint(i)}, dport(80), &rules.Verdict{}))
	}
	c := chain(list...)
	b.ReportAllocs()
	for b.Loop() {
		compile(c.Rules)
	}
}
