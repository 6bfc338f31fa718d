package walk

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ntdiag/ntdiag/rules"
)

func limits(es ...rules.Element) *rules.Set {
	return &rules.Set{Name: "s", KeyLen: 2, DataLen: 4, Flags: rules.SetAnonymous | rules.SetConstant, Elements: es}
}

func dportOf() rules.Expr { return &rules.Payload{Base: rules.PayloadTransport, Off: 2, Len: 2} }

func objects(typ rules.ObjectType, ports ...byte) *rules.ObjRef {
	s := limits()
	s.Flags |= rules.SetObject
	for _, p := range ports {
		s.Elements = append(s.Elements, rules.Element{Key: []byte{0, p}, Object: "o"})
	}
	return &rules.ObjRef{Type: typ, Set: s, Key: dportOf()}
}

// TestDivert: what takes packets elsewhere, or does not, ahead of a nat rule;
// the packet is a TCP SYN to port 80.
func TestDivert(t *testing.T) {
	syn := func(p *rules.Packet) { p.Trans.Set(13, []byte{2}, rules.FromTCPHeader) }
	udp := func(p *rules.Packet) { p.Proto = 17 }
	limited := rules.Element{Key: []byte{0, 80}, Exprs: []rules.Statement{&rules.Counter{}, &rules.Limit{}}}
	counted := rules.Element{Key: []byte{0, 80}, Exprs: []rules.Statement{&rules.Counter{}, &rules.Last{}}}
	// one rule with s and then a mark, in a filter chain; nat rule 21 wants the
	// mark, 22 does not
	for _, tc := range []struct {
		name string
		s    rules.Statement
		with func(*rules.Packet)
		want string
	}{
		{"last", &rules.Last{}, nil, "must 21"},
		{"dup", &rules.Dup{Addr: &rules.Const{Data: []byte{10, 0, 0, 1}}}, nil, "must 21"},
		{"dup to what no map has", &rules.Dup{Device: &rules.MapLookup{Key: dportOf(), Set: limits(rules.Element{Key: []byte{0, 81}, Data: u32(2)})}}, nil, "must 22"},
		{"fwd", &rules.Fwd{Device: &rules.Const{Data: u32(2)}}, nil, ""},
		{"fwd of the other family", &rules.Fwd{Device: &rules.Const{Data: u32(2)}, Addr: &rules.Const{Data: make([]byte, 16)}, Family: rules.FamilyIPv6}, nil, "must 22"},
		{"fwd to a device that may be gone", &rules.Fwd{Device: &rules.Const{Data: u32(2)}, Addr: &rules.Const{Data: make([]byte, 4)}, Family: rules.FamilyIPv4}, nil, "may 22 (output interface)"},
		{"flow offload", &rules.FlowOffload{}, nil, "must 22"},
		{"option taken out", &rules.StripOption{Option: 4}, nil, "must 21"},
		{"option of no TCP", &rules.StripOption{Option: 4}, udp, "must 22"},
		{"synproxy", &rules.Synproxy{}, syn, ""},
		{"synproxy of UDP", &rules.Synproxy{}, udp, "must 22"},
		{"synproxy of a packet of which nothing is known", &rules.Synproxy{}, nil, "may 22 (TCP header fields besides the ports)"},
		{"tproxy", &rules.TProxy{Family: rules.FamilyIPv4, Port: &rules.Const{Data: []byte{0, 80}}}, nil,
			"may 21 (an earlier rule that may have matched), may 22 (an earlier rule that may have matched)"},
		{"tproxy of ICMP", &rules.TProxy{}, func(p *rules.Packet) { p.Proto = 1 }, "must 22"},
		{"tproxy of the other family", &rules.TProxy{Family: rules.FamilyIPv6}, nil, "must 22"},
		{"queue", &rules.Queue{Total: 1}, nil, "may 21 (what a program did with a queued packet), may 22 (what a program did with a queued packet)"},
		{"queue that no map has", &rules.Queue{From: &rules.MapLookup{Key: dportOf(), Set: limits()}}, nil, "must 22"},
		{"counter from a map", objects(rules.ObjectCounter, 80), nil, "must 21"},
		{"counter that no map has", objects(rules.ObjectCounter, 81), nil, "must 22"},
		{"limit that no map has", objects(rules.ObjectLimit, 81), nil, "must 22"},
		{"limit from a map", objects(rules.ObjectLimit, 80), nil, "may 21 (an earlier rule that may have matched), may 22 (an earlier rule that may have matched)"},
		{"synproxy from a map", objects(rules.ObjectSynproxy, 80), syn, ""},
		{"expectation before conntrack", &rules.ObjRef{Type: rules.ObjectCtExpect}, nil, "must 22"},
		{"helper", &rules.ObjRef{Type: rules.ObjectCtHelper}, nil, "must 21"},
		{"element with a limit", &rules.InSet{Key: dportOf(), Set: limits(limited)}, nil, "may 21 (an earlier rule that may have matched), may 22 (an earlier rule that may have matched)"},
		{"element that counts", &rules.InSet{Key: dportOf(), Set: limits(counted)}, nil, "must 21"},
		{"another element with a limit", &rules.InSet{Key: &rules.Payload{Base: rules.PayloadTransport, Len: 2}, Set: limits(limited)}, nil, "must 22"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tb := newTable()
			tb.chain(filterBase(rules.Prerouting, -300), do(tc.s, setMarkBit(1)))
			tb.chain(natBase(rules.Prerouting, -100), do(mark(1), dnat("192.0.2.1")), do(mark(0), dnat("192.0.2.2")))
			p := packet(rules.KnownUint(le, 4, 0))
			if tc.with != nil {
				tc.with(p)
			}
			res := New(&rules.Ruleset{Order: le, Tables: []*rules.Table{tb.Table}}).Hook(p, rules.Prerouting, Options{})
			if diff := cmp.Diff(tc.want, outline(res)); diff != "" {
				t.Errorf("candidates (-want +got):\n%s", diff)
			}
			_, tproxy := tc.s.(*rules.TProxy)
			if want := tproxy && p.Proto == 6 && tc.name == "tproxy"; res.Packet.TProxied != want {
				t.Errorf("given to a socket: %v, want %v", res.Packet.TProxied, want)
			}
		})
	}
}

