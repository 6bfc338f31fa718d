package invalid

import (
	"context"
	"net/netip"
	"testing"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

// masqueraded is a table of n entries that leave by one address.
type masqueraded struct{ n int }

func (m masqueraded) Count() (n, max uint64, err error) { return uint64(m.n), uint64(m.n), nil }

func (m masqueraded) Get(context.Context, rules.Tuple, capture.Direction, rules.Family, uint16) (*host.Flow, error) {
	return nil, capture.ErrNotFound
}

func (m masqueraded) Flows(_ context.Context, _ capture.Filter, fn func(*host.Flow) error) (capture.FlowsInfo, error) {
	var f host.Flow
	to, out := netip.MustParseAddr("203.0.113.9"), netip.MustParseAddr("192.168.1.2")
	for i := range m.n {
		a := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		f.Original = rules.Tuple{Proto: 6, Src: a, Dst: to, SrcPort: uint16(i), DstPort: 80}
		f.Reply = rules.Tuple{Proto: 6, Src: to, Dst: out, SrcPort: 80, DstPort: uint16(i)}
		if err := fn(&f); err != nil {
			return capture.FlowsInfo{}, err
		}
	}
	return capture.FlowsInfo{Count: m.n}, nil
}

// BenchmarkFind looks for 2,000 flows in a table of a million, which nothing of
// is gathered.
func BenchmarkFind(b *testing.B) {
	tally := NewTally()
	var m Message
	for i := range 2000 {
		parse(b, &m, i%200, i)
		tally.Add(&m, 1)
	}
	flows := tally.Groups()[0].Flows()
	const entries = 1_000_000
	b.ReportAllocs()
	for b.Loop() {
		if _, t, err := Find(b.Context(), masqueraded{entries}, flows); err != nil || t.Entries != entries {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/entries, "ns/entry")
}
