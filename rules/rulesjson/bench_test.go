package rulesjson_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/nft"
	"github.com/ntdiag/ntdiag/rules/rulesjson"
)

// large is a ruleset of n rules as kube-proxy writes them, and a map of m
// elements from address, protocol and port to a chain.
func large(n, m int) *rules.Ruleset {
	rs := &rules.Ruleset{Order: binary.LittleEndian, Generation: 3}
	t := &rules.Table{Ruleset: rs, Backend: rules.BackendNft, Family: rules.FamilyIPv4, Name: "services", Handle: 1}
	rs.Tables = append(rs.Tables, t)
	for i := range n / 4 {
		c := &rules.Chain{Table: t, Name: fmt.Sprintf("svc-%d", i), Handle: uint64(i + 1)}
		t.Chains = append(t.Chains, c)
		for k := range 4 {
			c.Rules = append(c.Rules, serviceRule(c, i, k))
		}
	}
	set := &rules.Set{
		Table: t, Name: "ports", Flags: rules.SetMap | rules.SetConcat, KeyLen: 12, FieldLens: []int{4, 1, 2}, DataType: rules.DataTypeVerdict,
	}
	t.Sets = append(t.Sets, set)
	for i := range m {
		c := t.Chains[i%len(t.Chains)]
		set.Elements = append(set.Elements, rules.Element{
			Key:     []byte{10, byte(i >> 16), byte(i >> 8), byte(i), 6, 0, 0, 0, 0, 80, 0, 0},
			Verdict: &rules.Verdict{Code: rules.VerdictGoto, Chain: c, ChainName: c.Name},
		})
	}
	set.Prepare()
	rs.PrepareIPSets()
	return rs
}

func serviceRule(c *rules.Chain, i, k int) *rules.Rule {
	data := func(n int) []byte { return bytes.Repeat([]byte{byte(i), byte(k), 0, 8}, n/4) }
	to := []byte{10, 244, byte(i), byte(k)}
	return &rules.Rule{
		Chain: c, Handle: uint64(10*i + k), Position: k + 1, UserData: data(16),
		Comment: fmt.Sprintf("service %d", i),
		Raw: []rules.RawExpr{
			{Name: "payload", Data: data(36)}, {Name: "cmp", Data: data(44)}, {Name: "counter", Data: data(24)},
			{Name: "immediate", Data: data(28)}, {Name: "immediate", Data: data(28)}, {Name: "nat", Data: data(40)},
		},
		Statements: []rules.Statement{
			&rules.Match{Span: rules.Span{0, 1}, Left: &rules.Payload{Base: rules.PayloadNetwork, Off: 16, Len: 4}, Right: to},
			&rules.Counter{Span: rules.Span{2}, Packets: uint64(i), Bytes: uint64(100 * i)},
			&rules.NAT{
				Span: rules.Span{3, 4, 5}, Kind: rules.DNAT, Family: rules.FamilyIPv4, Flags: rules.NATMapIPs | rules.NATProtoSpecified,
				AddrMin: &rules.Const{Data: to}, PortMin: &rules.Const{Data: []byte{0x1f, byte(k)}},
			},
		},
	}
}

// BenchmarkLarge writes and reads 40,000 rules and 100,000 elements by turns
// with what prints them: the ratios are within one run.
func BenchmarkLarge(b *testing.B) {
	rs := large(40000, 100000)
	var doc []byte
	var write, read, text time.Duration
	size := 0
	b.ReportAllocs()
	for b.Loop() {
		begun := time.Now()
		size = len(nft.RulesetText(rs))
		text += time.Since(begun)
		begun = time.Now()
		var err error
		if doc, err = rulesjson.Marshal(rs); err != nil {
			b.Fatal(err)
		}
		write += time.Since(begun)
		begun = time.Now()
		if _, err := rulesjson.Unmarshal(doc); err != nil {
			b.Fatal(err)
		}
		read += time.Since(begun)
	}
	mb := float64(len(doc)) / 1e6 * float64(b.N)
	b.ReportMetric(mb/write.Seconds(), "MB/s-write")
	b.ReportMetric(mb/read.Seconds(), "MB/s-read")
	b.ReportMetric(write.Seconds()/text.Seconds(), "write/text")
	b.ReportMetric(read.Seconds()/text.Seconds(), "read/text")
	b.ReportMetric(float64(len(doc))/float64(size), "size/text")
	b.ReportMetric(float64(len(doc))/1e6, "MB")
}
