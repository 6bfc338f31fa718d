package simulate

import (
	"encoding/binary"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/query"
	"github.com/ntdiag/ntdiag/rules"
)

var le = binary.LittleEndian

// gateway is a host between c0 (10.0.0.0/24) and s0 (192.168.1.0/24, and the
// default route), with the chains that build adds.
func gateway(build func(*table)) *host.Snapshot {
	t := &table{Table: &rules.Table{Backend: rules.BackendNft, Family: rules.FamilyIPv4, Name: "t", Handle: 1}}
	build(t)
	s := &host.Snapshot{Order: le, Rules: &rules.Ruleset{Order: le, Tables: []*rules.Table{t.Table}}, Sysctls: map[string]host.Fact[string]{}}
	s.Links = []rules.Link{{Index: 1, Name: "lo", Type: 772}, {Index: 2, Name: "c0", Type: 1}, {Index: 3, Name: "s0", Type: 1}}
	route := func(table uint32, dst string, typ rules.AddrType, oif uint32, via string) {
		r := host.RouteEntry{Family: rules.FamilyIPv4, Table: table, Dst: netip.MustParsePrefix(dst), Type: typ, Oif: oif}
		if via != "" {
			r.Gateway = netip.MustParseAddr(via)
		}
		s.Routes = append(s.Routes, r)
	}
	for i, a := range []string{"127.0.0.1/8", "10.0.0.1/24", "192.168.1.2/24"} {
		p := netip.MustParsePrefix(a)
		s.Addrs = append(s.Addrs, host.Addr{Index: uint32(i + 1), Prefix: p})
		route(255, p.Addr().String()+"/32", rules.AddrLocal, uint32(i+1), "")
		route(254, p.Masked().String(), rules.AddrUnicast, uint32(i+1), "")
	}
	route(254, "0.0.0.0/0", rules.AddrUnicast, 3, "192.168.1.1")
	route(254, "198.51.100.0/24", rules.AddrBlackhole, 0, "")
	for _, dev := range []string{"all", "lo", "c0", "s0"} {
		for k, v := range map[string]string{"rp_filter": "0", "route_localnet": "0", "accept_local": "0", "forwarding": "1", "src_valid_mark": "0"} {
			s.Sysctls["net.ipv4.conf."+dev+"."+k] = host.Known(v)
		}
	}
	s.Prepare()
	return s
}

type table struct{ *rules.Table }

// chain adds a chain; rule n of chain k has handle k*10+n.
func (t *table) chain(base *rules.BaseChain, rs ...[]rules.Statement) *rules.Chain {
	c := &rules.Chain{Table: t.Table, Name: fmt.Sprintf("c%d", len(t.Chains)+1), Handle: uint64(len(t.Chains) + 1), Base: base}
	t.Chains = append(t.Chains, c)
	for i, s := range rs {
		c.Rules = append(c.Rules, &rules.Rule{Chain: c, Handle: c.Handle*10 + uint64(i+1), Position: i + 1, Statements: s})
	}
	return c
}

func base(typ rules.ChainType, h rules.Hook, prio int32) *rules.BaseChain {
	return &rules.BaseChain{Type: typ, Hook: h, Priority: prio, Policy: rules.VerdictAccept}
}

var (
	pre  = func() *rules.BaseChain { return base(rules.ChainNAT, rules.Prerouting, -100) }
	post = func() *rules.BaseChain { return base(rules.ChainNAT, rules.Postrouting, 100) }
)

func do(s ...rules.Statement) []rules.Statement { return s }

func dnat(addr string, port uint16) *rules.NAT {
	n := &rules.NAT{Kind: rules.DNAT, AddrMin: &rules.Const{Data: netip.MustParseAddr(addr).AsSlice()}}
	if port != 0 {
		n.PortMin = &rules.Const{Data: binary.BigEndian.AppendUint16(nil, port)}
	}
	return n
}

