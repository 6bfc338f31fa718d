package capture

import (
	"testing"

	"github.com/ntdiag/ntdiag/diagnose/counters"
)

func statsMessage() []byte {
	var w builder
	w.beU32(2, 7)        // found
	w.beU32(13, 1<<32-1) // search_restart
	w.beU32(200, 9)      // of a later kernel
	return append([]byte{0, 0, 0, 3}, w.b...)
}

func TestParseStats(t *testing.T) {
	c, err := parseStats(statsMessage())
	if err != nil {
		t.Fatal(err)
	}
	want := counters.CPU{CPU: 3}
	for k, n := range map[string]uint64{"found": 7, "search_restart": 1<<32 - 1} {
		for i := range counters.Table {
			if counters.Table[i].Name == k {
				want.Values[i], want.Has[i] = n, true
			}
		}
	}
	if c != want {
		t.Errorf("got %+v, want %+v", c, want)
	}
	for _, bad := range [][]byte{nil, {0, 0, 0}, append(statsMessage(), 1, 2, 3), append(statsMessage(), 6, 0, 4, 0, 1, 2)} {
		if _, err := parseStats(bad); err == nil {
			t.Errorf("%x: no error", bad)
		}
	}
}

func FuzzParseStats(f *testing.F) {
	f.Add(statsMessage())
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := parseStats(b)
		if err == nil && (c.CPU < 0 || c.CPU > 0xffff) {
			t.Errorf("cpu %d", c.CPU)
		}
	})
}
