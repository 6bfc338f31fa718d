package rules_test

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/ntdiag/ntdiag/rules"
)

// ruleIn makes a rule of one chain; others are chains beside it.
func ruleIn(f rules.Family, table, chain string, base bool, others ...string) *rules.Rule {
	rs := &rules.Ruleset{Order: binary.LittleEndian}
	t := &rules.Table{Ruleset: rs, Backend: rules.BackendIptablesNft, Family: f, Name: table}
	rs.Tables = []*rules.Table{t}
	c := &rules.Chain{Table: t, Name: chain}
	if base {
		c.Base = &rules.BaseChain{Type: rules.ChainNAT}
	}
	t.Chains = []*rules.Chain{c}
	for _, o := range others {
		t.Chains = append(t.Chains, &rules.Chain{Table: t, Name: o})
	}
	r := &rules.Rule{Chain: c, Position: 1}
	c.Rules = []*rules.Rule{r}
	return r
}

func with(r *rules.Rule, comment string, ss ...rules.Statement) *rules.Rule {
	r.Comment, r.Statements = comment, ss
	return r
}

func TestMadeBy(t *testing.T) {
	ip := rules.FamilyIPv4
	jump := func(to string) rules.Statement { return &rules.Verdict{Code: rules.VerdictJump, ChainName: to} }
	dev := func(name string) rules.Statement {
		return &rules.Match{Left: &rules.Meta{Key: rules.MetaOifname}, Op: rules.CmpNeq, Right: append([]byte(name), make([]byte, 16-len(name))...)}
	}
	mark := func(v, m uint32) rules.Statement {
		x := &rules.Bitwise{X: &rules.Meta{Key: rules.MetaMark}, Mask: binary.LittleEndian.AppendUint32(nil, m), Xor: make([]byte, 4)}
		return &rules.AllOf{Parts: []rules.Condition{&rules.Match{Left: x, Right: binary.LittleEndian.AppendUint32(nil, v)}}}
	}
	masq := &rules.NAT{Kind: rules.Masquerade}
	tests := []struct {
		name string
		rule *rules.Rule
		want string
	}{
		{"table", ruleIn(rules.FamilyInet, "firewalld", "nat_POSTROUTING", true), "firewalld"},
		{"table, a pattern", ruleIn(rules.FamilyInet, "istio-proxy-nat", "output", true), "istio"},
		{"chain", ruleIn(ip, "nat", "KUBE-SEP-X", false), "kube-proxy"},
		{"a base chain's name is everybody's", ruleIn(ip, "nat", "DOCKER", true), ""},
		{"jump", with(ruleIn(ip, "nat", "PREROUTING", true), "", jump("LIBVIRT_PRT")), "libvirt"},
		{"comment", with(ruleIn(rules.FamilyInet, "mine", "c", true), "!fw4: Masquerade"), "fw4"},
		{"a comment like it", with(ruleIn(rules.FamilyInet, "mine", "c", true), "see !fw4: Masquerade"), ""},
		{"weak chain alone", ruleIn(ip, "nat", "POST_public", false), ""},
		{"weak chain with the program's", ruleIn(ip, "nat", "POST_public", false, "POSTROUTING_direct"), "firewalld"},
		{"bridge alone", with(ruleIn(ip, "nat", "POSTROUTING", true), "", dev("docker0"), masq), ""},
		{"bridge with the program's chain", with(ruleIn(ip, "nat", "POSTROUTING", true, "DOCKER"), "", dev("br-0123456789ab"), masq), "docker"},
		{"mark", with(ruleIn(ip, "nat", "POSTROUTING", true), "", mark(0x40000, 0xff0000), masq), "tailscale"},
		{"another mask", with(ruleIn(ip, "nat", "POSTROUTING", true), "", mark(0x40000, 0x40000), masq), ""},
		{"by hand", with(ruleIn(ip, "nat", "postrouting", true), "wan", masq), ""},
		{"no chain", &rules.Rule{}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.rule.MadeBy(); got != tt.want {
				t.Errorf("made by %q, want %q", got, tt.want)
			}
		})
	}
}

func TestOwnerNames(t *testing.T) {
	names := rules.OwnerNames()
	sorted := slices.Clone(names)
	slices.Sort(sorted)
	if len(slices.Compact(sorted)) != len(names) || slices.Contains(names, "") {
		t.Errorf("owners %v: each once, none without a name", names)
	}
}
