package walk

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strconv"

	"github.com/ntdiag/ntdiag/rules"
)

// gen makes rulesets whose values come from a small lot, so that rules match.
type gen struct {
	*rand.Rand
	sets []*rules.Set
}

func (g *gen) odds(n int) bool { return g.IntN(n) == 0 }

func pick[T any](g *gen, list ...T) T { return list[g.IntN(len(list))] }

func (g *gen) ruleset() *rules.Ruleset {
	rs := &rules.Ruleset{Order: le}
	for i := range 1 + g.IntN(2) {
		tb := newTable()
		tb.Family, tb.Handle, tb.Name = pick(g, rules.FamilyInet, rules.FamilyIPv4), uint64(i+1), fmt.Sprint("t", i)
		tb.Backend = pick(g, rules.BackendNft, rules.BackendIptablesLegacy)
		g.sets = nil
		for range 4 {
			g.sets = append(g.sets, g.set(tb))
		}
		// chains are jumped to that are there already
		for range g.IntN(4) {
			g.chain(tb, nil)
		}
		for range 1 + g.IntN(4) {
			h := pick(g, rules.Prerouting, rules.Input, rules.Forward, rules.Output, rules.Postrouting)
			base := filterBase(h, pick[int32](g, -300, -150, 0, 110))
			if g.odds(2) {
				base = natBase(h, -100)
			}
			if g.odds(4) {
				base.Policy = rules.VerdictDrop
			}
			g.chain(tb, base)
		}
		rs.Tables = append(rs.Tables, tb.Table)
	}
	return rs
}

func (g *gen) chain(tb table, base *rules.BaseChain) {
	n := pick(g, 2, 5, 12, 60)
	list := make([][]rules.Statement, n)
	style := g.IntN(4)
	for i := range list {
		list[i] = g.rule(tb, style)
	}
	tb.chain(base, list...)
}

// rule of a chain: in one of a style most rules begin alike, as they do where
// a program makes them.
func (g *gen) rule(tb table, style int) (out []rules.Statement) {
	switch {
	case style == 0 && !g.odds(6):
		out = do(g.device(), g.payload(16, 4))
	case style == 1 && g.odds(2): // many devices, none of which tells rules apart
		name := devName(pick(g, "c", "s") + strconv.Itoa(g.IntN(60)))
		out = do(&rules.Match{Left: &rules.Meta{Key: rules.MetaIifname}, Op: rules.CmpNeq, Right: name}, g.payload(16, 4))
	case style == 1 && !g.odds(6):
		out = do(&rules.Match{Left: &rules.Payload{Base: rules.PayloadNetwork, Off: 16, Len: 4}, Op: rules.CmpEq, Right: g.addr()}, g.proto(), &rules.Remark{Name: "comment"}, dport(g.port()))
	case style == 2 && !g.odds(6):
		out = do(&rules.Match{Left: &rules.Meta{Key: rules.MetaIifname}, Op: rules.CmpEq, Right: devName("c0")}, g.payload(16, 4))
	default:
		for range g.IntN(4) {
			out = append(out, g.condition(0))
		}
	}
	for range g.IntN(3) {
		if g.odds(3) {
			out = append(out, g.condition(0))
		} else {
			out = append(out, g.effect())
		}
	}
	return append(out, g.end(tb)...)
}

func (g *gen) addr() []byte { return []byte{10, 0, byte(g.IntN(2)), byte(g.IntN(24))} }
func (g *gen) port() uint16 { return uint16(75 + g.IntN(12)) }

func devName(s string) []byte { return append([]byte(s), make([]byte, 16-len(s))...) }

func (g *gen) proto() rules.Statement {
	return &rules.Match{Left: &rules.Meta{Key: rules.MetaL4proto}, Op: pick(g, rules.CmpEq, rules.CmpEq, rules.CmpNeq), Right: []byte{pick[byte](g, 6, 6, 17)}}
}

