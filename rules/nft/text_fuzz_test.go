package nft

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/walk"
)

// FuzzTextAndWalk: whatever was decoded can be printed on one harmless line,
// its conditions can say why they failed, and a packet can be walked past it.
func FuzzTextAndWalk(f *testing.F) {
	for _, msgs := range seedMessages(f) {
		for _, m := range msgs {
			if m.kind == "rule" {
				a := parseAttrs(binary.LittleEndian, m.payload[nfgenmsgLen:])
				f.Add(a.val[attrRuleExprs], uint8(1), uint8(0))
			}
		}
	}
	f.Fuzz(func(t *testing.T, exprs []byte, family, hook uint8) {
		table := fuzzTable()
		table.Family = rules.Family(family)
		base := &rules.BaseChain{Type: rules.ChainNAT, Hook: rules.Hook(hook % 6), Policy: rules.VerdictAccept}
		if base.Hook == rules.Ingress || table.Family == rules.FamilyBridge {
			base.Type, base.Devices = rules.ChainFilter, []rules.Device{{Name: "eth", Prefix: true}}
		}
		chain := &rules.Chain{Table: table, Name: "c", Base: base}
		r := &rules.Rule{Chain: chain}
		r.Raw, _ = rawExprs(binary.LittleEndian, exprs)
		DecodeRule(binary.LittleEndian, table, r)
		chain.Rules = []*rules.Rule{r}
		table.Chains = append(table.Chains, chain)
		rs := &rules.Ruleset{Order: binary.LittleEndian, Tables: []*rules.Table{table}}
		for _, text := range []string{RuleText(r), RuleTextFull(r)} {
			if i := strings.IndexFunc(text, func(c rune) bool { return c < ' ' || c == 0x7f }); i >= 0 {
				t.Errorf("control character at %d: %q", i, text)
			}
		}
		_ = RulesetText(rs)
		walkPast(rs, r)
	})
}

func walkPast(rs *rules.Ruleset, r *rules.Rule) {
	w := walk.New(rs)
	for _, family := range []rules.Family{rules.FamilyIPv4, rules.FamilyIPv6} {
		p := &rules.Packet{Family: family, Order: binary.LittleEndian, Host: rules.NoHost{}, Tracked: rules.Yes}
		p.Mark = rules.UnknownBytes(4, rules.FromMark)
		hook := r.Chain.Base.Hook
		if hook == rules.Ingress {
			hook = rules.Prerouting
		}
		w.Hook(p, hook, walk.Options{Trace: func(s walk.Step) {
			if s.Failed != nil {
				_ = MissIn(s.Rule, s.Failed, &s.Got, binary.LittleEndian)
				_ = ConditionText(s.Failed)
			}
		}})
	}
}
