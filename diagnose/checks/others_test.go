package checks_test

import (
	"testing"

	"github.com/ntdiag/ntdiag/rules"
)

var twoLinks = []rules.Link{{Index: 1, Name: "lo"}, {Index: 2, Name: "eth0"}}

func TestNeverHit(t *testing.T) {
	run(t, "never-hit", []checkCase{
		{"beside one that counted", func(m *model) {
			m.chain(m.table(rules.BackendNft, rules.FamilyIPv4, "n"), "c", natAt(rules.Prerouting, -100),
				do(dport(80), hits(3), dnat("10.0.0.1")), do(dport(81), hits(0), dnat("10.0.0.2")), do(dport(82), dnat("10.0.0.2")))
		}, nil, []string{"info 2: never hit"}},
		{"nothing has passed", func(m *model) {
			m.chain(m.table(rules.BackendNft, rules.FamilyIPv4, "n"), "c", natAt(rules.Prerouting, -100), do(dport(81), hits(0), dnat("10.0.0.2")))
		}, nil, []string{}},
		{"the policy counted", func(m *model) {
			b := natAt(rules.Prerouting, -100)
			b.HasCounter, b.Packets = true, 9
			m.chain(m.table(rules.BackendIptablesNft, rules.FamilyIPv4, "nat"), "PREROUTING", b, do(dport(81), hits(0), dnat("10.0.0.2")))
		}, nil, []string{"info 1: never hit"}},
	})
}

func TestNoEntry(t *testing.T) {
	run(t, "no-entry", []checkCase{
		{"nothing jumps to it", func(m *model) {
			m.chain(m.table(rules.BackendNft, rules.FamilyIPv4, "n"), "spare", nil, do(dnat("10.0.0.1")), do(end(rules.VerdictReturn)))
		}, nil, []string{"warning 1: no packet comes here: no rule jumps to the chain"}},
		{"a program's spare chain", func(m *model) {
			m.chain(m.table(rules.BackendIptablesNft, rules.FamilyIPv4, "nat"), "ISTIO_REDIRECT", nil, do(dnat("10.0.0.1")))
		}, nil, []string{"info 1: no packet comes here: no rule jumps to the chain"}},
		{"only a dead rule jumps to it", func(m *model) {
			n := m.table(rules.BackendNft, rules.FamilyIPv4, "n")
			sub := m.chain(n, "sub", nil, do(dnat("10.0.0.1")))
			m.chain(n, "c", natAt(rules.Prerouting, -100), do(dport(80), dport(81), jump(sub)))
		}, nil, []string{"warning 1: no packet comes here: only ip n c handle 2 jumps to the chain, and no packet meets that"}},
		{"a dormant table", func(m *model) {
			n := m.table(rules.BackendNft, rules.FamilyIPv4, "n")
			n.Flags = rules.TableDormant
			m.chain(n, "c", natAt(rules.Prerouting, -100), do(dnat("10.0.0.1")))
		}, nil, []string{"warning 1: no packet comes here: the table is dormant", "warning 0: table ip n is dormant: 1 NAT rule does nothing"}},
		{"entered", func(m *model) {
			n := m.table(rules.BackendNft, rules.FamilyIPv4, "n")
			sub := m.chain(n, "sub", nil, do(dnat("10.0.0.1")))
			m.chain(n, "c", natAt(rules.Prerouting, -100), do(dport(80), jump(sub)))
		}, nil, []string{}},
	})
}

func TestNoDevice(t *testing.T) {
	bound := func(m *model) {
		n := m.table(rules.BackendNft, rules.FamilyIPv4, "n")
		sub := m.chain(n, "sub", nil, do(dnat("10.0.0.1")))
		m.chain(n, "c", natAt(rules.Prerouting, -100), do(iif("eth0"), dport(80), dnat("10.0.0.1")), do(iif("wan0"), dnat("10.0.0.1")), do(iif("wan1"), jump(sub)))
	}
	run(t, "no-device", []checkCase{
		{"names", bound, twoLinks, []string{"info 3: no device wan0", "info 1: no device wan1"}},
		{"links were not read", bound, nil, []string{}},
		{"a chain bound to one", func(m *model) {
			b := &rules.BaseChain{Type: rules.ChainFilter, Hook: rules.Ingress, Devices: []rules.Device{{Name: "eth0"}, {Name: "wan0"}, {Name: "wan", Prefix: true}}}
			m.chain(m.table(rules.BackendNft, rules.FamilyNetdev, "n"), "in", b)
		}, twoLinks, []string{"info 0: netdev n in is bound to device wan0, which does not exist"}},
	})
}