func (g *gen) device() rules.Statement {
	key := pick(g, rules.MetaIifname, rules.MetaIifname, rules.MetaOifname)
	name := devName(pick(g, "c0", "c1", "s0"))
	if g.odds(4) {
		name = name[:1] // c*
	}
	return &rules.Match{Left: &rules.Meta{Key: key}, Op: pick(g, rules.CmpEq, rules.CmpEq, rules.CmpNeq), Right: name}
}

// payload is a condition on some bytes of the network header.
func (g *gen) payload(off, n int) rules.Statement {
	x := &rules.Payload{Base: rules.PayloadNetwork, Off: off, Len: n}
	a, b := g.addr(), g.addr()
	switch g.IntN(7) {
	case 0:
		bits := 16 + g.IntN(17)
		mask := binary.BigEndian.AppendUint32(nil, ^uint32(0)<<(32-bits))
		for i := range a {
			a[i] &= mask[i] | byte(g.IntN(20)/19)
		}
		return &rules.Match{Left: &rules.Bitwise{X: x, Mask: mask, Xor: make([]byte, 4)}, Op: pick(g, rules.CmpEq, rules.CmpEq, rules.CmpNeq), Right: a}
	case 1:
		return &rules.Match{Left: &rules.Bitwise{X: x, Mask: []byte{0, 0, 1, 0x0f}, Xor: []byte{0, 0, 0, byte(g.IntN(2))}}, Op: rules.CmpEq, Right: []byte{0, 0, a[2], a[3] & 0x0f}}
	case 2:
		if string(a) > string(b) && !g.odds(5) {
			a, b = b, a
		}
		return &rules.MatchRange{Left: x, Lo: a, Hi: b, Invert: g.odds(4)}
	case 3:
		return &rules.Match{Left: x, Op: rules.CmpOp(g.IntN(6)), Right: a}
	}
	return &rules.Match{Left: x, Op: rules.CmpEq, Right: a}
}

func (g *gen) condition(depth int) rules.Condition {
	switch g.IntN(21) {
	case 0, 1, 2:
		return g.payload(16, 4).(rules.Condition)
	case 3:
		return g.payload(12, 4).(rules.Condition)
	case 4, 5:
		return &rules.Match{Left: &rules.Payload{Base: rules.PayloadTransport, Off: pick(g, 0, 2), Len: 2}, Op: rules.CmpOp(g.IntN(6)), Right: []byte{0, byte(g.port())}}
	case 6:
		return g.proto().(rules.Condition)
	case 7, 8:
		return g.device().(rules.Condition)
	case 9:
		return pick(g, mark(uint32(g.IntN(4))), markBit(1<<g.IntN(3)))
	case 10:
		return &rules.Match{Left: &rules.Bitwise{X: &rules.Meta{Key: rules.MetaMark}, Mask: u32(6), Xor: u32(0)}, Op: rules.CmpEq, Right: u32(uint32(g.IntN(4) * 2))}
	case 11:
		return &rules.Match{Left: &rules.Ct{Key: pick(g, rules.CtMark, rules.CtState, rules.CtStatus), Dir: rules.CtDirNone, Len: 4}, Op: pick(g, rules.CmpEq, rules.CmpNeq), Right: u32(uint32(g.IntN(2) * 8))}
	case 12, 13:
		s := pick(g, g.sets...)
		return &rules.InSet{Key: &rules.Payload{Base: rules.PayloadNetwork, Off: pick(g, 12, 16), Len: 4}, Set: s, Invert: g.odds(4)}
	case 14:
		return &rules.Fixed{Holds: g.odds(2)}
	case 15:
		return pick[rules.Condition](g, random(), &rules.Open{Name: "time", From: rules.FromTime}, &rules.Chance{Hits: 1, Of: 3})
	case 19:
		key := pick(g, rules.MetaSkuid, rules.MetaIifkind)
		return &rules.Match{Left: &rules.Meta{Key: key}, Op: pick(g, rules.CmpEq, rules.CmpNeq), Right: make([]byte, (&rules.Meta{Key: key}).Width())}
	case 16:
		return &rules.Match{Left: &rules.Fib{Result: rules.FibAddrType, Flags: rules.FibDaddr}, Op: rules.CmpEq, Right: u32(2)}
	case 17:
		if depth == 0 {
			return &rules.NotOf{Part: g.condition(1)}
		}
	case 18:
		if depth == 0 {
			return &rules.AllOf{Parts: []rules.Condition{g.condition(1), g.condition(1)}}
		}
	}
	// multiport
	list := &rules.AnyOf{Invert: g.odds(5)}
	for range 1 + g.IntN(3) {
		n := g.port()
		list.Parts = append(list.Parts, &rules.MatchRange{Left: &rules.Payload{Base: rules.PayloadTransport, Off: 2, Len: 2}, Lo: []byte{0, byte(n)}, Hi: []byte{0, byte(n + uint16(g.IntN(3)))}})
	}
	return list
}

