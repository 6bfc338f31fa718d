package redact

import (
	"math/rand/v2"
	"runtime"
	"testing"
)

// A Mapper with a million addresses of each family stays small.
func TestMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("maps two million addresses")
	}
	held := func() uint64 {
		runtime.GC()
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		return s.HeapAlloc
	}
	before := held()
	m := New(testKey(1), nil)
	r := rand.New(rand.NewPCG(1, 2))
	for range 1000000 {
		m.Addr(from4(10<<24 | r.Uint32()>>8))
	}
	four := held()
	for range 1000000 {
		m.Addr(word{0xfd00_0000_0000_0000, r.Uint64()}.addr16())
	}
	six := held()
	runtime.KeepAlive(m)
	for _, n := range []uint64{four - before, six - four} {
		if n > 40<<20 {
			t.Errorf("a million addresses hold %d MiB", n>>20)
		}
	}
	t.Logf("%d MiB for IPv4, %d MiB for IPv6", (four-before)>>20, (six-four)>>20)
}