func verdict(c rules.VerdictCode) *rules.Verdict { return &rules.Verdict{Code: c} }
func jump(c *rules.Chain) *rules.Verdict {
	return &rules.Verdict{Code: rules.VerdictJump, Chain: c, ChainName: c.Name}
}
func length(op rules.CmpOp, n uint16) *rules.Match {
	// ip length, which compares in network order
	return &rules.Match{Left: &rules.Payload{Base: rules.PayloadNetwork, Off: 2, Len: 2}, Op: op, Right: binary.BigEndian.AppendUint16(nil, n)}
}
func mark(n uint32) *rules.Match {
	return &rules.Match{Left: &rules.Meta{Key: rules.MetaMark}, Op: rules.CmpEq, Right: le.AppendUint32(nil, n)}
}
func invalid() *rules.Match {
	bit := &rules.Bitwise{X: &rules.Ct{Key: rules.CtState, Dir: rules.CtDirNone}, Mask: le.AppendUint32(nil, rules.CtStateInvalid), Xor: make([]byte, 4)}
	return &rules.Match{Left: bit, Op: rules.CmpNeq, Right: make([]byte, 4)}
}
func iifname(name string) *rules.Match {
	b := make([]byte, 16)
	copy(b, name)
	return &rules.Match{Left: &rules.Meta{Key: rules.MetaIifname}, Op: rules.CmpEq, Right: b}
}

// numgenMap is a map from the numbers below n to addresses, the ith key to the
// ith address.
func numgenMap(n uint32, addrs ...string) *rules.MapLookup {
	m := &rules.Set{Flags: rules.SetAnonymous | rules.SetConstant | rules.SetMap, KeyLen: 4, DataLen: 4}
	for i := range n {
		m.Elements = append(m.Elements, rules.Element{Key: le.AppendUint32(nil, i), Data: netip.MustParseAddr(addrs[int(i)%len(addrs)]).AsSlice()})
	}
	return &rules.MapLookup{Key: &rules.Numgen{Random: true, Modulus: n}, Set: m}
}

// outline is one line an outcome: certain or its odds, what becomes of it.
func outline(r *Result) string {
	var b strings.Builder
	list := func(prefix string, all []Outcome) {
		for i := range all {
			o := &all[i]
			b.WriteString(prefix)
			switch {
			case o.Certain:
				b.WriteString("certain ")
			case o.Stated:
				fmt.Fprintf(&b, "%.3f ", o.Probability)
			}
			b.WriteString(string(o.Verdict))
			for _, n := range []*NAT{o.DNAT, o.SNAT} {
				if n != nil {
					fmt.Fprintf(&b, " %s %s %d", n.Kind, n.Text(false), n.Rule.Handle)
				}
			}
			switch {
			case o.By != nil:
				fmt.Fprintf(&b, " by %d", o.By.Handle)
			case o.Chain != nil:
				b.WriteString(" by policy")
			case o.Why != "":
				b.WriteString(": " + o.Why)
			}
			if o.Untracked {
				b.WriteString(" untracked")
			}
			if o.Local {
				b.WriteString(" local")
			} else if o.Out != "" {
				b.WriteString(" out " + o.Out)
			}
			b.WriteByte('\n')
		}
	}
	list("", r.Outcomes)
	list("otherwise ", r.Otherwise)
	if r.More {
		b.WriteString("more\n")
	}
	return b.String()
}