// A queue inside the nat dispatcher ends it without a NAT; a program can have
// it run once more.
func TestQueueInNAT(t *testing.T) {
	tb := newTable()
	tb.chain(natBase(rules.Prerouting, -100), do(dport(80), &rules.Queue{Total: 1}))
	tb.chain(natBase(rules.Prerouting, -90), do(dnat("192.0.2.1")))
	res := New(&rules.Ruleset{Order: le, Tables: []*rules.Table{tb.Table}}).Hook(packet(rules.KnownUint(le, 4, 0)), rules.Prerouting, Options{})
	if got, want := outline(res), "may 21 (what a program did with a queued packet)"; got != want {
		t.Errorf("candidates %q, want %q", got, want)
	}
	if res.Alive.Truth != rules.Yes {
		t.Errorf("alive %v", res.Alive.Truth)
	}
}

// TestDropped: where every way ends, it is told by what.
func TestDropped(t *testing.T) {
	tb := newTable()
	tb.chain(filterBase(rules.Prerouting, -300), do(random(), verdict(rules.VerdictDrop)))
	drop := filterBase(rules.Prerouting, -150)
	drop.Policy = rules.VerdictDrop
	closed := tb.chain(drop, do(dport(81), verdict(rules.VerdictAccept)))
	tb.chain(natBase(rules.Prerouting, -100), do(dnat("192.0.2.1")))
	w := New(&rules.Ruleset{Order: le, Tables: []*rules.Table{tb.Table}})
	p := packet(rules.KnownUint(le, 4, 0))
	res := w.Hook(p, rules.Prerouting, Options{})
	if res.Alive.Truth != rules.No || len(res.Ends) != 2 || res.Ends[0].Rule.Handle != 11 || res.Ends[1].Rule != nil || res.Ends[1].Chain != closed {
		t.Errorf("alive %v, dropped by %v", res.Alive.Truth, res.Ends)
	}
	res = w.Hook(p, rules.Prerouting, Options{Accept: map[*rules.Chain]bool{closed: true}})
	if got, want := outline(res), "may 31 (a random number)"; got != want {
		t.Errorf("candidates %q, want %q", got, want)
	}
}
