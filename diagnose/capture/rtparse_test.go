package capture

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

// multipathRoute is default via 10.0.0.9 dev 2, and dev 3 dead, in table 1000.
func multipathRoute() []byte {
	b := []byte{2, 0, 0, 0, 252, 3, 0, 1, 0, 0, 0, 0}
	hop := func(flags byte, oif uint32, gw []byte) []byte {
		var w builder
		if gw != nil {
			w.attr(5, gw)
		}
		h := ne.AppendUint16(nil, uint16(8+len(w.b)))
		h = ne.AppendUint32(append(h, flags, 0), oif)
		return append(h, w.b...)
	}
	var w builder
	w.hostU32(15, 1000)
	w.attr(9, append(hop(0, 2, []byte{10, 0, 0, 9}), hop(1, 3, nil)...))
	return append(b, w.b...)
}

func TestParseRoute(t *testing.T) {
	got, ok := parseRoute(multipathRoute())
	base := host.RouteEntry{Family: rules.FamilyIPv4, Table: 1000, Dst: netip.MustParsePrefix("0.0.0.0/0"), Type: rules.AddrUnicast, Proto: 3, Multipath: true}
	first, second := base, base
	first.Oif, first.Gateway = 2, netip.MustParseAddr("10.0.0.9")
	second.Oif, second.Flags = 3, 1
	if d := cmp.Diff([]host.RouteEntry{first, second}, got, byComparable...); !ok || d != "" {
		t.Errorf("%v: %s", ok, d)
	}
	var w builder
	w.hostU32(30, 7)
	named := append([]byte{2, 0, 0, 0, 254, 3, 0, 1, 0, 0, 0, 0}, w.b...)
	if _, ok := parseRoute(named); ok {
		t.Error("a nexthop object without a device was taken for a route")
	}
}

func TestParseRule(t *testing.T) {
	var w builder
	w.hostU32(6, 1000)
	w.hostU32(10, 0x10)
	w.hostU32(13, ^uint32(0))
	w.hostU32(15, 100)
	w.hostU32(16, 0xf0)
	w.attr(2, []byte{10, 0, 0, 0})
	w.attr(20, make([]byte, 8))
	b := append([]byte{2, 0, 8, 0, 100, 0, 0, 1}, ne.AppendUint32(nil, 2)...)
	got, ok := parseRule(append(b, w.b...))
	want := host.PolicyRule{
		Family: rules.FamilyIPv4, Priority: 1000, Mark: 0x10, Mask: 0xf0, Table: 100, Action: 1, Invert: true,
		Src: netip.MustParsePrefix("10.0.0.0/8"), SuppressPrefix: -1, Other: []string{"uidrange"},
	}
	if d := cmp.Diff(want, got, byComparable...); !ok || d != "" {
		t.Errorf("%v: %s", ok, d)
	}
}

var byComparable = []cmp.Option{
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
}

func FuzzParseRouting(f *testing.F) {
	f.Add(multipathRoute())
	f.Fuzz(func(t *testing.T, b []byte) {
		parseLink(b)
		if a, ok := parseAddr(b); ok && !a.Prefix.IsValid() {
			t.Errorf("invalid address %+v", a)
		}
		routes, _ := parseRoute(b)
		for _, r := range routes {
			if !r.Dst.IsValid() {
				t.Errorf("invalid route %+v", r)
			}
		}
		parseRule(b)
		s := host.Snapshot{Routes: routes, Links: []rules.Link{{Index: 1, Name: "lo"}}}
		s.Route(rules.RouteQuery{Dst: netip.MustParseAddr("10.0.0.1"), MarkKnown: true})
	})
}

func TestParseLink(t *testing.T) {
	link := func(kind string, data []byte, more ...func(*builder)) []byte {
		var in, w builder
		in.attr(1, append([]byte(kind), 0))
		if data != nil {
			in.attr(2, data)
		}
		w.attr(3, []byte("x0\x00"))
		w.hostU32(5, 9) // IFLA_LINK
		w.attr(18, in.b)
		for _, f := range more {
			f(&w)
		}
		return append([]byte{0, 0, 1, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, w.b...)
	}
	var bridge builder
	bridge.attr(36, []byte{1})
	bridge.attr(37, []byte{0})
	for _, tc := range []struct {
		name string
		msg  []byte
		want rules.Link
	}{
		{"on another device", link("vlan", nil), rules.Link{Index: 7, Name: "x0", Type: 1, Kind: "vlan", Parent: 9}},
		{"on one elsewhere", link("macvlan", nil, func(w *builder) { w.hostU32(37, 0) }), rules.Link{Index: 7, Name: "x0", Type: 1, Kind: "macvlan"}},
		{"the other end of a pair is not below", link("veth", nil), rules.Link{Index: 7, Name: "x0", Type: 1, Kind: "veth"}},
		{"a bridge", link("bridge", bridge.b), rules.Link{Index: 7, Name: "x0", Type: 1, Kind: "bridge", CallIP: true}},
	} {
		got, ok := parseLink(tc.msg)
		if d := cmp.Diff(tc.want, got); !ok || d != "" {
			t.Errorf("%s: %v %s", tc.name, ok, d)
		}
	}
}
