package checks_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ntdiag/ntdiag/diagnose/checks"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/order"
	"github.com/ntdiag/ntdiag/rules"
)

// model is a ruleset being made: chains get handles in order, and rules
// everywhere their own.
type model struct {
	rs   *rules.Ruleset
	last uint64
}

func newModel() *model { return &model{rs: &rules.Ruleset{Order: binary.LittleEndian}} }

func (m *model) table(b rules.Backend, f rules.Family, name string) *rules.Table {
	t := &rules.Table{Ruleset: m.rs, Backend: b, Family: f, Name: name}
	if b != rules.BackendIptablesLegacy {
		t.Handle = uint64(len(m.rs.Tables) + 1)
	}
	m.rs.Tables = append(m.rs.Tables, t)
	return t
}

func (m *model) chain(t *rules.Table, name string, b *rules.BaseChain, rs ...[]rules.Statement) *rules.Chain {
	c := &rules.Chain{Table: t, Name: name, Handle: uint64(len(t.Chains) + 1), Base: b}
	t.Chains = append(t.Chains, c)
	for i, s := range rs {
		r := &rules.Rule{Chain: c, Position: i + 1, Statements: s}
		if t.Backend != rules.BackendIptablesLegacy {
			m.last++
			r.Handle = m.last
		}
		c.Rules = append(c.Rules, r)
	}
	return c
}

func natAt(h rules.Hook, prio int32) *rules.BaseChain {
	return &rules.BaseChain{Type: rules.ChainNAT, Hook: h, Priority: prio, Policy: rules.VerdictAccept}
}

func filterAt(h rules.Hook, prio int32) *rules.BaseChain {
	return &rules.BaseChain{Type: rules.ChainFilter, Hook: h, Priority: prio, Policy: rules.VerdictAccept}
}

func do(s ...rules.Statement) []rules.Statement { return s }

func proto(n byte) rules.Statement {
	return &rules.Match{Left: &rules.Meta{Key: rules.MetaL4proto}, Right: []byte{n}}
}

func dport(n uint16) rules.Statement {
	return &rules.Match{Left: &rules.Payload{Base: rules.PayloadTransport, Off: 2, Len: 2}, Right: binary.BigEndian.AppendUint16(nil, n)}
}

func saddr(s string) rules.Statement {
	p := netip.MustParsePrefix(s)
	mask := binary.BigEndian.AppendUint32(nil, ^uint32(0)<<(32-p.Bits()))
	return &rules.Match{Left: &rules.Bitwise{X: &rules.Payload{Base: rules.PayloadNetwork, Off: 12, Len: 4}, Mask: mask, Xor: make([]byte, 4)}, Right: p.Addr().AsSlice()}
}

func iif(name string) rules.Statement { return device(rules.MetaIifname, name) }
func oif(name string) rules.Statement { return device(rules.MetaOifname, name) }

func device(k rules.MetaKey, name string) rules.Statement {
	return &rules.Match{Left: &rules.Meta{Key: k}, Right: append([]byte(name), make([]byte, 16-len(name))...)}
}

func dnat(to string) rules.Statement {
	return &rules.NAT{Kind: rules.DNAT, AddrMin: &rules.Const{Data: netip.MustParseAddr(to).AsSlice()}}
}

func masquerade() rules.Statement             { return &rules.NAT{Kind: rules.Masquerade} }
func hits(n uint64) rules.Statement           { return &rules.Counter{Packets: n} }
func end(c rules.VerdictCode) rules.Statement { return &rules.Verdict{Code: c} }
func jump(c *rules.Chain) rules.Statement {
	return &rules.Verdict{Code: rules.VerdictJump, Chain: c, ChainName: c.Name}
}

// found is every finding of one check, as `warning 4: text`; 0 for the whole.
func found(m *model, check string, links ...rules.Link) []string {
	s := &host.Snapshot{Rules: m.rs, Order: binary.LittleEndian, Links: links}
	s.Prepare()
	out := []string{}
	for _, f := range checks.Run(s, order.Of(m.rs)) {
		if f.Check != check {
			continue
		}
		var at uint64
		if f.Rule != nil {
			at = f.Rule.Handle
		}
		out = append(out, fmt.Sprintf("%s %d: %s", f.Severity, at, strings.Join(append([]string{f.Text}, f.More...), "; ")))
	}
	return out
}

// checkCase is one ruleset, and what a check says of it.
type checkCase struct {
	name  string
	make  func(m *model)
	links []rules.Link
	want  []string
}

func run(t *testing.T, check string, cases []checkCase) {
	t.Helper()
	if !slices.ContainsFunc(checks.All, func(c checks.Check) bool { return c.Name == check && c.Doc != "" }) {
		t.Fatalf("no check %s, or without a word on it", check)
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			m := newModel()
			c.make(m)
			if d := cmp.Diff(c.want, found(m, check, c.links...)); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
		})
	}
}