func (g *gen) set(tb table) *rules.Set {
	s := &rules.Set{Table: tb.Table, Name: "s", KeyLen: 4, Flags: pick(g, rules.SetAnonymous|rules.SetConstant, rules.SetAnonymous|rules.SetConstant, 0, rules.SetTimeout, rules.SetAnonymous|rules.SetEval)}
	for range g.IntN(12) {
		e := rules.Element{Key: g.addr()}
		if g.odds(3) {
			e.KeyEnd = []byte{10, 0, 1, byte(g.IntN(24))}
			if string(e.KeyEnd) < string(e.Key) {
				e.KeyEnd = e.Key
			}
		}
		if g.odds(12) {
			e.Exprs = []rules.Statement{&rules.Limit{}}
		}
		s.Elements = append(s.Elements, e)
	}
	if g.odds(8) {
		s.Elements = append(s.Elements, rules.Element{Catchall: true})
	}
	if g.odds(10) {
		s.Missing = "not read"
	}
	s.Prepare()
	return s
}

func (g *gen) effect() rules.Statement {
	switch g.IntN(9) {
	case 0:
		return setMarkBit(1 << g.IntN(3))
	case 1:
		return &rules.Assign{Target: rules.AssignMeta, Dest: &rules.Meta{Key: rules.MetaMark}, Value: &rules.Numgen{Random: true, Modulus: 3}}
	case 2:
		return &rules.Assign{Target: rules.AssignPayload, Dest: &rules.Payload{Base: rules.PayloadNetwork, Off: 16, Len: 4}, Value: &rules.Const{Data: g.addr()}}
	case 3:
		return &rules.Assign{Target: rules.AssignCt, Dest: &rules.Ct{Key: rules.CtMark, Dir: rules.CtDirNone, Len: 4}, Value: &rules.Meta{Key: rules.MetaMark}}
	case 4:
		return &rules.Notrack{}
	case 5:
		return &rules.Limit{Rate: 1}
	case 6:
		return &rules.Remark{Name: "comment"}
	}
	return &rules.Counter{}
}

func (g *gen) end(tb table) []rules.Statement {
	var subs []*rules.Chain
	for _, c := range tb.Chains {
		if c.Base == nil {
			subs = append(subs, c)
		}
	}
	switch g.IntN(10) {
	case 0:
		return do(verdict(rules.VerdictAccept))
	case 1:
		return do(verdict(pick(g, rules.VerdictReturn, rules.VerdictReturn, rules.VerdictDrop, rules.VerdictContinue)))
	case 2, 3:
		return do(pick(g, dnat("192.0.2.1"), dnat("192.0.2.2"), snat("192.0.2.3"), &rules.NAT{Kind: rules.Masquerade}))
	case 4, 5, 6:
		if len(subs) > 0 {
			if c := pick(g, subs...); !g.odds(4) {
				return do(jump(c))
			} else {
				return do(goTo(c))
			}
		}
	case 7:
		return do(g.verdictMap(subs))
	}
	return nil
}