func TestSamePriority(t *testing.T) {
	two := func(b1, b2 rules.Backend, first, second []rules.Statement) func(*model) {
		return func(m *model) {
			m.chain(m.table(b1, rules.FamilyIPv4, "n"), "c", natAt(rules.Prerouting, -100), first)
			m.chain(m.table(b2, rules.FamilyIPv4, "o"), "d", natAt(rules.Prerouting, -100), second)
		}
	}
	nft, legacy := rules.BackendNft, rules.BackendIptablesLegacy
	run(t, "same-priority", []checkCase{
		{"they want one packet", two(nft, nft, do(dport(80), dnat("10.0.0.1")), do(saddr("10.0.0.0/8"), dnat("10.0.0.2"))), nil,
			[]string{"warning 0: prerouting, priority -100: which of ip o d and ip n c runs first depends on which was made last; ip o d handle 2 and ip n c handle 1 can want the same packet: the first of them takes it"}},
		{"they do not", two(nft, nft, do(dport(80), dnat("10.0.0.1")), do(dport(81), dnat("10.0.0.2"))), nil,
			[]string{"info 0: prerouting, priority -100: which of ip o d and ip n c runs first depends on which was made last"}},
		{"two backends", two(nft, legacy, do(dport(80), dnat("10.0.0.1")), do(dnat("10.0.0.2"))), nil,
			[]string{"warning 0: prerouting, priority -100: which of ip n c and ip o d (legacy) runs first depends on which was made last; ip n c handle 1 and ip o d (legacy) rule 1 can want the same packet: the first of them takes it"}},
		{"at two hooks they are one finding", func(m *model) {
			for _, name := range []string{"n", "o"} {
				t := m.table(nft, rules.FamilyIPv4, name)
				m.chain(t, "c", natAt(rules.Prerouting, -100), do(dport(80), dnat("10.0.0.1")))
				m.chain(t, "d", natAt(rules.Output, -100), do(dport(81), dnat("10.0.0.1")))
			}
		}, nil, []string{"warning 0: chains at one hook and priority: which runs first depends on which was made last; " +
			"prerouting, priority -100: ip o c and ip n c; ip o c handle 3 and ip n c handle 1 can want the same packet: the first of them takes it; " +
			"output, priority -100: ip o d and ip n d; ip o d handle 4 and ip n d handle 2 can want the same packet: the first of them takes it"}},
		{"in one table the order is known", func(m *model) {
			n := m.table(nft, rules.FamilyIPv4, "n")
			m.chain(n, "c", natAt(rules.Prerouting, -100), do(dnat("10.0.0.1")))
			m.chain(n, "d", natAt(rules.Prerouting, -100), do(dnat("10.0.0.1")))
		}, nil, []string{}},
		{"of two families they are not one hook's", func(m *model) {
			m.chain(m.table(nft, rules.FamilyIPv4, "n"), "c", natAt(rules.Prerouting, -100), do(dnat("10.0.0.1")))
			m.chain(m.table(nft, rules.FamilyIPv6, "n"), "c", natAt(rules.Prerouting, -100), do(masquerade()))
		}, nil, []string{}},
	})
}

func TestExemption(t *testing.T) {
	run(t, "exemption", []checkCase{
		{"a later chain takes it", func(m *model) {
			m.chain(m.table(rules.BackendNft, rules.FamilyIPv4, "n"), "c", natAt(rules.Postrouting, 90), do(saddr("10.1.0.0/16"), end(rules.VerdictAccept)), do(end(rules.VerdictReturn)))
			m.chain(m.table(rules.BackendNft, rules.FamilyIPv4, "o"), "d", natAt(rules.Postrouting, 100), do(saddr("10.2.0.0/16"), masquerade()), do(saddr("10.0.0.0/8"), masquerade()))
		}, nil, []string{"warning 1: accept does not keep the packet from ip o d handle 4"}},
		{"no later one wants it", func(m *model) {
			m.chain(m.table(rules.BackendNft, rules.FamilyIPv4, "n"), "c", natAt(rules.Postrouting, 90), do(saddr("10.1.0.0/16"), end(rules.VerdictAccept)))
			m.chain(m.table(rules.BackendNft, rules.FamilyIPv4, "o"), "d", natAt(rules.Postrouting, 100), do(saddr("10.2.0.0/16"), masquerade()))
		}, nil, []string{}},
		{"the other chain is earlier", func(m *model) {
			m.chain(m.table(rules.BackendNft, rules.FamilyIPv4, "n"), "c", natAt(rules.Postrouting, 110), do(saddr("10.1.0.0/16"), end(rules.VerdictAccept)))
			m.chain(m.table(rules.BackendNft, rules.FamilyIPv4, "o"), "d", natAt(rules.Postrouting, 100), do(saddr("10.0.0.0/8"), masquerade()))
		}, nil, []string{}},
	})
}

func TestBackends(t *testing.T) {
	both := func(a, b rules.Backend, prio int32) func(*model) {
		return func(m *model) {
			m.chain(m.table(a, rules.FamilyIPv4, "n"), "c", natAt(rules.Prerouting, -100), do(dnat("10.0.0.1")))
			m.chain(m.table(b, rules.FamilyIPv4, "nat"), "PREROUTING", natAt(rules.Prerouting, prio), do(dport(80), dnat("10.0.0.1")))
		}
	}
	run(t, "backends", []checkCase{
		{"one", both(rules.BackendNft, rules.BackendNft, -90), nil, []string{}},
		{"both of nf_tables", both(rules.BackendNft, rules.BackendIptablesNft, -90), nil,
			[]string{"info 0: NAT rules of iptables-nft and nft are loaded at once; prerouting: ip n c, then ip nat PREROUTING"}},
		{"legacy beside nft", both(rules.BackendNft, rules.BackendIptablesLegacy, -100), nil,
			[]string{"warning 0: NAT rules of iptables-legacy and nft are loaded at once; prerouting: ip n c or ip nat PREROUTING (legacy)"}},
		{"iptables in both forms, NAT in one", func(m *model) {
			m.chain(m.table(rules.BackendIptablesNft, rules.FamilyIPv4, "nat"), "PREROUTING", natAt(rules.Prerouting, -100), do(dnat("10.0.0.1")))
			m.chain(m.table(rules.BackendIptablesLegacy, rules.FamilyIPv4, "filter"), "INPUT", filterAt(rules.Input, 0), do(end(rules.VerdictDrop)))
		}, nil, []string{"warning 0: iptables is loaded in both forms, iptables-nft and iptables-legacy: packets meet the rules of both"}},
	})
}
