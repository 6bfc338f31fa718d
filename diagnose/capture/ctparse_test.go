package capture

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

func sampleFlow() []byte {
	var w builder
	w.nest(ctaTupleOrig, func(in *builder) {
		putTuple(in, ruleTuple(6, "10.0.0.10", "10.0.0.1", 5536, 80))
		in.beU16(3, 9)
	})
	w.nest(ctaTupleReply, func(in *builder) { putTuple(in, ruleTuple(6, "10.0.0.1", "10.0.0.10", 80, 5536)) })
	w.beU32(ctaStatus, 0x18e)
	w.beU32(ctaID, 4021521188)
	w.nest(ctaHelp, func(in *builder) { in.str(1, "ftp") })
	w.nest(ctaTimestamp, func(in *builder) { in.attr(1, be.AppendUint64(nil, 1700000000000000000)) })
	w.nest(ctaCountersOrig, func(in *builder) {
		in.attr(1, be.AppendUint64(nil, 5))
		in.attr(2, be.AppendUint64(nil, 500))
	})
	w.nest(ctaSynproxy, func(in *builder) { in.beU32(1, 77) })
	w.attr(200, []byte{1}) // an attribute of a later kernel
	return w.b
}

func TestParseFlow(t *testing.T) {
	f := host.Flow{Helper: "sip", Mark: 3, Has: host.HasMark}
	if err := ParseFlow(sampleFlow(), &f); err != nil {
		t.Fatal(err)
	}
	want := host.Flow{
		Family: rules.FamilyIPv4, ID: 4021521188, Status: 0x18e, Zone: 9, Helper: "ftp",
		Original: ruleTuple(6, "10.0.0.10", "10.0.0.1", 5536, 80), Reply: ruleTuple(6, "10.0.0.1", "10.0.0.10", 80, 5536),
		Has:  host.HasID | host.HasHelper | host.HasStart | host.HasCounters | host.HasZoneOrig | host.HasSynproxy,
		Orig: host.Counts{Packets: 5, Bytes: 500}, Start: 1700000000000000000, Synproxy: host.Synproxy{ISN: 77},
	}
	if f != want {
		t.Errorf("got  %+v\nwant %+v", f, want)
	}
	if n := testing.AllocsPerRun(100, func() { _ = ParseFlow(sample, &f) }); n != 0 {
		t.Errorf("%v allocations an entry", n)
	}
}

var sample = sampleFlow()

func TestParseFlowMalformed(t *testing.T) {
	var short builder
	short.attr(ctaStatus, []byte{1, 2})
	tests := []struct {
		name    string
		payload []byte
	}{
		{"empty", nil},
		{"status of two bytes", append(sampleFlow(), short.b...)},
		{"cut", sampleFlow()[:len(sampleFlow())-6]},
		{"no reply", func() []byte {
			var w builder
			w.nest(ctaTupleOrig, func(in *builder) { putTuple(in, ruleTuple(6, "10.0.0.10", "10.0.0.1", 1, 2)) })
			return w.b
		}()},
		{"mixed families", func() []byte {
			var w builder
			w.nest(ctaTupleOrig, func(in *builder) { putTuple(in, ruleTuple(6, "10.0.0.10", "::1", 1, 2)) })
			w.nest(ctaTupleReply, func(in *builder) { putTuple(in, ruleTuple(6, "10.0.0.10", "10.0.0.1", 1, 2)) })
			return w.b
		}()},
	}
	for _, tt := range tests {
		var f host.Flow
		if err := ParseFlow(tt.payload, &f); !errors.Is(err, errAttrLength) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func FuzzParseFlow(f *testing.F) {
	f.Add(sampleFlow())
	f.Fuzz(func(t *testing.T, b []byte) {
		var x, y host.Flow
		errX := ParseFlow(b, &x)
		// what the struct held before makes no difference
		y = host.Flow{Helper: "old", Secctx: "old", Mark: 1, Has: 0xffff, Labels: [16]byte{1}}
		errY := ParseFlow(b, &y)
		if (errX == nil) != (errY == nil) {
			t.Fatalf("%v, then %v", errX, errY)
		}
		if errX == nil && x != y {
			t.Errorf("%+v, then %+v", x, y)
		}
		if errX == nil && x.Original.Src.Is4() != x.Reply.Dst.Is4() {
			t.Errorf("mixed families: %+v", x)
		}
	})
}

func ruleTuple(proto uint8, src, dst string, sport, dport uint16) rules.Tuple {
	return rules.Tuple{Proto: proto, Src: netip.MustParseAddr(src), Dst: netip.MustParseAddr(dst), SrcPort: sport, DstPort: dport}
}
