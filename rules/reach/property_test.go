package reach

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/walk"
)

// generator makes small rulesets over few values, so that rules hide each
// other often.
type generator struct {
	*rand.Rand
	table *rules.Table
	next  uint64
	coins *rand.Rand
}

// coin is a condition that the analysis knows nothing of: it holds or not,
// anew each time.
type coin struct {
	rules.Span
	g *rand.Rand
}

func (c *coin) Test(*rules.Packet) rules.Answer { return rules.Decided(c.g.IntN(2) == 0) }

func oneOf[T any](g *generator, from ...T) T { return from[g.IntN(len(from))] }

var (
	genPorts   = []uint16{80, 81, 82, 443}
	genSources = []string{"\x0a\x00\x00\x01", "\x0a\x00\x00\x02", "\x0a\x00\x00\x03", "\x0a\x00\x00\x04"}
	genDevices = []string{"c0", "s0"}
	genMarks   = []uint32{0, 1, 2}
)

func be16(n uint16) []byte                 { return binary.BigEndian.AppendUint16(nil, n) }
func ifname(s string) []byte               { return append([]byte(s), make([]byte, 16-len(s))...) }
func dportField() rules.Expr               { return &rules.Payload{Base: rules.PayloadTransport, Off: 2, Len: 2} }
func saddrField() rules.Expr               { return &rules.Payload{Base: rules.PayloadNetwork, Off: 12, Len: 4} }
func metaField(k rules.MetaKey) rules.Expr { return &rules.Meta{Key: k} }

func eq(x rules.Expr, b []byte) *rules.Match { return &rules.Match{Left: x, Op: rules.CmpEq, Right: b} }

func (g *generator) ruleset() *rules.Ruleset {
	rs := &rules.Ruleset{Order: binary.LittleEndian}
	for i := range 1 + g.IntN(2) {
		g.table = &rules.Table{Ruleset: rs, Backend: rules.BackendNft, Family: oneOf(g, rules.FamilyIPv4, rules.FamilyInet), Name: fmt.Sprintf("t%d", i), Handle: uint64(i + 1)}
		rs.Tables = append(rs.Tables, g.table)
		var deep []*rules.Chain
		for _, nat := range []bool{false, true} {
			deep = nil
			for range 1 + g.IntN(3) {
				deep = append(deep, g.chain(nil, nat, deep))
			}
			for range 1 + g.IntN(2) {
				b := &rules.BaseChain{Type: rules.ChainFilter, Hook: oneOf(g, rules.Prerouting, rules.Prerouting, rules.Postrouting), Priority: oneOf[int32](g, -150, -150, -160, 0), Policy: rules.VerdictAccept}
				if nat {
					b.Type, b.Priority = rules.ChainNAT, oneOf[int32](g, -100, 0, 100, 100)
				}
				g.chain(b, nat, deep)
			}
		}
	}
	return rs
}

func (g *generator) chain(b *rules.BaseChain, nat bool, deep []*rules.Chain) *rules.Chain {
	g.next++
	c := &rules.Chain{Table: g.table, Name: fmt.Sprintf("c%d", g.next), Handle: g.next, Base: b}
	g.table.Chains = append(g.table.Chains, c)
	for i := range 1 + g.IntN(5) {
		g.next++
		r := &rules.Rule{Chain: c, Handle: g.next, Position: i + 1}
		for range g.IntN(3) {
			r.Statements = append(r.Statements, g.condition())
		}
		if g.IntN(6) == 0 {
			r.Statements = append(r.Statements, g.setMark())
			if g.IntN(2) == 0 {
				r.Statements = append(r.Statements, g.condition())
			}
		}
		if s := g.end(nat, deep); s != nil {
			r.Statements = append(r.Statements, s)
		}
		c.Rules = append(c.Rules, r)
	}
	return c
}

func (g *generator) setMark() rules.Statement {
	m := metaField(rules.MetaMark)
	var v rules.Expr = &rules.Const{Data: u32(oneOf(g, genMarks...))}
	if g.IntN(2) == 0 {
		v = &rules.Bitwise{X: m, Mask: u32(0xfffffffe), Xor: u32(oneOf[uint32](g, 0, 1))}
	}
	return &rules.Assign{Target: rules.AssignMeta, Dest: m, Value: v}
}

func u32(n uint32) []byte { return binary.LittleEndian.AppendUint32(nil, n) }