func simulate(t *testing.T, s *host.Snapshot, text string) *Result {
	t.Helper()
	p, err := query.ParsePacket([]string{text})
	if err != nil {
		t.Fatal(err)
	}
	r, err := New(s).Simulate(p)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

const web = "tcp 10.0.0.10:5536 > 10.0.0.1:80"

func TestSimulate(t *testing.T) {
	masquerade := func(t *table) { t.chain(post(), do(&rules.NAT{Kind: rules.Masquerade})) }
	for _, tc := range []struct {
		name   string
		build  func(*table)
		packet string
		want   string
	}{
		{"both rewrites", func(t *table) { t.chain(pre(), do(dnat("192.168.1.80", 8080))); masquerade(t) }, web,
			"certain accept dnat 192.168.1.80:8080 11 masquerade 192.168.1.2 (masquerade, port kept unless taken) 21 out s0\n"},
		{"kube-proxy: one of three", func(t *table) {
			a, b, c := t.chain(nil, do(dnat("192.168.1.81", 0))), t.chain(nil, do(dnat("192.168.1.82", 0))), t.chain(nil, do(dnat("192.168.1.83", 0)))
			t.chain(pre(), do(&rules.Chance{Hits: 1, Of: 3}, jump(a)), do(&rules.Chance{Hits: 1, Of: 2}, jump(b)), do(jump(c)))
		}, web, "0.333 accept dnat 192.168.1.81:80 11 out s0\n0.333 accept dnat 192.168.1.82:80 21 out s0\n0.333 accept dnat 192.168.1.83:80 31 out s0\n"},
		{"a map of random numbers, two of which are one", func(t *table) {
			t.chain(pre(), do(&rules.NAT{Kind: rules.DNAT, AddrMin: numgenMap(3, "192.168.1.81", "192.168.1.82")}))
		}, web, "0.667 accept dnat 192.168.1.81:80 11 out s0\n0.333 accept dnat 192.168.1.82:80 11 out s0\n"},
		{"what states no odds has none", func(t *table) { t.chain(pre(), do(&rules.Limit{Rate: 1, Unit: 1}, dnat("192.168.1.81", 0))) }, web,
			"accept dnat 192.168.1.81:80 11 out s0\naccept local\n"},
		{"an open rule without effect makes no outcome", func(t *table) {
			t.chain(base(rules.ChainFilter, rules.Prerouting, -150), do(&rules.Limit{Rate: 1, Unit: 1}, &rules.Log{}))
			t.chain(pre(), do(dnat("192.168.1.81", 0)))
		}, web, "certain accept dnat 192.168.1.81:80 21 out s0\n"},
		{"ways that end alike are one", func(t *table) {
			a, b := t.chain(nil, do(dnat("192.168.1.81", 0))), t.chain(nil, do(verdict(rules.VerdictReturn)))
			t.chain(pre(), do(&rules.Chance{Hits: 1, Of: 4}, jump(b)), do(jump(a)))
		}, web, "certain accept dnat 192.168.1.81:80 11 out s0\n"},
		{"one length is asked twice", func(t *table) {
			t.chain(pre(), do(length(rules.CmpGt, 100), verdict(rules.VerdictAccept)), do(length(rules.CmpGt, 50), dnat("192.168.1.81", 0)), do(length(rules.CmpGt, 100), dnat("192.168.1.82", 0)))
		}, web, "accept local\naccept dnat 192.168.1.81:80 12 out s0\n"},
		{"a length that was said", func(t *table) { t.chain(pre(), do(length(rules.CmpGt, 100), dnat("192.168.1.81", 0))) }, web + " length 60",
			"certain accept local\n"},
		{"a mark that was not said", func(t *table) { t.chain(pre(), do(mark(7), dnat("192.168.1.81", 0))) }, web,
			"accept local\notherwise accept dnat 192.168.1.81:80 11 out s0\n"},
		{"a mark that was", func(t *table) { t.chain(pre(), do(mark(7), dnat("192.168.1.81", 0))) }, web + " mark 7",
			"certain accept dnat 192.168.1.81:80 11 out s0\n"},
		{"a device that was not said", func(t *table) { t.chain(pre(), do(iifname("c0"), dnat("192.168.1.81", 0))) }, web,
			"accept dnat 192.168.1.81:80 11 out s0\notherwise accept local\n"},
		{"a device that was", func(t *table) { t.chain(pre(), do(iifname("c0"), dnat("192.168.1.81", 0))) }, web + " iif s0",
			"certain accept local\n"},
		{"dropped after the rewrite", func(t *table) {
			t.chain(pre(), do(dnat("192.168.1.81", 0)))
			t.chain(base(rules.ChainFilter, rules.Forward, 0), do(verdict(rules.VerdictDrop)))
		}, web, "certain drop dnat 192.168.1.81:80 11 by 21\n"},
		{"rejected, or dropped by policy", func(t *table) {
			c := base(rules.ChainFilter, rules.Input, 0)
			c.Policy = rules.VerdictDrop
			t.chain(c, do(&rules.Chance{Hits: 1, Of: 10}, &rules.Reject{}))
		}, web, "0.900 drop by policy untracked\n0.100 reject by 11 untracked\n"},
		{"untracked", func(t *table) {
			t.chain(base(rules.ChainFilter, rules.Prerouting, -300), do(&rules.Notrack{}))
			t.chain(pre(), do(dnat("192.168.1.81", 0)))
		}, web, "certain accept untracked local\n"},
		{"invalid: an answer without a question", func(t *table) { t.chain(pre(), do(dnat("192.168.1.81", 0))) }, web + " flags syn,ack",
			"certain accept untracked local\n"},
		{"said to be invalid: it leaves as it is", masquerade, "tcp 10.0.0.10:5536 > 203.0.113.9:80 flags ack state invalid", "certain accept untracked out s0\n"},
		{"invalid, and dropped before the route", func(t *table) {
			t.chain(base(rules.ChainFilter, rules.Prerouting, -150), do(invalid(), verdict(rules.VerdictDrop)))
			masquerade(t)
		}, "tcp 10.0.0.10:5536 > 203.0.113.9:80 state=invalid", "certain drop by 11 untracked\n"},
		{"invalid, and a chain before conntrack takes all for that", func(t *table) {
			t.chain(base(rules.ChainFilter, rules.Prerouting, -300), do(invalid(), verdict(rules.VerdictDrop)))
			masquerade(t)
		}, "udp 10.0.0.10:5536 > 203.0.113.9:80", "certain drop by 11 untracked\n"},
		{"an ICMP error that is invalid has no flow to name", masquerade, "icmp 10.0.0.10 > 203.0.113.9 type 3 code 3 state invalid", "certain accept untracked out s0\n"},
		{"queued", func(t *table) {
			t.chain(base(rules.ChainFilter, rules.Prerouting, 0), do(verdict(rules.VerdictQueue)))
			t.chain(pre(), do(dnat("192.168.1.81", 0)))
		}, web, "accept dnat 192.168.1.81:80 21 out s0\nqueue dnat 192.168.1.81:80 21 by 11\n"},
		{"a blackhole", func(t *table) { t.chain(pre(), do(dnat("198.51.100.7", 0))) }, web,
			"certain drop dnat 198.51.100.7:80 11: the route to 198.51.100.7 is blackhole: dropped without an answer\n"},
		{"sent by the host itself", masquerade, "udp 10.0.0.1:53 > 203.0.113.9:53",
			"certain accept masquerade 192.168.1.2 (masquerade, port kept unless taken) 11 out s0\n"},
		{"to itself", func(t *table) {
			t.chain(base(rules.ChainFilter, rules.Input, 0), do(iifname("lo"), verdict(rules.VerdictDrop)))
		}, "udp 10.0.0.1:53 > 192.168.1.2:53",
			"certain drop by 11 untracked\n"},
		{"to itself, with an entry that is confirmed", func(t *table) {
			bit := &rules.Bitwise{X: &rules.Ct{Key: rules.CtStatus, Dir: rules.CtDirNone}, Mask: []byte{8, 0, 0, 0}, Xor: make([]byte, 4)}
			confirmed := &rules.Match{Left: bit, Op: rules.CmpNeq, Right: make([]byte, 4)}
			t.chain(base(rules.ChainFilter, rules.Postrouting, 0), do(confirmed, verdict(rules.VerdictDrop)))
			t.chain(base(rules.ChainFilter, rules.Prerouting, 0), do(confirmed, verdict(rules.VerdictDrop)))
		}, "udp 10.0.0.1:53 > 192.168.1.2:53",
			"certain drop by 21\n"},
		{"an id chosen by the DNAT", func(t *table) {
			n := dnat("192.168.1.81", 0)
			n.Flags |= rules.NATProtoRandom
			t.chain(pre(), do(n))
		}, "icmp 10.0.0.10 > 10.0.0.1 id 7", "certain accept dnat 192.168.1.81:0-65535 (random port) 11 out s0\n"},
		{"a range of addresses", func(t *table) {
			n := dnat("192.168.1.80", 0)
			n.AddrMax = &rules.Const{Data: netip.MustParseAddr("192.168.1.83").AsSlice()}
			t.chain(pre(), do(n))
		}, web, "certain accept dnat 192.168.1.80-192.168.1.83:80 11 out s0\n"},
		{"a source port that is fixed", func(t *table) {
			t.chain(post(), do(&rules.NAT{Kind: rules.SNAT, AddrMin: &rules.Const{Data: []byte{192, 168, 1, 2}}, PortMin: &rules.Const{Data: []byte{0, 99}}}))
		}, "tcp 10.0.0.10:5 > 203.0.113.9:80", "accept snat 192.168.1.2:99 11 out s0\notherwise drop snat 192.168.1.2:99 11: another flow to the same destination has that source (insert_failed)\n"},
		{"no rule needs conntrack: nat chains are not asked", func(t *table) {
			c := pre()
			c.Policy = rules.VerdictDrop
			t.chain(c)
		}, web, "certain accept untracked local\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, outline(simulate(t, gateway(tc.build), tc.packet))); diff != "" {
				t.Errorf("outcomes (-want +got):\n%s", diff)
			}
		})
	}
}

