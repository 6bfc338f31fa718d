package capture

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

// numbered is entry n of many.
func numbered(n int) host.Flow {
	a := netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})
	return host.Flow{
		Family: rules.FamilyIPv4, Has: host.HasID, ID: uint32(n) * 2654435761,
		Original: rules.Tuple{Proto: 6, Src: a, Dst: netip.MustParseAddr("192.0.2.1"), SrcPort: uint16(n), DstPort: 443},
	}
}

// bucketDump is what ctnetlink_dump_table gives of buckets: where the entry at
// which a datagram ended is gone, the bucket begins anew.
func bucketDump(r *rand.Rand, buckets, longest, datagram int) (given []int) {
	next, room := 0, datagram
	for range buckets {
		var chain []int
		for range r.IntN(longest + 1) {
			chain = append(chain, next)
			next++
		}
		for i := 0; i < len(chain); i++ {
			if room > 0 {
				given = append(given, chain[i])
				room--
				continue
			}
			room = datagram
			if r.IntN(3) == 0 { // chain[i] was to come first, and is gone
				chain = append(chain[:i:i], chain[i+1:]...)
				chain = append([]int{next}, chain...) // a new one comes at the head
				next++
				i = -1
				continue
			}
			i--
		}
	}
	return given
}

func TestRecentFindsWhatComesAgain(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		given := bucketDump(r, 2000, 40, 20+r.IntN(100))
		var w recent
		out := map[int]bool{}
		repeated := 0
		for _, n := range given {
			f := numbered(n)
			again := w.again(&f)
			if again != out[n] {
				t.Fatalf("seed %d: entry %d: again is %v, it came before is %v", seed, n, again, out[n])
			}
			if again {
				repeated++
			}
			out[n] = true
		}
		if repeated == 0 {
			t.Errorf("seed %d: nothing came again", seed)
		}
	}
}

// TestRecentComparesWhole: entries that share an id, or all but the zone, are
// not the same.
func TestRecentComparesWhole(t *testing.T) {
	one := numbered(1)
	differ := map[string]func(f *host.Flow){
		"id":                func(f *host.Flow) { f.ID++ },
		"zone":              func(f *host.Flow) { f.Zone = 7 },
		"zone of direction": func(f *host.Flow) { f.Has |= host.HasZoneOrig },
		"source":            func(f *host.Flow) { f.Original.Src = netip.MustParseAddr("10.9.9.9") },
		"destination":       func(f *host.Flow) { f.Original.Dst = netip.MustParseAddr("10.9.9.9") },
		"protocol":          func(f *host.Flow) { f.Original.Proto = 17 },
		"source port":       func(f *host.Flow) { f.Original.SrcPort++ },
		"destination port":  func(f *host.Flow) { f.Original.DstPort++ },
	}
	var w recent
	w.again(&one)
	for what, change := range differ {
		f := one
		change(&f)
		if w.again(&f) {
			t.Errorf("another %s: taken for the same", what)
		}
		if !w.again(&f) {
			t.Errorf("another %s: not known again", what)
		}
	}
	// what an entry holds beside, and what changes while it lives, does not matter
	one.Timeout, one.TCPState, one.Mark, one.Has = 1, 7, 9, one.Has|host.HasMark
	if !w.again(&one) {
		t.Error("an entry that changed is not known again")
	}
}

// TestRecentWindow: an entry is known again for as long as the window is.
func TestRecentWindow(t *testing.T) {
	for _, tt := range []struct {
		others int
		want   bool
	}{{0, true}, {79, true}, {window - 1, true}, {window, false}, {10 * window, false}} {
		var w recent
		first := numbered(1 << 20)
		w.again(&first)
		for n := range tt.others {
			f := numbered(n)
			if w.again(&f) {
				t.Fatalf("entry %d came once", n)
			}
		}
		if got := w.again(&first); got != tt.want {
			t.Errorf("after %d others: %v", tt.others, got)
		}
	}
}

func BenchmarkRecent(b *testing.B) {
	b.ReportAllocs()
	var w recent
	flows := make([]host.Flow, 1<<14)
	for i := range flows {
		flows[i] = numbered(i)
	}
	for i := 0; b.Loop(); i++ {
		f := &flows[i&(len(flows)-1)]
		f.ID += 1 << 20
		if w.again(f) {
			b.Fatal("came once")
		}
	}
}
