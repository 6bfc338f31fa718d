package walk

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ntdiag/ntdiag/rules"
)

var le = binary.LittleEndian

func u32(n uint32) []byte { return le.AppendUint32(nil, n) }

func mark(n uint32) *rules.Match {
	return &rules.Match{Left: &rules.Meta{Key: rules.MetaMark}, Op: rules.CmpEq, Right: u32(n)}
}

func markBit(bit uint32) *rules.Match {
	return &rules.Match{Left: &rules.Bitwise{X: &rules.Meta{Key: rules.MetaMark}, Mask: u32(bit), Xor: u32(0)}, Op: rules.CmpNeq, Right: u32(0)}
}

func setMarkBit(bit uint32) *rules.Assign {
	x := &rules.Bitwise{X: &rules.Meta{Key: rules.MetaMark}, Mask: u32(^bit), Xor: u32(bit)}
	return &rules.Assign{Target: rules.AssignMeta, Dest: &rules.Meta{Key: rules.MetaMark}, Value: x}
}

func dport(n uint16) *rules.Match {
	return &rules.Match{Left: &rules.Payload{Base: rules.PayloadTransport, Off: 2, Len: 2}, Op: rules.CmpEq, Right: binary.BigEndian.AppendUint16(nil, n)}
}

func random() *rules.Match {
	return &rules.Match{Left: &rules.Meta{Key: rules.MetaPrandom}, Op: rules.CmpLte, Right: u32(1 << 31)}
}

func dnat(addr string) *rules.NAT {
	return &rules.NAT{Kind: rules.DNAT, AddrMin: &rules.Const{Data: netip.MustParseAddr(addr).AsSlice()}}
}

func snat(addr string) *rules.NAT {
	return &rules.NAT{Kind: rules.SNAT, AddrMin: &rules.Const{Data: netip.MustParseAddr(addr).AsSlice()}}
}

func verdict(c rules.VerdictCode) *rules.Verdict { return &rules.Verdict{Code: c} }

func jump(c *rules.Chain) *rules.Verdict { return &rules.Verdict{Code: rules.VerdictJump, Chain: c} }

func goTo(c *rules.Chain) *rules.Verdict { return &rules.Verdict{Code: rules.VerdictGoto, Chain: c} }

type table struct{ *rules.Table }

func newTable() table {
	return table{&rules.Table{Backend: rules.BackendNft, Family: rules.FamilyInet, Name: "t", Handle: 1}}
}

// chain adds a chain; rule n of chain k has handle k*10+n.
func (t table) chain(base *rules.BaseChain, rs ...[]rules.Statement) *rules.Chain {
	c := &rules.Chain{Table: t.Table, Name: fmt.Sprintf("c%d", len(t.Chains)+1), Handle: uint64(len(t.Chains) + 1), Base: base}
	t.Chains = append(t.Chains, c)
	for i, s := range rs {
		c.Rules = append(c.Rules, &rules.Rule{Chain: c, Handle: c.Handle*10 + uint64(i+1), Position: i + 1, Statements: s})
	}
	return c
}

func natBase(h rules.Hook, prio int32) *rules.BaseChain {
	return &rules.BaseChain{Type: rules.ChainNAT, Hook: h, Priority: prio, Policy: rules.VerdictAccept}
}

func filterBase(h rules.Hook, prio int32) *rules.BaseChain {
	return &rules.BaseChain{Type: rules.ChainFilter, Hook: h, Priority: prio, Policy: rules.VerdictAccept}
}

func do(s ...rules.Statement) []rules.Statement { return s }

func packet(m rules.Value) *rules.Packet {
	p := &rules.Packet{Order: le, Family: rules.FamilyIPv4, Proto: 6, Mark: m, Host: rules.NoHost{}, Tracked: rules.No, Untracked: rules.No}
	p.Net.N, p.Trans.N = 20, 20
	p.Net.Set(12, []byte{10, 0, 0, 10, 10, 0, 0, 1}, rules.FromEntry)
	p.Trans.Open(0, 20, rules.FromTCPHeader)
	p.Trans.Set(0, []byte{0x9c, 0x40, 0, 80}, rules.FromEntry)
	p.Ct = rules.Conntrack{
		Mark: rules.KnownUint(le, 4, 0), Labels: rules.KnownBytes(make([]byte, 16)), Zone: rules.KnownUint(le, 2, 0),
		Status: rules.KnownUint(le, 4, 0), State: rules.KnownUint(le, 4, rules.CtStateNew), HelperKnown: rules.Yes,
	}
	return p
}

// outline prints candidates as `must 11, may 21 (a random number)`.
func outline(res Result) string {
	var out []string
	for _, c := range res.Candidates {
		s := "must"
		if c.Answer.Truth != rules.Yes {
			s = "may"
		}
		s += fmt.Sprintf(" %d", c.Rule.Handle)
		for _, src := range c.Answer.Unknown.List() {
			s += " (" + src.String() + ")"
		}
		out = append(out, s)
	}
	return strings.Join(out, ", ")
}

