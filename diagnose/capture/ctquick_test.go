package capture

import (
	"math/rand/v2"
	"testing"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

// usualFlow is an entry as kernels write one of TCP, with counters and its start.
func usualFlow(orig, reply rules.Tuple) []byte {
	counts := func(in *builder) {
		in.attr(1, be.AppendUint64(nil, 5))
		in.attr(2, be.AppendUint64(nil, 500))
	}
	var w builder
	w.nest(ctaTupleOrig, func(in *builder) { putTuple(in, orig) })
	w.nest(ctaTupleReply, func(in *builder) { putTuple(in, reply) })
	w.beU32(ctaStatus, 0x18e)
	w.beU32(ctaTimeout, 3600)
	w.nest(ctaCountersOrig, counts)
	w.nest(ctaCountersReply, counts)
	w.nest(ctaTimestamp, func(in *builder) { in.attr(1, be.AppendUint64(nil, 1700000000000000000)) })
	w.nest(ctaProtoinfo, func(in *builder) {
		in.nest(protoTCP, func(in *builder) {
			in.u8(1, 3)
			in.u8(2, 7)
			in.u8(3, 9)
			in.attr(4, []byte{0x23, 0})
			in.attr(5, []byte{0x22, 0xff})
		})
	})
	w.beU32(ctaMark, 0)
	w.beU32(ctaID, 4021521188)
	w.beU32(ctaUse, 1)
	return w.b
}

func usualFlows() [][]byte {
	return [][]byte{
		usualFlow(ruleTuple(6, "10.0.0.10", "10.0.0.1", 5536, 80), ruleTuple(6, "10.0.0.1", "192.168.1.2", 80, 5536)),
		usualFlow(ruleTuple(6, "fd00::10", "::ffff:10.1.2.3", 5536, 80), ruleTuple(6, "::ffff:10.1.2.3", "fd00::10", 80, 1)),
	}
}

// sameAsPlain tells in which way the quick reading of b differs from the plain
// one, "" when in none.
func sameAsPlain(b []byte) string {
	var quick, plain host.Flow
	errQuick, errPlain := parseFlow(b, &quick, &quickAttrs), parseFlow(b, &plain, &attrRows{})
	switch {
	case (errQuick == nil) != (errPlain == nil) || errQuick != nil && errQuick.Error() != errPlain.Error():
		return "one error only"
	case errQuick == nil && quick != plain:
		return "another flow"
	}
	return ""
}

// TestQuickRowsAreTaken: what is usual is read by the quick rows, all of it.
func TestQuickRowsAreTaken(t *testing.T) {
	for _, b := range usualFlows() {
		if d := sameAsPlain(b); d != "" {
			t.Errorf("%s: %x", d, b)
		}
		var f host.Flow
		a := attrs{b: b}
		for a.next() {
			if q := quickAttrs[a.typ]; q != nil && !q(&f, a.val) {
				t.Errorf("%s is not read quickly: %x", flowAttrNames[a.typ], a.val)
			}
		}
	}
}

// TestQuickIsPlain changes usual entries at random, and compares.
func TestQuickIsPlain(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	usual := append(usualFlows(), sampleFlow())
	good := 0
	for range 200_000 {
		b := append([]byte(nil), usual[r.IntN(len(usual))]...)
		for range 1 + r.IntN(3) {
			b[r.IntN(len(b))] = byte(r.IntN(256))
		}
		if d := sameAsPlain(b); d != "" {
			t.Fatalf("%s: %x", d, b)
		}
		var f host.Flow
		if ParseFlow(b, &f) == nil {
			good++
		}
	}
	if good < 1000 {
		t.Errorf("%d only of the changed entries could be read", good)
	}
}

func BenchmarkParseFlow(b *testing.B) {
	sample := usualFlows()[0]
	for _, way := range []struct {
		name  string
		quick *attrRows
	}{{"quick", &quickAttrs}, {"plain", &attrRows{}}} {
		b.Run(way.name, func(b *testing.B) {
			b.ReportAllocs()
			var f host.Flow
			for b.Loop() {
				if err := parseFlow(sample, &f, way.quick); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
