package alike

import (
	"net/netip"
	"testing"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

// tcp is a flow that nothing rewrote.
func tcp(src string, sport uint16, dst string, dport uint16) host.Flow {
	o := rules.Tuple{Proto: host.ProtoTCP, Src: netip.MustParseAddr(src), Dst: netip.MustParseAddr(dst), SrcPort: sport, DstPort: dport}
	r := rules.Tuple{Proto: o.Proto, Src: o.Dst, Dst: o.Src, SrcPort: o.DstPort, DstPort: o.SrcPort}
	return host.Flow{Family: rules.FamilyIPv4, Original: o, Reply: r}
}

// TestMemo: which flows are decided, by a base chain that asks for a port and
// another chain, entered by some, that asks for a source.
func TestMemo(t *testing.T) {
	table := &rules.Table{Family: rules.FamilyIPv4, Backend: rules.BackendNft}
	asks := func(name string, base *rules.BaseChain, p rules.Payload, c []byte) *rules.Chain {
		chain := &rules.Chain{Table: table, Name: name, Base: base}
		m := &rules.Match{Left: &p, Op: rules.CmpEq, Right: c}
		chain.Rules = []*rules.Rule{{Chain: chain, Statements: []rules.Statement{m}}}
		table.Chains = append(table.Chains, chain)
		return chain
	}
	asks("pre", &rules.BaseChain{}, rules.Payload{Base: rules.PayloadTransport, Off: 2, Len: 2}, []byte{0, 80})
	inner := asks("web", nil, rules.Payload{Base: rules.PayloadNetwork, Off: 12, Len: 4}, []byte{10, 0, 0, 1})
	s := &host.Snapshot{Rules: &rules.Ruleset{Tables: []*rules.Table{table}}}
	k := New(s, nil)
	looks := [...]*Look[int]{Entry: NewMemo[int](k, Entry, 1000).Look(), Original: NewMemo[int](k, Original, 1000).Look()}
	for _, tt := range []struct {
		name    string
		side    Side
		flow    host.Flow
		changed func(*host.Flow)
		decided bool
	}{
		{name: "the first to a port", flow: tcp("10.0.0.9", 40000, "10.8.0.1", 80), decided: true},
		{name: "another source port", flow: tcp("10.0.0.9", 40001, "10.8.0.1", 80)},
		{name: "another source that nobody asks for", flow: tcp("10.0.0.7", 40000, "10.8.0.1", 80)},
		{name: "the source that the inner chain asks for", flow: tcp("10.0.0.1", 40000, "10.8.0.1", 80), decided: true},
		{name: "another destination that nobody asks for", flow: tcp("10.0.0.1", 40000, "10.8.0.2", 80)},
		{name: "another port", flow: tcp("10.0.0.9", 40000, "10.8.0.1", 443), decided: true},
		{name: "that port, by the inner chain's source", flow: tcp("10.0.0.1", 40000, "10.8.0.1", 443)},
		{name: "of another status", flow: tcp("10.0.0.9", 40000, "10.8.0.1", 80), changed: func(f *host.Flow) { f.Status = host.StatusAssured }, decided: true},
		{name: "expected", flow: tcp("10.0.0.9", 40000, "10.8.0.1", 80), changed: func(f *host.Flow) { f.Status = host.StatusExpected }, decided: true},
		{name: "expected again", flow: tcp("10.0.0.9", 40000, "10.8.0.1", 80), changed: func(f *host.Flow) { f.Status = host.StatusExpected }, decided: true},
		{name: "the original tuple alone", side: Original, flow: tcp("10.0.0.9", 40000, "10.8.0.1", 80), decided: true},
		{name: "whose status does not count", side: Original, flow: tcp("10.0.0.9", 40000, "10.8.0.1", 80), changed: func(f *host.Flow) { f.Status = host.StatusAssured }},
	} {
		if tt.changed != nil {
			tt.changed(&tt.flow)
		}
		look := looks[tt.side]
		decided := false
		look.Of(&tt.flow, func() (int, bool) {
			decided = true
			if tt.flow.Original.DstPort == 80 {
				look.Enter(inner)
			}
			return 0, true
		})
		if decided != tt.decided {
			t.Errorf("%s: decided %v", tt.name, decided)
		}
	}
}

// TestMemoIsBounded: an answer that was dropped is decided again.
func TestMemoIsBounded(t *testing.T) {
	m := NewMemo[int](New(&host.Snapshot{Rules: &rules.Ruleset{}}, nil), Entry, shards)
	l, decided := m.Look(), 0
	for range 2 {
		for zone := range uint16(500) {
			f := tcp("10.0.0.9", 40000, "10.8.0.1", 80)
			f.Zone = zone
			l.Of(&f, func() (int, bool) { decided++; return 0, true })
		}
	}
	kept := 0
	for i := range m.shards {
		kept += len(m.shards[i].known)
	}
	if kept > shards || decided <= 500 {
		t.Errorf("%d answers are kept, of %d decisions", kept, decided)
	}
}