func TestHook(t *testing.T) {
	zero := rules.KnownUint(le, 4, 0)
	open := rules.UnknownBytes(4, rules.FromMark)
	for _, tc := range []struct {
		name  string
		build func(table)
		mark  rules.Value
		hook  rules.Hook
		want  string
	}{
		{"first match ends", func(t table) {
			t.chain(natBase(rules.Prerouting, -100), do(dport(80), dnat("192.0.2.1")), do(dport(80), dnat("192.0.2.2")))
		}, zero, rules.Prerouting, "must 11"},
		{"no match goes on", func(t table) {
			t.chain(natBase(rules.Prerouting, -100), do(dport(81), dnat("192.0.2.1")), do(dnat("192.0.2.2")))
		}, zero, rules.Prerouting, "must 12"},
		{"accept does not protect from the next nat chain", func(t table) {
			t.chain(natBase(rules.Prerouting, -100), do(verdict(rules.VerdictAccept)))
			t.chain(natBase(rules.Prerouting, -90), do(dnat("192.0.2.1")))
		}, zero, rules.Prerouting, "must 21"},
		{"a nat statement does", func(t table) {
			t.chain(natBase(rules.Prerouting, -100), do(dnat("192.0.2.1")))
			t.chain(natBase(rules.Prerouting, -90), do(dnat("192.0.2.2")))
		}, zero, rules.Prerouting, "must 11"},
		{"equal priority: last registered first", func(t table) {
			t.chain(natBase(rules.Prerouting, -100), do(dnat("192.0.2.1")))
			t.chain(natBase(rules.Prerouting, -100), do(dnat("192.0.2.2")))
		}, zero, rules.Prerouting, "must 21"},
		{"nat chains run at the fixed priority whatever their own", func(t table) {
			t.chain(natBase(rules.Prerouting, -190), do(mark(1), dnat("192.0.2.1")))
			t.chain(filterBase(rules.Prerouting, -150), do(setMarkBit(1)))
		}, zero, rules.Prerouting, "must 11"},
		{"an unknown condition forks and joins", func(t table) {
			t.chain(filterBase(rules.Prerouting, -150), do(random(), setMarkBit(4)))
			t.chain(natBase(rules.Prerouting, -100), do(markBit(8), dnat("192.0.2.1")), do(markBit(4), dnat("192.0.2.2")), do(dnat("192.0.2.3")))
		}, zero, rules.Prerouting, "may 22 (an earlier rule that may have matched), may 23 (an earlier rule that may have matched)"},
		{"mark bits known one by one", func(t table) {
			t.chain(filterBase(rules.Prerouting, -150), do(setMarkBit(4)))
			t.chain(natBase(rules.Prerouting, -100), do(markBit(4), dnat("192.0.2.1")))
		}, open, rules.Prerouting, "must 21"},
		{"return ends the called chain only", func(t table) {
			sub := t.chain(nil, do(dport(80), verdict(rules.VerdictReturn)), do(dnat("192.0.2.1")))
			t.chain(natBase(rules.Prerouting, -100), do(jump(sub)), do(dnat("192.0.2.2")))
		}, zero, rules.Prerouting, "must 22"},
		{"goto does not come back", func(t table) {
			sub := t.chain(nil, do(dport(81), dnat("192.0.2.1")))
			t.chain(natBase(rules.Prerouting, -100), do(goTo(sub)), do(dnat("192.0.2.2")))
		}, zero, rules.Prerouting, ""},
		{"each base chain has its own policy", func(t table) {
			drop := filterBase(rules.Prerouting, -150)
			drop.Policy = rules.VerdictDrop
			t.chain(drop, do(dport(81), verdict(rules.VerdictAccept)))
			t.chain(natBase(rules.Prerouting, -100), do(dnat("192.0.2.1")))
		}, zero, rules.Prerouting, ""},
		{"statistic chain: one of three", func(t table) {
			a := t.chain(nil, do(dnat("192.0.2.1")))
			b := t.chain(nil, do(dnat("192.0.2.2")))
			c := t.chain(nil, do(dnat("192.0.2.3")))
			t.chain(natBase(rules.Prerouting, -100), do(random(), jump(a)), do(random(), jump(b)), do(jump(c)))
		}, zero, rules.Prerouting, "may 11 (a random number), may 21 (a random number), may 31 (a random number)"},
		{"snat is not asked at prerouting", func(t table) {
			t.chain(natBase(rules.Postrouting, 100), do(snat("192.0.2.1")))
		}, zero, rules.Prerouting, ""},
		{"ct state is invalid before conntrack", func(t table) {
			invalid := &rules.Match{Left: &rules.Ct{Key: rules.CtState, Dir: rules.CtDirNone, Len: 4}, Op: rules.CmpEq, Right: u32(rules.CtStateInvalid)}
			t.chain(filterBase(rules.Prerouting, -300), do(invalid, setMarkBit(1)))
			t.chain(natBase(rules.Prerouting, -100), do(mark(1), dnat("192.0.2.1")))
		}, zero, rules.Prerouting, "must 21"},
		{"an opaque match leaves both ways open", func(t table) {
			t.chain(natBase(rules.Prerouting, -100), do(&rules.Opaque{Name: "osf"}, dnat("192.0.2.1")), do(dnat("192.0.2.2")))
		}, zero, rules.Prerouting, "may 11 (an expression that is not understood), may 12 (an expression that is not understood)"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tb := newTable()
			tc.build(tb)
			w := New(&rules.Ruleset{Order: le, Tables: []*rules.Table{tb.Table}})
			res := w.Hook(packet(tc.mark), tc.hook, Options{})
			if diff := cmp.Diff(tc.want, outline(res)); diff != "" {
				t.Errorf("candidates (-want +got):\n%s", diff)
			}
		})
	}
}