// The odds of all outcomes together are 1, and with more ways than are gone it
// is said.
func TestBounds(t *testing.T) {
	chances := func(n int) func(*table) {
		return func(t *table) {
			var rs [][]rules.Statement
			for i := range n {
				rs = append(rs, do(&rules.Chance{Hits: 1, Of: 2}, dnat(fmt.Sprintf("192.168.1.%d", 10+i), 0)))
			}
			t.chain(pre(), rs...)
		}
	}
	sum := 0.0
	for _, o := range simulate(t, gateway(chances(30)), web).Outcomes {
		sum += o.Probability
	}
	if math.Abs(sum-1) > 1e-9 {
		t.Errorf("odds add up to %f", sum)
	}
	marks := func(t *table) {
		var rs [][]rules.Statement
		for i := range 20 {
			set := &rules.Assign{Target: rules.AssignMeta, Dest: &rules.Meta{Key: rules.MetaMark}, Value: &rules.Bitwise{
				X: &rules.Meta{Key: rules.MetaMark}, Mask: le.AppendUint32(nil, ^uint32(1<<i)), Xor: le.AppendUint32(nil, 1<<i)}}
			rs = append(rs, do(&rules.Limit{Rate: 1, Unit: 1}, set))
		}
		t.chain(base(rules.ChainFilter, rules.Prerouting, -150), rs...)
	}
	r := simulate(t, gateway(marks), web)
	if !r.More || len(r.Outcomes) != 1 || r.Outcomes[0].Certain {
		t.Errorf("a million ways: %s", outline(r))
	}
}