func (g *generator) condition() rules.Condition {
	switch g.IntN(12) {
	case 0:
		return &rules.Match{Left: dportField(), Op: oneOf(g, rules.CmpEq, rules.CmpNeq, rules.CmpLt, rules.CmpLte, rules.CmpGt, rules.CmpGte), Right: be16(oneOf(g, genPorts...))}
	case 1:
		return &rules.MatchRange{Left: dportField(), Lo: be16(80), Hi: be16(oneOf[uint16](g, 80, 81, 100, 443)), Invert: g.IntN(3) == 0}
	case 2:
		s := &rules.Set{Flags: rules.SetAnonymous | rules.SetConstant, KeyLen: 2}
		for range 1 + g.IntN(3) {
			s.Elements = append(s.Elements, rules.Element{Key: be16(oneOf(g, genPorts...))})
		}
		return &rules.InSet{Key: dportField(), Set: s, Invert: g.IntN(3) == 0}
	case 3:
		return &rules.Match{Left: saddrField(), Op: oneOf(g, rules.CmpEq, rules.CmpNeq), Right: []byte(oneOf(g, genSources...))}
	case 4:
		x := &rules.Bitwise{X: saddrField(), Mask: []byte{255, 255, 255, 254}, Xor: make([]byte, 4)}
		return &rules.Match{Left: x, Op: oneOf(g, rules.CmpEq, rules.CmpNeq), Right: []byte{10, 0, 0, oneOf[byte](g, 0, 2, 4)}}
	case 5:
		s := &rules.Set{Flags: rules.SetAnonymous | rules.SetConstant, KeyLen: 8, FieldLens: []int{4, 2}}
		for range 1 + g.IntN(2) {
			s.Elements = append(s.Elements, rules.Element{Key: append([]byte(oneOf(g, genSources...)), append(be16(oneOf(g, genPorts...)), 0, 0)...)})
		}
		return &rules.InSet{Key: &rules.Concat{Parts: []rules.Expr{saddrField(), dportField()}}, Set: s, Invert: g.IntN(4) == 0}
	case 6:
		return eq(metaField(rules.MetaMark), u32(oneOf(g, genMarks...)))
	case 7:
		x := &rules.Bitwise{X: metaField(rules.MetaMark), Mask: u32(oneOf[uint32](g, 1, 3)), Xor: u32(0)}
		return &rules.Match{Left: x, Op: oneOf(g, rules.CmpEq, rules.CmpNeq), Right: u32(oneOf[uint32](g, 0, 0, 1))}
	case 8:
		return &rules.Match{Left: metaField(rules.MetaIifname), Op: oneOf(g, rules.CmpEq, rules.CmpEq, rules.CmpNeq), Right: ifname(oneOf(g, genDevices...))}
	case 9:
		return &rules.AnyOf{Parts: []rules.Condition{eq(dportField(), be16(oneOf(g, genPorts...))), eq(dportField(), be16(oneOf(g, genPorts...)))}, Invert: g.IntN(3) == 0}
	case 10:
		if g.IntN(2) == 0 {
			return &rules.NotOf{Part: &rules.AllOf{Parts: []rules.Condition{eq(dportField(), be16(oneOf(g, genPorts...)))}}}
		}
		return &rules.AllOf{Parts: []rules.Condition{&coin{g: g.coins}}}
	}
	return eq(metaField(rules.MetaL4proto), []byte{oneOf[byte](g, 6, 17)})
}

func (g *generator) end(nat bool, deep []*rules.Chain) rules.Statement {
	switch n := g.IntN(12); {
	case n < 3 && len(deep) > 0:
		to := oneOf(g, deep...)
		return &rules.Verdict{Code: oneOf(g, rules.VerdictJump, rules.VerdictJump, rules.VerdictGoto), Chain: to, ChainName: to.Name}
	case n == 3 && len(deep) > 0:
		m := &rules.Set{Flags: rules.SetAnonymous | rules.SetConstant | rules.SetMap, KeyLen: 2, DataType: rules.DataTypeVerdict}
		for i := range 1 + g.IntN(3) {
			v := &rules.Verdict{Code: oneOf(g, rules.VerdictAccept, rules.VerdictReturn, rules.VerdictJump, rules.VerdictGoto)}
			if v.Code == rules.VerdictJump || v.Code == rules.VerdictGoto {
				v.Chain = oneOf(g, deep...)
			}
			m.Elements = append(m.Elements, rules.Element{Key: be16(genPorts[i]), Verdict: v})
		}
		return &rules.VerdictMap{Key: dportField(), Set: m}
	case n < 6 && nat:
		return &rules.NAT{Kind: oneOf(g, rules.DNAT, rules.SNAT), AddrMin: &rules.Const{Data: []byte{192, 168, 1, 1}}}
	case n == 6:
		return &rules.Verdict{Code: rules.VerdictDrop}
	case n < 9:
		return &rules.Verdict{Code: oneOf(g, rules.VerdictAccept, rules.VerdictReturn)}
	}
	return nil
}