// A hypothesis decides what the way to it left open: kube-proxy's mark.
func TestForce(t *testing.T) {
	tb := newTable()
	a := tb.chain(nil, do(dnat("192.0.2.1")))
	b := tb.chain(nil, do(setMarkBit(0x4000), dnat("192.0.2.2")))
	top := tb.chain(natBase(rules.Prerouting, -100), do(random(), jump(a)), do(random(), jump(b)))
	w := New(&rules.Ruleset{Order: le, Tables: []*rules.Table{tb.Table}})
	force := map[*rules.Rule]rules.Truth{top.Rules[0]: rules.No, top.Rules[1]: rules.Yes}
	res := w.Hook(packet(rules.KnownUint(le, 4, 0)), rules.Prerouting, Options{Force: force})
	if got := outline(res); got != "must 21" {
		t.Errorf("candidates: %s", got)
	}
	if v := res.Packet.Mark; !v.IsKnown() || v.Uint(le) != 0x4000 {
		t.Errorf("mark after: %x known %x", v.Bits[:4], v.Known[:4])
	}
}

func TestTargetMakes(t *testing.T) {
	addr := netip.MustParseAddr
	prefix := Target{AddrMin: addr("192.168.5.0"), AddrMax: addr("192.168.5.255"), Netmap: true}
	ports := Target{AddrMin: addr("192.0.2.1"), AddrMax: addr("192.0.2.9"), HasPort: true, PortMin: 1000, PortMax: 1999}
	for _, tc := range []struct {
		name             string
		t                Target
		m                rules.Manip
		from, to         string
		fromPort, toPort uint16
		want             bool
	}{
		{"netmap keeps the host bits", prefix, rules.ManipDst, "10.0.0.7", "192.168.5.7", 80, 80, true},
		{"netmap to another host", prefix, rules.ManipDst, "10.0.0.7", "192.168.5.8", 80, 80, false},
		{"in range", ports, rules.ManipSrc, "10.0.0.7", "192.0.2.9", 5, 1999, true},
		{"beyond the addresses", ports, rules.ManipSrc, "10.0.0.7", "192.0.2.10", 5, 1999, false},
		{"beyond the ports", ports, rules.ManipSrc, "10.0.0.7", "192.0.2.9", 5, 2000, false},
		{"a source port may change without a range", Target{AddrMin: addr("192.0.2.1"), AddrMax: addr("192.0.2.1")}, rules.ManipSrc, "10.0.0.7", "192.0.2.1", 5, 9, true},
		{"a destination port may not", Target{AddrMin: addr("192.0.2.1"), AddrMax: addr("192.0.2.1")}, rules.ManipDst, "10.0.0.7", "192.0.2.1", 5, 9, false},
		{"port only", Target{HasPort: true, PortMin: 8080, PortMax: 8080}, rules.ManipDst, "10.0.0.7", "10.0.0.7", 80, 8080, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := tc.t.Makes(tc.m, addr(tc.from), addr(tc.to), tc.fromPort, tc.toPort); got != tc.want {
				t.Errorf("Makes = %v, want %v", got, tc.want)
			}
		})
	}
}

// Of three tables on one priority each can be the first; inside a table the
// order stays.
func TestOrders(t *testing.T) {
	rs := &rules.Ruleset{Order: le}
	for i, name := range []string{"a", "b", "c"} {
		tb := table{&rules.Table{Family: rules.FamilyIPv4, Name: name, Handle: uint64(i + 1), Ruleset: rs}}
		tb.chain(natBase(rules.Prerouting, -100), do(dnat("192.0.2.1")))
		if name == "b" {
			tb.chain(natBase(rules.Prerouting, -100), do(dnat("192.0.2.2")))
		}
		rs.Tables = append(rs.Tables, tb.Table)
	}
	w := New(rs)
	var got []string
	for order := range w.Orders(rules.Prerouting, rules.FamilyIPv4) + 1 {
		hc := w.hooks[slot(rules.Prerouting, rules.FamilyIPv4)]
		chains := hc.chains
		if order > 0 {
			chains = hc.orders[order-1]
		}
		s := ""
		for _, c := range chains {
			s += c.Table.Name + strings.TrimPrefix(c.Name, "c") + " "
		}
		got = append(got, strings.TrimSpace(s))
	}
	if diff := cmp.Diff([]string{"c1 b2 b1 a1", "b2 b1 c1 a1", "a1 c1 b2 b1"}, got); diff != "" {
		t.Errorf("orders (-want +got):\n%s", diff)
	}
}
