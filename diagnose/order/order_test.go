package order

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ntdiag/ntdiag/rules"
)

// ruleset is one of everything: two tables of nf_tables, one of legacy.
func ruleset() *rules.Ruleset {
	rs := &rules.Ruleset{}
	handle := uint64(0)
	table := func(b rules.Backend, f rules.Family, name string) *rules.Table {
		t := &rules.Table{Ruleset: rs, Backend: b, Family: f, Name: name, Handle: uint64(len(rs.Tables) + 1)}
		rs.Tables = append(rs.Tables, t)
		return t
	}
	chain := func(t *rules.Table, name string, b *rules.BaseChain, lists ...[]rules.Statement) *rules.Chain {
		c := &rules.Chain{Table: t, Name: name, Handle: uint64(len(t.Chains) + 1), Base: b}
		t.Chains = append(t.Chains, c)
		for i, s := range lists {
			handle++
			c.Rules = append(c.Rules, &rules.Rule{Chain: c, Handle: handle, Position: i + 1, Statements: s})
		}
		return c
	}
	base := func(t rules.ChainType, h rules.Hook, prio int32) *rules.BaseChain {
		return &rules.BaseChain{Type: t, Hook: h, Priority: prio, Policy: rules.VerdictAccept}
	}
	do := func(s ...rules.Statement) []rules.Statement { return s }
	mark := &rules.Meta{Key: rules.MetaMark}
	setMark := &rules.Assign{Dest: mark, Value: &rules.Const{Data: []byte{1, 0, 0, 0}}}
	setPrio := &rules.Assign{Dest: &rules.Meta{Key: rules.MetaPriority}, Value: &rules.Const{Data: []byte{1, 0, 0, 0}}}
	dnat := &rules.NAT{Kind: rules.DNAT}
	verdict := func(c rules.VerdictCode, to *rules.Chain) rules.Statement { return &rules.Verdict{Code: c, Chain: to} }

	inet := table(rules.BackendNft, rules.FamilyInet, "fw")
	chain(inet, "raw", base(rules.ChainFilter, rules.Prerouting, -300), do(&rules.Notrack{}), do(verdict(rules.VerdictDrop, nil)))
	chain(inet, "mangle", base(rules.ChainFilter, rules.Prerouting, -150), do(setMark), do(setPrio))
	sub := chain(inet, "sub", nil, do(dnat), do(&rules.Opaque{Name: "x"}))
	chain(inet, "late", base(rules.ChainNAT, rules.Prerouting, 50), do(verdict(rules.VerdictJump, sub)), do(verdict(rules.VerdictGoto, sub)), do(&rules.Match{Left: mark, Right: make([]byte, 4)}, dnat))
	ip := table(rules.BackendIptablesNft, rules.FamilyIPv4, "nat")
	chain(ip, "PREROUTING", base(rules.ChainNAT, rules.Prerouting, -100), do(verdict(rules.VerdictReturn, nil)), do(dnat))
	six := table(rules.BackendNft, rules.FamilyIPv6, "nat")
	chain(six, "pre", base(rules.ChainNAT, rules.Prerouting, -100), do(dnat))
	old := table(rules.BackendIptablesLegacy, rules.FamilyIPv4, "nat")
	chain(old, "PREROUTING", base(rules.ChainNAT, rules.Prerouting, -100), do(&rules.Match{Left: mark, Right: make([]byte, 4)}))
	chain(old, "OUTPUT", base(rules.ChainNAT, rules.Output, -100))
	chain(ip, "OUTPUT", base(rules.ChainNAT, rules.Output, -100))
	chain(ip, "early", base(rules.ChainFilter, rules.Prerouting, -99))
	asleep := table(rules.BackendNft, rules.FamilyIPv4, "asleep")
	asleep.Flags = rules.TableDormant
	chain(asleep, "pre", base(rules.ChainNAT, rules.Prerouting, -100), do(dnat))
	return rs
}

func TestOf(t *testing.T) {
	var got []string
	for _, h := range Of(ruleset()) {
		for _, b := range h.Chains {
			tied := ""
			if len(b.Tied) > 0 {
				tied = fmt.Sprintf(" (%d tied)", len(b.Tied))
			}
			got = append(got, fmt.Sprintf("%s %s %s %s%s", h.Hook, b.Chain.Table.Family, b.Chain.Table.Name, b.Chain.Name, tied))
			for _, r := range b.Rules {
				via := ""
				for _, v := range r.Via {
					via += fmt.Sprintf(" via %d", v.Handle)
				}
				got = append(got, fmt.Sprintf("  %d %s handle %d%s", r.Order, r.Role, r.Handle, via))
			}
		}
	}
	want := []string{
		"prerouting inet fw raw",
		"  1 notrack handle 1",
		"prerouting inet fw mangle",
		"  2 mark handle 3",
		"prerouting ip nat PREROUTING (1 tied)", // the dispatcher, before -99
		"  3 exempt handle 10",
		"  4 nat handle 11",
		"prerouting ip nat PREROUTING (1 tied)",
		"prerouting ip6 nat pre",
		"  5 nat handle 12",
		"prerouting inet fw late",
		"  6 nat handle 5 via 7",
		"  7 unknown handle 6 via 7",
		"  8 nat handle 9",
		"prerouting ip nat early",
		"output ip nat OUTPUT", // of two that let all pass the order is nothing
		"output ip nat OUTPUT",
	}
	// of the two tied chains either may stand first
	if d := cmp.Diff(want, swapTied(got)); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

// swapTied puts the tied chain that has rules first.
func swapTied(lines []string) []string {
	for i := 0; i+1 < len(lines); i++ {
		if strings.HasSuffix(lines[i], "tied)") && lines[i+1] == lines[i] {
			j := i + 2
			for j < len(lines) && strings.HasPrefix(lines[j], " ") {
				j++
			}
			return append(append(append([]string{}, lines[:i+1]...), append(lines[i+2:j:j], lines[i])...), lines[j:]...)
		}
	}
	return lines
}