// Two tables whose chains share a priority can be in either order, and nothing
// says how likely each is.
func TestOrders(t *testing.T) {
	s := gateway(func(t *table) { t.chain(pre(), do(dnat("192.168.1.81", 0))) })
	other := &table{Table: &rules.Table{Backend: rules.BackendNft, Family: rules.FamilyIPv4, Name: "u", Handle: 2}}
	other.chain(pre(), do(&rules.Chance{Hits: 1, Of: 2}, dnat("192.168.1.82", 0)))
	other.Chains[0].Rules[0].Handle = 99
	s.Rules.Tables = append(s.Rules.Tables, other.Table)
	want := "accept dnat 192.168.1.82:80 99 out s0\naccept dnat 192.168.1.81:80 11 out s0\n"
	if diff := cmp.Diff(want, outline(simulate(t, s, web))); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
	other.Chains[0].Rules[0].Statements = other.Chains[0].Rules[0].Statements[1:] // always
	r := simulate(t, s, web)
	if len(r.Outcomes) != 2 || r.Outcomes[0].Certain || r.Outcomes[0].Stated || r.Outcomes[1].Stated {
		t.Errorf("the order of tables decides: %s", outline(r))
	}
}

// The path has every step of every way, in the packet's order.
func TestPath(t *testing.T) {
	r := simulate(t, gateway(func(t *table) {
		a := t.chain(nil, do(dnat("192.168.1.81", 0)))
		t.chain(pre(), do(&rules.Chance{Hits: 1, Of: 2}, jump(a)), do(length(rules.CmpGt, 1000), dnat("192.168.1.82", 0)))
		t.chain(base(rules.ChainFilter, rules.Input, 0), do(&rules.Counter{}))
		t.chain(post(), do(&rules.NAT{Kind: rules.Masquerade}))
	}), web+" length 60")
	var got []string
	for _, s := range r.Path {
		h := uint64(0)
		if s.Rule != nil {
			h = s.Rule.Handle
		}
		got = append(got, fmt.Sprintf("%s %d %s", s.Hook, h, s.Result))
	}
	want := []string{"prerouting 21 unknown", "prerouting 11 match", "prerouting 22 no-match", "prerouting 0 policy",
		"input 31 match", "input 0 policy", "postrouting 41 match"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("path (-want +got):\n%s", diff)
	}
}