func (g *gen) verdictMap(subs []*rules.Chain) rules.Statement {
	s := &rules.Set{Name: "m", KeyLen: 4, Flags: rules.SetAnonymous | rules.SetConstant | rules.SetMap, DataType: rules.DataTypeVerdict}
	for i := range 3 {
		v := verdict(pick(g, rules.VerdictAccept, rules.VerdictReturn, rules.VerdictDrop))
		if len(subs) > 0 {
			v = goTo(pick(g, subs...))
		}
		s.Elements = append(s.Elements, rules.Element{Key: u32(uint32(i)), Verdict: v})
	}
	return &rules.VerdictMap{Key: pick[rules.Expr](g, &rules.Numgen{Random: true, Modulus: 3}, &rules.Meta{Key: rules.MetaMark}), Set: s}
}

// devices is a host that has links, and nothing else.
type devices struct{ rules.NoHost }

func (devices) LinkByName(name string) (rules.Link, bool) {
	return rules.Link{Index: uint32(name[len(name)-1]-'0') + 2, Name: name}, true
}

func (devices) AddrType(netip.Addr, uint32) (rules.AddrType, bool) { return rules.AddrLocal, true }

func (g *gen) packet() *rules.Packet {
	p := packet(rules.KnownUint(le, 4, uint64(g.IntN(5))))
	p.Host = devices{}
	p.Net.Set(16, g.addr(), rules.FromEntry)
	p.Trans.Set(2, []byte{0, byte(g.port())}, rules.FromEntry)
	switch g.IntN(4) {
	case 0:
		p.Mark = p.Mark.AssumedFrom(rules.FromMark)
	case 1:
		p.Mark.Known[0] = byte(g.IntN(256))
		p.Mark.Bits[0] &= p.Mark.Known[0]
		p.Mark.From[0] = rules.FromMark
	case 2:
		p.Mark.OneOf = []rules.Value{rules.KnownUint(le, 4, 1), rules.KnownUint(le, 4, 2)}
		p.Mark.UnknownBy = rules.Of(rules.FromVerdict)
	}
	for _, im := range []struct {
		*rules.Image
		off int
	}{{&p.Net, 16}, {&p.Net, 12}, {&p.Trans, 2}} {
		switch g.IntN(8) {
		case 0:
			im.Open(im.off+1, 1, rules.FromNAT)
		case 1:
			im.From[im.off+g.IntN(2)] = rules.FromNAT
		}
	}
	for _, dev := range []*rules.Iface{&p.Iif, &p.Oif} {
		dev.State = rules.IfaceState(g.IntN(4))
		if dev.State >= rules.IfaceAssumed {
			dev.Link, _ = devices{}.LinkByName(pick(g, "c0", "c1", "s0"))
		}
	}
	p.Tracked = pick(g, rules.No, rules.No, rules.Yes, rules.Unknown)
	p.Proto = pick[uint8](g, 6, 6, 6, 17)
	p.SetsOpen = g.odds(6)
	return p
}

func (g *gen) options(rs *rules.Ruleset) Options {
	o := Options{Force: map[*rules.Rule]rules.Truth{}, Without: map[*rules.Rule]bool{}, Into: map[*rules.Rule]*rules.Chain{}, Ahead: g.odds(2)}
	for _, t := range rs.Tables {
		for _, c := range t.Chains {
			for _, r := range c.Rules {
				if g.odds(8) {
					o.Force[r] = pick(g, rules.Yes, rules.No)
				}
				if g.odds(40) {
					o.Without[r] = true
				}
				if g.odds(8) {
					o.Into[r] = pick(g, t.Chains...)
				}
			}
		}
	}
	if g.odds(2) {
		o.Force, o.Into = nil, nil
	}
	if g.odds(2) {
		o.Rewrite = func(p *rules.Packet, _ rules.Manip) { p.Net.Set(16, []byte{10, 0, 0, 3}, rules.FromEntry) }
	}
	return o
}
