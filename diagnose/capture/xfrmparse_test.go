package capture

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

func TestParseNeighbour(t *testing.T) {
	var w builder
	w.attr(1, []byte{192, 0, 2, 9})
	w.attr(2, []byte{203, 0, 113, 1}) // of a tunnel
	b := ne.AppendUint32([]byte{2, 0, 0, 0}, 7)
	b = append(ne.AppendUint16(b, 0x80), 1<<7, 1)
	got, ok := parseNeighbour(append(b, w.b...))
	if want := (host.Neighbour{Index: 7, Addr: netip.MustParseAddr("192.0.2.9"), State: 0x80, Flags: 1 << 7}); !ok || got != want {
		t.Errorf("%v: %+v", ok, got)
	}
	if _, ok := parseNeighbour(b); ok {
		t.Error("one without an address was taken")
	}
}

// samplePolicy is one for port 443, of which only the upper byte counts.
func samplePolicy(family uint16, tmpl int) []byte {
	b := make([]byte, xfrmPolicyInfo)
	copy(b, []byte{10, 8, 0, 0})
	copy(b[16:], []byte{10, 0, 0, 0})
	be.PutUint16(b[32:], 443)
	be.PutUint16(b[34:], 0xff00)
	be.PutUint16(b[36:], 80) // of no weight
	ne.PutUint16(b[40:], family)
	b[42], b[43], b[44] = 16, 24, 6
	b[160], b[161] = 4, 1
	w := builder{b: b}
	w.attr(5, make([]byte, tmpl))
	return w.b
}

func TestParseXfrmPolicy(t *testing.T) {
	got, ok := parseXfrmPolicy(samplePolicy(2, xfrmTmpl))
	want := host.XfrmPolicy{
		Family: rules.FamilyIPv4, Src: netip.MustParsePrefix("10.0.0.0/24"), Dst: netip.MustParsePrefix("10.8.0.0/16"),
		DstPort: 443 & 0xff00, Proto: 6, Dir: 4, Action: 1, Templates: []host.XfrmTemplate{{}},
	}
	if d := cmp.Diff(want, got, byComparable...); !ok || d != "" {
		t.Errorf("%v: %s", ok, d)
	}
	if p, ok := parseXfrmPolicy(samplePolicy(0, xfrmTmpl)); !ok || p.Src.IsValid() {
		t.Errorf("one of a socket: %v %+v", ok, p)
	}
	for name, b := range map[string][]byte{
		"cut":              samplePolicy(2, 0)[:xfrmPolicyInfo-1],
		"half a template":  samplePolicy(2, xfrmTmpl/2),
		"of no family":     samplePolicy(28, 0),
		"a prefix of /200": func() []byte { b := samplePolicy(2, 0); b[42] = 200; return b }(),
	} {
		if p, ok := parseXfrmPolicy(b); ok {
			t.Errorf("%s: %+v", name, p)
		}
	}
}

func FuzzParseXfrm(f *testing.F) {
	f.Add(samplePolicy(2, xfrmTmpl))
	f.Add(samplePolicy(10, 2*xfrmTmpl))
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, ok := parseXfrmPolicy(b); ok && p.Family != 0 && !(p.Src.IsValid() && p.Dst.IsValid()) {
			t.Errorf("%+v", p)
		}
		if n, ok := parseNeighbour(b); ok && !n.Addr.IsValid() {
			t.Errorf("%+v", n)
		}
	})
}
