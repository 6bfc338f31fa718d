package capture

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ntdiag/ntdiag/rules"
)

func sampleExpect() []byte {
	var w builder
	w.nest(1, func(in *builder) { putTuple(in, ruleTuple(6, "10.0.0.10", "10.8.2.12", 6100, 21)) })
	w.nest(2, func(in *builder) { putTuple(in, ruleTuple(6, "10.8.2.12", "192.168.1.2", 0, 1031)) })
	w.nest(3, func(in *builder) { putTuple(in, ruleTuple(6, "255.255.255.255", "0.0.0.0", 0, 0)) })
	w.beU32(4, 299)
	w.beU32(5, 77)
	w.str(6, "ftp")
	w.beU16(7, 3)
	w.beU32(8, 5)
	w.beU32(9, 1)
	w.nest(10, func(in *builder) {
		in.beU32(1, 1)
		in.nest(2, func(in *builder) { putTuple(in, ruleTuple(6, "10.0.0.10", "0.0.0.0", 1031, 0)) })
	})
	w.str(11, "nat-follow-master")
	w.attr(99, []byte{1}) // of a later kernel
	return w.b
}

func TestParseExpect(t *testing.T) {
	var x Expectation
	if err := parseExpect(sampleExpect(), &x); err != nil {
		t.Fatal(err)
	}
	want := Expectation{
		Family: rules.FamilyIPv4, ID: 77, Zone: 3, Timeout: 299, Flags: 5, Class: 1, Helper: "ftp", Function: "nat-follow-master",
		Tuple: ruleTuple(6, "10.8.2.12", "192.168.1.2", 0, 1031), Mask: ruleTuple(6, "255.255.255.255", "0.0.0.0", 0, 0),
		Master: ruleTuple(6, "10.0.0.10", "10.8.2.12", 6100, 21),
		NAT:    true, NATDir: Reply, NATTuple: ruleTuple(6, "10.0.0.10", "0.0.0.0", 1031, 0),
	}
	if d := cmp.Diff(want, x, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); d != "" {
		t.Error(d)
	}
	if x.AnySource() || !x.AnyPort() || !cmp.Equal(x.FlagNames(), []string{"PERMANENT", "USERSPACE"}) {
		t.Errorf("any source %v, any port %v, flags %v", x.AnySource(), x.AnyPort(), x.FlagNames())
	}
	short := builder{b: sampleExpect()}
	short.attr(4, []byte{1})
	for name, b := range map[string][]byte{"empty": nil, "cut": sampleExpect()[:30], "timeout of one byte": short.b} {
		if err := parseExpect(b, &x); !errors.Is(err, errAttrLength) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParseExpect(f *testing.F) {
	f.Add(sampleExpect())
	f.Fuzz(func(t *testing.T, b []byte) {
		var x Expectation
		if parseExpect(b, &x) == nil && (!x.Tuple.Dst.IsValid() || !x.Master.Dst.IsValid()) {
			t.Errorf("%+v", x)
		}
		_, _, _ = x.AnySource(), x.AnyPort(), x.FlagNames()
	})
}
