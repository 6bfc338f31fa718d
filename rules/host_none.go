package rules

import "net/netip"

// NoHost answers every question with "not known": for rules without a machine.
type NoHost struct{}

func (NoHost) LinkByName(string) (Link, bool)                  { return Link{}, false }
func (NoHost) LinkByIndex(uint32) (Link, bool)                 { return Link{}, false }
func (NoHost) AddrType(netip.Addr, uint32) (AddrType, bool)    { return 0, false }
func (NoHost) Route(RouteQuery) (Route, bool)                  { return Route{}, false }
func (NoHost) MasqueradeAddrs(uint32, netip.Addr) []netip.Addr { return nil }
func (NoHost) RedirectAddrs(uint32, Family) []netip.Addr       { return nil }
func (NoHost) Beneath(uint32, Family) (Beneath, bool)          { return Beneath{}, false }
