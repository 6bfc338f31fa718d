package walk

import (
	"testing"

	"github.com/ntdiag/ntdiag/rules"
)

// BenchmarkHook is the cost of a rule that does not match, in a chain of many.
func BenchmarkHook(b *testing.B) {
	tb := newTable()
	var rs [][]rules.Statement
	for i := range 10000 {
		rs = append(rs, do(dport(uint16(1000+i)), dnat("192.0.2.1")))
	}
	tb.chain(natBase(rules.Prerouting, -100), rs...)
	w := New(&rules.Ruleset{Order: le, Tables: []*rules.Table{tb.Table}})
	p := packet(rules.KnownUint(le, 4, 0))
	b.ReportAllocs()
	for b.Loop() {
		w.Hook(p, rules.Prerouting, Options{})
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/10000, "ns/rule")
}
