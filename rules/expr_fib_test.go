package rules

import (
	"net/netip"
	"testing"
)

// oneAddress is a host whose device 3 has one address, and the route to it.
type oneAddress struct{ NoHost }

func (oneAddress) AddrType(a netip.Addr, ifindex uint32) (AddrType, bool) {
	if a == netip.MustParseAddr("10.0.0.1") && (ifindex == 0 || ifindex == 3) {
		return AddrLocal, true
	}
	return AddrUnicast, true
}
func (oneAddress) LinkByIndex(index uint32) (Link, bool) { return Link{Index: index, Name: "c0"}, true }
func (oneAddress) Route(RouteQuery) (Route, bool)        { return Route{Type: AddrUnicast, Oif: 3}, true }

// TestFibDevice: an answer that is bound to a device rests on how the device
// is known.
func TestFibDevice(t *testing.T) {
	for _, tc := range []struct {
		name    string
		x       Fib
		state   IfaceState
		assumed Sources
	}{
		{"type on a device that is assumed", Fib{Result: FibAddrType, Flags: FibDaddr | FibIif}, IfaceAssumed, Of(FromRoute) | Of(FromIif)},
		{"type on one that is known", Fib{Result: FibAddrType, Flags: FibDaddr | FibIif}, IfaceKnown, Of(FromRoute)},
		{"type on any", Fib{Result: FibAddrType, Flags: FibDaddr}, IfaceAssumed, Of(FromRoute)},
		{"type on the output device", Fib{Result: FibAddrType, Flags: FibDaddr | FibOifFlag}, IfaceAssumed, Of(FromRoute) | Of(FromOif)},
		{"way back by a device that is assumed", Fib{Result: FibOif, Flags: FibSaddr | FibIif}, IfaceAssumed, Of(FromRoute) | Of(FromIif)},
		{"way back by any", Fib{Result: FibOif, Flags: FibSaddr}, IfaceAssumed, Of(FromRoute)},
	} {
		dev := Iface{State: tc.state, Link: Link{Index: 3, Name: "c0"}}
		p := &Packet{Family: FamilyIPv4, Host: oneAddress{}, Iif: dev, Oif: dev}
		p.Net.N = 20
		p.SetAddr(false, netip.MustParseAddr("10.0.0.9"))
		p.SetAddr(true, netip.MustParseAddr("10.0.0.1"))
		v := tc.x.Eval(p)
		if assumed, unknown := v.Sources(); assumed != tc.assumed || unknown != 0 {
			t.Errorf("%s: assumed %v, unknown %v, want %v", tc.name, assumed.List(), unknown.List(), tc.assumed.List())
		}
	}
}
