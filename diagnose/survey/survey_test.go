package survey

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

func addr(n uint32) netip.Addr {
	return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, n)))
}

// flow is one from src to dst, its source behind nat.
func flow(proto uint8, src, dst, nat netip.AddrPort) host.Flow {
	return host.Flow{
		Family:   rules.FamilyIPv4,
		Original: rules.Tuple{Proto: proto, Src: src.Addr(), SrcPort: src.Port(), Dst: dst.Addr(), DstPort: dst.Port()},
		Reply:    rules.Tuple{Proto: proto, Src: dst.Addr(), SrcPort: dst.Port(), Dst: nat.Addr(), DstPort: nat.Port()},
		Has:      host.HasTimeout, Timeout: 20,
		Status: host.StatusSeenReply | host.StatusConfirmed | host.StatusSrcNATDone | host.StatusSrcNAT | host.StatusDstNATDone,
	}
}

var ap = netip.MustParseAddrPort

func TestSurvey(t *testing.T) {
	s := New([]PortRange{{5000, 5001}})
	add := func(f host.Flow) { s.Add(&f) }
	for i := range uint16(100) {
		add(flow(host.ProtoTCP, netip.AddrPortFrom(addr(0x0a000001+uint32(i)), 40000), ap("192.0.2.1:443"), netip.AddrPortFrom(addr(1), 40000+i)))
	}
	add(flow(host.ProtoTCP, ap("10.0.0.1:300"), ap("192.0.2.1:443"), ap("0.0.0.1:104")))
	add(flow(host.ProtoUDP, ap("10.0.0.1:4000"), ap("192.0.2.1:53"), ap("0.0.0.1:5000")))
	f := flow(host.ProtoUDP, ap("10.0.0.2:4000"), ap("192.0.2.1:53"), ap("0.0.0.1:5001"))
	f.Status &^= host.StatusSeenReply
	add(f)
	f = flow(host.ProtoTCP, ap("10.0.0.2:4000"), ap("192.0.2.2:21"), ap("10.0.0.2:4000"))
	f.Status &^= host.StatusSrcNAT
	f.Timeout = 100000
	add(f)

	if s.Flows != 104 || s.Unreplied != 1 || s.SNAT != 103 || s.Kept != 1 {
		t.Errorf("%d flows, %d unreplied, %d with SNAT of which %d kept their port", s.Flows, s.Unreplied, s.SNAT, s.Kept)
	}
	if d := s.DNS; d.Flows != 2 || d.Unreplied != 1 || d.SNAT != 2 || d.DNAT != 0 || len(d.Examples) != 2 {
		t.Errorf("dns %+v", d)
	}
	free, ranged := s.PortsInUse(9, false), s.PortsInUse(9, true)
	if len(free) != 2 || free[0].Used != 100 || free[0].Error != 0 || free[0].Kept != 1 || free[0].Free != (PortRange{1024, 65535}) ||
		free[1].Used != 1 || free[1].Free != (PortRange{1, 511}) {
		t.Errorf("free %+v", free)
	}
	if len(ranged) != 1 || ranged[0].Used != 2 || ranged[0].Port != 53 || ranged[0].Flow.Original.Dst != addr(0xc0000201) {
		t.Errorf("ranged %+v", ranged)
	}
	if h := s.HelperPorts(); len(h) != 1 || h[0].Helper != "ftp" || h[0].Flows != 1 || h[0].With != 0 {
		t.Errorf("helpers %+v", h)
	}
	if g := s.Groups(); len(g) != 2 || g[0].Proto != host.ProtoTCP || g[0].Flows != 102 || g[0].Timeouts[1] != 101 || g[0].Timeouts[6] != 1 {
		t.Errorf("groups %+v", g)
	}
	if p := s.Ports(1); p[0].Key != (Port{host.ProtoTCP, 443}) || p[0].N != 101 {
		t.Errorf("ports %+v", p)
	}
	if p := s.Destinations(1); p[0].Key != addr(0xc0000201) || p[0].N != 103 || p[0].Error != 0 {
		t.Errorf("destinations %+v", p)
	}
}

// TestTopError: the count of a key lies within what is told, however many keys
// there are.
func TestTopError(t *testing.T) {
	const keep = 64
	top := newTop[uint32](keep)
	r := rand.New(rand.NewPCG(1, 2))
	zipf := rand.NewZipf(r, 1.1, 1, 1<<20)
	counts := map[uint32]uint64{}
	var n uint64
	for ; n < 300_000; n++ {
		k := uint32(zipf.Uint64())
		counts[k]++
		top.add(k)
	}
	if top.cut == 0 || top.cut > n/keep || len(top.m) > 2*keep {
		t.Errorf("error %d of %d, %d keys", top.cut, n, len(top.m))
	}
	for k, want := range counts {
		var got uint64
		if c := top.get(k); c != nil {
			got = c.n
		}
		if got > want || want > got+top.cut {
			t.Fatalf("key %d: %d, counted %d with error %d", k, want, got, top.cut)
		}
	}
	if l := top.largest(1, func(a, b uint32) int { return int(a) - int(b) }); l[0].Key != 0 {
		t.Errorf("largest %+v", l)
	}
}

// TestBounded: a survey holds no more after 200,000 different flows than after
// some thousands, and its examples stay those of their keys.
func TestBounded(t *testing.T) {
	s := New(nil)
	for i := range uint32(200_000) {
		f := flow(host.ProtoUDP, netip.AddrPortFrom(addr(i), 4000), netip.AddrPortFrom(addr(^i), 53), ap("192.0.2.1:4000"))
		s.Add(&f)
	}
	if len(s.samples) > 2*keepPorts+1 || len(s.free.m) > 2*keepPorts || len(s.src.m) > 2*keepAddrs {
		t.Errorf("%d samples, %d and %d keys", len(s.samples), len(s.free.m), len(s.src.m))
	}
	for k := range s.free.m {
		if f := s.samples[s.free.get(k).flow]; f.Reply.Src != k.Dst {
			t.Fatalf("example of %v is %v", k, f.Reply)
		}
	}
}

// BenchmarkAdd is one flow of a table, of 50,000 clients to as many destinations
// behind one address: the kernel takes 3.3 µs to dump one.
func BenchmarkAdd(b *testing.B) {
	const n = 50_000
	r := rand.New(rand.NewPCG(1, 2))
	flows := make([]host.Flow, n)
	for i := range flows {
		proto := []uint8{host.ProtoTCP, host.ProtoTCP, host.ProtoUDP}[i%3]
		src := netip.AddrPortFrom(addr(0x0a000000+r.Uint32N(50_000)), uint16(1024+r.Uint32N(60_000)))
		dst := netip.AddrPortFrom(addr(r.Uint32N(1<<24)), []uint16{443, 80, 53, 8443}[r.IntN(4)])
		flows[i] = flow(proto, src, dst, netip.AddrPortFrom(addr(0xcb007101), src.Port()))
	}
	s := New([]PortRange{{40000, 41000}})
	b.ResetTimer()
	for b.Loop() {
		for i := range flows {
			s.Add(&flows[i])
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/flow")
}
