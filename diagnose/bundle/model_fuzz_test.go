package bundle

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/explain"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/modeldiff"
)

// slow is how long a document may take: what takes no bounded time takes far
// longer.
const slow = 20 * time.Second

// FuzzDecodeState: whatever a document is, it is decoded or refused; what is
// decoded answers, and is the same when it is written and read again.
func FuzzDecodeState(f *testing.F) {
	for seed := range uint64(20) {
		fill := &filler{rnd: rand.New(rand.NewPCG(seed, 2))}
		s := new(State)
		fill.fill(reflect.ValueOf(s).Elem())
		var b bytes.Buffer
		if err := EncodeState(&b, s); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	flow := host.Flow{Family: rules.FamilyIPv4, Original: tuple("10.0.0.10", "10.0.0.1"), Reply: tuple("192.168.1.80", "192.168.1.2")}
	f.Fuzz(func(t *testing.T, b []byte) {
		begun := time.Now()
		s, err := DecodeState(bytes.NewReader(b))
		if err != nil {
			return
		}
		explain.New(s.Snapshot).Explain(&flow, explain.Options{})
		var twice bytes.Buffer
		if err := EncodeState(&twice, s); err != nil {
			t.Fatal(err)
		}
		got, err := DecodeState(bytes.NewReader(twice.Bytes()))
		if err != nil {
			t.Fatalf("%v\n%s", err, twice.Bytes())
		}
		if d := modeldiff.First(s, got); d != "" {
			t.Fatal(d)
		}
		if d := time.Since(begun); d > slow {
			t.Errorf("took %v", d)
		}
	})
}

func tuple(src, dst string) rules.Tuple {
	return rules.Tuple{Proto: 6, Src: netip.MustParseAddr(src), Dst: netip.MustParseAddr(dst), SrcPort: 1, DstPort: 80}
}
