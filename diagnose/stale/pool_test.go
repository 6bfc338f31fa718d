package stale

import (
	"net/netip"
	"testing"

	"github.com/ntdiag/ntdiag/rules"
)

// TestPools: the addresses that present rules give as a source.
func TestPools(t *testing.T) {
	con := func(a string) rules.Expr { return &rules.Const{Data: netip.MustParseAddr(a).AsSlice()} }
	data := func(a string, port byte) []byte {
		return append(netip.MustParseAddr(a).AsSlice(), 0, port, 0, 0)
	}
	concat := &rules.MapLookup{Set: &rules.Set{Elements: []rules.Element{{Data: data("203.0.113.1", 80)}, {Data: data("203.0.113.9", 81)}}}}
	span := &rules.MapLookup{Set: &rules.Set{Elements: []rules.Element{
		{Data: append(netip.MustParseAddr("203.0.113.16").AsSlice(), netip.MustParseAddr("203.0.113.31").AsSlice()...)},
	}}}
	for _, tt := range []struct {
		name    string
		nat     rules.NAT
		dormant bool
		in, out []string
	}{
		{name: "one address", nat: rules.NAT{Kind: rules.SNAT, AddrMin: con("203.0.113.5")}, in: []string{"203.0.113.5"}, out: []string{"203.0.113.4", "203.0.113.6", "::ffff:203.0.113.5"}},
		{name: "a range", nat: rules.NAT{Kind: rules.SNAT, AddrMin: con("203.0.113.5"), AddrMax: con("203.0.113.7")}, in: []string{"203.0.113.5", "203.0.113.6", "203.0.113.7"}, out: []string{"203.0.113.8"}},
		{name: "netmap", nat: rules.NAT{Kind: rules.Netmap, AddrMin: con("2001:db8::"), AddrMax: con("2001:db8::ff")}, in: []string{"2001:db8::7"}, out: []string{"2001:db8::100", "203.0.113.5"}},
		{name: "a map of addresses and ports", nat: rules.NAT{Kind: rules.SNAT, AddrMin: &rules.Slice{X: concat, Off: 0, Len: 4}, PortMin: &rules.Slice{X: concat, Off: 4, Len: 2}}, in: []string{"203.0.113.1", "203.0.113.9"}, out: []string{"203.0.113.5"}},
		{name: "a map of ranges", nat: rules.NAT{Kind: rules.SNAT, AddrMin: &rules.Slice{X: span, Off: 0, Len: 4}, AddrMax: &rules.Slice{X: span, Off: 4, Len: 4}}, in: []string{"203.0.113.16", "203.0.113.20", "203.0.113.31"}, out: []string{"203.0.113.32"}},
		{name: "computed", nat: rules.NAT{Kind: rules.SNAT, AddrMin: &rules.Payload{Base: rules.PayloadNetwork, Off: 12, Len: 4}}, in: []string{"203.0.113.5", "198.51.100.1"}},
		{name: "a port alone", nat: rules.NAT{Kind: rules.SNAT, PortMin: &rules.Const{Data: []byte{0, 80}}}, out: []string{"203.0.113.5"}},
		{name: "a destination", nat: rules.NAT{Kind: rules.DNAT, AddrMin: con("203.0.113.5")}, out: []string{"203.0.113.5"}},
		{name: "asleep", nat: rules.NAT{Kind: rules.SNAT, AddrMin: con("203.0.113.5")}, dormant: true, out: []string{"203.0.113.5"}},
	} {
		table := &rules.Table{}
		if tt.dormant {
			table.Flags = rules.TableDormant
		}
		c := &rules.Chain{Table: table}
		c.Rules = []*rules.Rule{{Chain: c, Statements: []rules.Statement{&tt.nat}}}
		table.Chains = []*rules.Chain{c}
		has := func(a string) bool {
			for _, p := range poolsOf(&rules.Ruleset{Tables: []*rules.Table{table}}) {
				if p.has(netip.MustParseAddr(a)) {
					return true
				}
			}
			return false
		}
		for _, a := range tt.in {
			if !has(a) {
				t.Errorf("%s: %s is not in it", tt.name, a)
			}
		}
		for _, a := range tt.out {
			if has(a) {
				t.Errorf("%s: %s is in it", tt.name, a)
			}
		}
	}
}
