package stale

import (
	"net/netip"

	"github.com/ntdiag/ntdiag/rules"
)

// pool is addresses that a present rule gives as a source. One that is not
// known holds every address.
type pool struct{ lo, hi netip.Addr }

func (p pool) has(a netip.Addr) bool {
	if !p.lo.IsValid() {
		return true
	}
	return p.lo.Is4() == a.Is4() && p.lo.Compare(a) <= 0 && a.Compare(p.hi) <= 0
}

// poolsOf are the addresses of all rules that give a source of their own;
// masquerade takes those of the host.
func poolsOf(rs *rules.Ruleset) []pool {
	var out []pool
	for _, t := range rs.Tables {
		if t.Dormant() {
			continue
		}
		for _, c := range t.Chains {
			for _, r := range c.Rules {
				if n := r.NAT(); n != nil && (n.Kind == rules.SNAT || n.Kind == rules.Netmap) && n.AddrMin != nil {
					out = append(out, poolOf(n)...)
				}
			}
		}
	}
	return out
}

func poolOf(n *rules.NAT) []pool {
	lo, hi := addressesOf(n.AddrMin), addressesOf(n.AddrMax)
	switch {
	case n.AddrMax == nil:
		hi = lo
	case len(hi) != len(lo):
		return []pool{{}}
	}
	var out []pool
	for i := range lo {
		p := pool{lo[i], hi[i]}
		if !p.lo.IsValid() || !p.hi.IsValid() {
			p = pool{}
		}
		out = append(out, p)
	}
	return out
}

// addressesOf are the addresses that x can yield: one, or those of a map. One
// that is not valid stands for any.
func addressesOf(x rules.Expr) []netip.Addr {
	off, n := 0, 0
	if s, ok := x.(*rules.Slice); ok {
		x, off, n = s.X, s.Off, s.Len
	}
	switch x := x.(type) {
	case *rules.Const:
		return []netip.Addr{addressIn(x.Data, off, n)}
	case *rules.MapLookup:
		var out []netip.Addr
		for i := range x.Set.Elements {
			out = append(out, addressIn(x.Set.Elements[i].Data, off, n))
		}
		return out
	}
	return []netip.Addr{{}}
}

func addressIn(b []byte, off, n int) netip.Addr {
	if off > len(b) || off+n > len(b) {
		return netip.Addr{}
	}
	if b = b[off:]; n > 0 {
		b = b[:n]
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}
