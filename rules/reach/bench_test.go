package reach

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/ntdiag/ntdiag/rules"
)

// services is a ruleset in the shape of kube-proxy's iptables mode: per service
// a rule that jumps to its chain, which jumps to one of three endpoints' chains.
func services(n int) *rules.Ruleset {
	rs := &rules.Ruleset{Order: binary.LittleEndian}
	t := &rules.Table{Ruleset: rs, Backend: rules.BackendIptablesNft, Family: rules.FamilyIPv4, Name: "nat"}
	rs.Tables = []*rules.Table{t}
	chain := func(name string, b *rules.BaseChain) *rules.Chain {
		c := &rules.Chain{Table: t, Name: name, Handle: uint64(len(t.Chains) + 1), Base: b}
		t.Chains = append(t.Chains, c)
		return c
	}
	add := func(c *rules.Chain, ss ...rules.Statement) {
		c.Rules = append(c.Rules, &rules.Rule{Chain: c, Position: len(c.Rules) + 1, Statements: ss})
	}
	jump := func(c *rules.Chain) rules.Statement {
		return &rules.Verdict{Code: rules.VerdictJump, Chain: c, ChainName: c.Name}
	}
	mark := chain("KUBE-MARK-MASQ", nil)
	add(mark, &rules.Assign{Dest: metaField(rules.MetaMark), Value: &rules.Const{Data: u32(0x4000)}})
	all := chain("KUBE-SERVICES", nil)
	for i := range n {
		svc := chain(fmt.Sprintf("KUBE-SVC-%d", i), nil)
		daddr := &rules.Payload{Base: rules.PayloadNetwork, Off: 16, Len: 4}
		ip := []byte{10, 96, byte(i >> 8), byte(i)}
		add(all, eq(daddr, ip), eq(metaField(rules.MetaL4proto), []byte{6}), eq(dportField(), be16(443)), jump(svc))
		for e := range 3 {
			sep := chain(fmt.Sprintf("KUBE-SEP-%d-%d", i, e), nil)
			to := []byte{10, byte(e + 1), byte(i >> 8), byte(i)}
			add(sep, eq(saddrField(), to), jump(mark))
			add(sep, eq(metaField(rules.MetaL4proto), []byte{6}), &rules.NAT{Kind: rules.DNAT, AddrMin: &rules.Const{Data: to}})
			if e < 2 {
				add(svc, &rules.Chance{Hits: 1, Of: uint64(3 - e)}, jump(sep))
			} else {
				add(svc, jump(sep))
			}
		}
	}
	for _, h := range []rules.Hook{rules.Prerouting, rules.Output} {
		add(chain(h.String(), &rules.BaseChain{Type: rules.ChainNAT, Hook: h, Priority: -100, Policy: rules.VerdictAccept}), jump(all))
	}
	return rs
}

func BenchmarkAnalyse(b *testing.B) {
	rs := services(4000) // 40,000 rules
	for b.Loop() {
		res := Analyse(rs)
		for _, c := range rs.Tables[0].Chains {
			for _, r := range c.Rules {
				if res.Dead(r) != nil {
					b.Fatalf("%s %d is called dead: %+v", c.Name, r.Position, res.Dead(r))
				}
			}
		}
	}
}
