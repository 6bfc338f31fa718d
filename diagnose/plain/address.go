package plain

import "net/netip"

// appendAddr is inet_ntop of the C library: the one form that netip writes in
// another way is ::192.0.2.1.
func appendAddr(b []byte, a netip.Addr) []byte {
	if !a.Is6() || a.Is4In6() {
		return a.AppendTo(b)
	}
	raw := a.As16()
	for _, c := range raw[:12] {
		if c != 0 {
			return a.WithZone("").AppendTo(b)
		}
	}
	if raw[12] == 0 && raw[13] == 0 {
		return a.AppendTo(b)
	}
	return netip.AddrFrom4([4]byte(raw[12:])).AppendTo(append(b, "::"...))
}

func addr(a netip.Addr) string {
	if !a.IsValid() {
		return "any"
	}
	return string(appendAddr(nil, a))
}

// network is a prefix as ip prints it: without its length where that is all,
// and "default" for everything.
func network(p netip.Prefix) string {
	switch {
	case p.Bits() == 0:
		return "default"
	case p.IsSingleIP():
		return addr(p.Addr())
	}
	return p.String()
}
