package checks_test

import (
	"testing"

	"github.com/ntdiag/ntdiag/rules"
)

func TestUnreachable(t *testing.T) {
	nft, ip, inet := rules.BackendNft, rules.FamilyIPv4, rules.FamilyInet
	pre := func(prio int32) *rules.BaseChain { return natAt(rules.Prerouting, prio) }
	run(t, "unreachable", []checkCase{
		{"the same condition", func(m *model) {
			m.chain(m.table(nft, ip, "n"), "c", pre(-100), do(proto(6), dport(80), dnat("10.0.0.1")), do(proto(6), dport(80), dnat("10.0.0.2")))
		}, nil, []string{"warning 2: shadowed by handle 1"}},
		{"a part of it", func(m *model) {
			m.chain(m.table(nft, ip, "n"), "c", pre(-100), do(saddr("10.0.0.0/8"), dnat("10.0.0.1")), do(saddr("10.1.2.0/24"), dport(80), dnat("10.0.0.2")), do(saddr("11.0.0.0/8"), dnat("10.0.0.3")))
		}, nil, []string{"warning 2: shadowed by handle 1"}},
		{"two of them together", func(m *model) {
			m.chain(m.table(nft, ip, "n"), "c", pre(-100), do(proto(6), dnat("10.0.0.1")), do(proto(17), dnat("10.0.0.1")),
				do(&rules.InSet{Key: &rules.Meta{Key: rules.MetaL4proto}, Set: &rules.Set{Flags: rules.SetAnonymous, Elements: []rules.Element{{Key: []byte{6}}, {Key: []byte{17}}}}}, dnat("10.0.0.2")))
		}, nil, []string{"warning 3: shadowed by handle 1 and handle 2"}},
		{"a limit takes nothing", func(m *model) {
			m.chain(m.table(nft, ip, "n"), "c", pre(-100), do(proto(6), &rules.Limit{}, dnat("10.0.0.1")), do(proto(6), dnat("10.0.0.2")))
		}, nil, []string{}},
		{"a set that can change", func(m *model) {
			s := &rules.Set{Name: "web", Elements: []rules.Element{{Key: []byte{0, 80}}}}
			key := &rules.Payload{Base: rules.PayloadTransport, Off: 2, Len: 2}
			m.chain(m.table(nft, ip, "n"), "c", pre(-100), do(&rules.InSet{Key: key, Set: s}, dnat("10.0.0.1")), do(dport(80), dnat("10.0.0.2")))
		}, nil, []string{"warning 2: shadowed by handle 1 (as @web is now)"}},
		{"an empty set", func(m *model) {
			key := &rules.Payload{Base: rules.PayloadTransport, Off: 2, Len: 2}
			m.chain(m.table(nft, ip, "n"), "c", pre(-100), do(&rules.InSet{Key: key, Set: &rules.Set{Name: "web"}}, dnat("10.0.0.1")))
		}, nil, []string{"info 1: never matches: the set is empty (as @web is now)"}},
		{"a mark written in between", func(m *model) {
			mark := &rules.Meta{Key: rules.MetaMark}
			one := &rules.Match{Left: mark, Right: []byte{1, 0, 0, 0}}
			m.chain(m.table(nft, ip, "n"), "c", pre(-100), do(one, dnat("10.0.0.1")), do(dport(80), &rules.Assign{Dest: mark, Value: &rules.Const{Data: []byte{1, 0, 0, 0}}}), do(one, dnat("10.0.0.2")))
		}, nil, []string{}},
		{"within the rule", func(m *model) {
			m.chain(m.table(nft, ip, "n"), "c", pre(-100), do(dport(80), dport(81), dnat("10.0.0.1")))
		}, nil, []string{"warning 1: never matches: its conditions exclude each other"}},
		{"against the jump", func(m *model) {
			n := m.table(nft, ip, "n")
			sub := m.chain(n, "web", nil, do(dport(443), dnat("10.0.0.1")))
			m.chain(n, "c", pre(-100), do(dport(80), jump(sub)))
		}, nil, []string{"warning 1: never matches: c handle 2 lets no such packet in"}},
		{"return before it, in a chain of its own", func(m *model) {
			n := m.table(nft, ip, "n")
			sub := m.chain(n, "web", nil, do(dport(80), end(rules.VerdictReturn)), do(end(rules.VerdictDrop)))
			m.chain(n, "c", pre(-100), do(jump(sub)), do(dport(80), dnat("10.0.0.1")), do(dport(81), dnat("10.0.0.2")))
		}, nil, []string{"warning 5: shadowed by web handle 2"}},
		{"an earlier nat chain", func(m *model) {
			n := m.table(nft, ip, "n")
			m.chain(n, "first", pre(-110), do(dport(80), dnat("10.0.0.1")), do(dport(81), end(rules.VerdictAccept)))
			m.chain(m.table(nft, inet, "o"), "second", pre(-100), do(dport(80), dnat("10.0.0.1")), do(dport(81), dnat("10.0.0.2")))
		}, nil, []string{}}, // packets of IPv6 meet it
		{"an earlier nat chain of the family", func(m *model) {
			m.chain(m.table(nft, ip, "n"), "first", pre(-110), do(dport(80), dnat("10.0.0.1")), do(dport(81), end(rules.VerdictAccept)))
			m.chain(m.table(nft, ip, "o"), "second", pre(-100), do(dport(80), dnat("10.0.0.1")), do(dport(81), dnat("10.0.0.2")))
		}, nil, []string{"warning 3: shadowed by ip n first handle 1"}},
		{"a masquerade leaves what has no source", func(m *model) {
			m.chain(m.table(nft, ip, "n"), "first", natAt(rules.Postrouting, 90), do(masquerade()))
			m.chain(m.table(nft, ip, "o"), "second", natAt(rules.Postrouting, 100), do(masquerade()), do(saddr("10.0.0.0/8"), masquerade()))
		}, nil, []string{"warning 2: shadowed by ip n first handle 1, but for packets from 0.0.0.0", "warning 3: shadowed by ip n first handle 1"}},
		{"tables that share a priority", func(m *model) {
			m.chain(m.table(nft, ip, "n"), "c", pre(-100), do(dnat("10.0.0.1")))
			m.chain(m.table(nft, ip, "o"), "c", pre(-100), do(dnat("10.0.0.1")))
		}, nil, []string{}},
		{"an output device before routing", func(m *model) {
			m.chain(m.table(nft, ip, "n"), "c", pre(-100), do(oif("eth0"), dnat("10.0.0.1")))
		}, nil, []string{"info 1: never matches: no such packet comes to this hook"}},
		{"dropped in raw, but rewritten by nothing", func(m *model) {
			n := m.table(nft, ip, "n")
			m.chain(n, "mangle", filterAt(rules.Prerouting, -150), do(dport(80), end(rules.VerdictDrop)))
			m.chain(n, "nat", pre(-100), do(dport(80), dnat("10.0.0.1")))
			m.chain(n, "filter", filterAt(rules.Prerouting, 0), do(dport(80), end(rules.VerdictDrop))) // what dnat made of others
		}, nil, []string{"warning 2: shadowed by mangle handle 1"}},
	})
}