// packets is one of each sort that the rules can tell apart.
func packets() []*rules.Packet {
	var out []*rules.Packet
	for _, proto := range []byte{6, 17} {
		for _, port := range append([]uint16{7}, genPorts...) {
			for _, src := range append([]string{"\x0a\x00\x00\x09"}, genSources...) {
				for i, dev := range genDevices {
					for _, mark := range genMarks {
						p := &rules.Packet{Order: binary.LittleEndian, Family: rules.FamilyIPv4, Proto: proto, Mark: rules.KnownUint(binary.LittleEndian, 4, uint64(mark)),
							Host: rules.NoHost{}, Tracked: rules.Yes, Untracked: rules.No, Iif: rules.Iface{State: rules.IfaceKnown, Link: rules.Link{Index: uint32(i + 1), Name: dev}}}
						p.Net.N, p.Trans.N = 20, 20
						p.Net.Set(12, []byte(src), rules.FromEntry)
						p.Trans.Set(2, be16(port), rules.FromEntry)
						out = append(out, p)
					}
				}
			}
		}
	}
	return out
}

// rulesets is how many are tried; NTDIAG_REACH_N gives another number.
func rulesets(t *testing.T) uint64 {
	n, err := strconv.ParseUint(cmp.Or(os.Getenv("NTDIAG_REACH_N"), "40"), 10, 32)
	if err != nil {
		t.Fatalf("NTDIAG_REACH_N: %v", err)
	}
	return n
}

// TestNeverMet walks every packet through random rulesets: none may meet a
// rule that is called dead. What the kernel itself does is compared in
// diagnose/checks.
func TestNeverMet(t *testing.T) {
	n := rulesets(t)
	all := packets()
	claimed, idle := 0, 0
	for seed := range n {
		g := &generator{Rand: rand.New(rand.NewPCG(seed, 0x7265616368)), coins: rand.New(rand.NewPCG(seed, 1))}
		rs := g.ruleset()
		res := Analyse(rs)
		hit := map[*rules.Rule]bool{}
		w := walk.New(rs)
		for _, p := range all {
			for _, h := range []rules.Hook{rules.Prerouting, rules.Postrouting} {
				for order := range 2 * (1 + w.Orders(h, p.Family)) {
					w.Hook(p, h, walk.Options{Order: order / 2, Trace: func(s walk.Step) {
						if s.Rule != nil && s.Result == rules.Yes {
							hit[s.Rule] = true
						}
					}})
				}
			}
		}
		for _, tb := range rs.Tables {
			for _, c := range tb.Chains {
				for _, r := range c.Rules {
					dead := res.Dead(r) != nil || !res.Entered(c)
					if dead && hit[r] {
						t.Fatalf("seed %d: rule %d of %s is called dead (%+v), and met\n%s", seed, r.Handle, c.Name, res.Dead(r), outline(rs))
					}
					if !hit[r] {
						idle++
						if dead {
							claimed++
						}
					}
				}
			}
		}
	}
	t.Logf("%d rules that no packet met, %d of them called dead", idle, claimed)
	if claimed*2 < idle {
		t.Errorf("only %d of %d rules that no packet met were found", claimed, idle)
	}
}

// outline prints a ruleset for a failure.
func outline(rs *rules.Ruleset) string {
	var b strings.Builder
	for _, t := range rs.Tables {
		for _, c := range t.Chains {
			fmt.Fprintf(&b, "%s %s %s", t.Family, t.Name, c.Name)
			if c.Base != nil {
				fmt.Fprintf(&b, " %s %s %d", c.Base.Type, c.Base.Hook, c.Base.Priority)
			}
			b.WriteByte('\n')
			for _, r := range c.Rules {
				fmt.Fprintf(&b, "  %d:", r.Handle)
				for _, s := range r.Statements {
					fmt.Fprintf(&b, " %s", describe(s))
				}
				b.WriteByte('\n')
			}
		}
	}
	return b.String()
}

func describe(s rules.Statement) string {
	switch s := s.(type) {
	case *rules.Verdict:
		if s.Chain != nil {
			return s.Code.String() + " " + s.Chain.Name
		}
		return s.Code.String()
	case *rules.Match:
		return fmt.Sprintf("[%+v %s %x]", s.Left, s.Op, s.Right)
	case *rules.MatchRange:
		return fmt.Sprintf("[%+v %x-%x %t]", s.Left, s.Lo, s.Hi, s.Invert)
	case *rules.InSet:
		var keys []string
		for _, e := range s.Set.Elements {
			keys = append(keys, fmt.Sprintf("%x", e.Key))
		}
		return fmt.Sprintf("[%+v in %s %t]", s.Key, strings.Join(keys, ","), s.Invert)
	case *rules.VerdictMap:
		var keys []string
		for _, e := range s.Set.Elements {
			keys = append(keys, fmt.Sprintf("%x:%s", e.Key, describe(e.Verdict)))
		}
		return "vmap " + strings.Join(keys, ",")
	}
	return fmt.Sprintf("%T%+v", s, s)
}
