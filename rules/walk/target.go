package walk

import (
	"bytes"
	"encoding/binary"
	"net/netip"

	"github.com/ntdiag/ntdiag/rules"
)

// Target is what a NAT statement can turn an address and port into
// (struct nf_nat_range2).
type Target struct {
	// Addrs are single addresses to choose from (masquerade, redirect); else
	// AddrMin to AddrMax. Neither, and not AnyAddr: the address stays.
	Addrs            []netip.Addr
	AddrMin, AddrMax netip.Addr
	AnyAddr          bool // not known which
	// Local, with AnyAddr: not known which, but one of this host's own.
	Local rules.Host
	// PortMin to PortMax when HasPort; AnyPort: not known which. Neither: the
	// port stays, but for a source whose port is taken.
	PortMin, PortMax uint16
	HasPort, AnyPort bool
	Netmap           bool
	// Offset: the port keeps its distance from Base.
	Offset bool
	Base   uint16
	Random bool // the source port is always chosen anew
}

// targets lists what the statement can do to the packet as it is.
func (e *ruleRun) targets(n *rules.NAT) []Target {
	p := &e.cur.p
	base := Target{Netmap: n.Flags&rules.NATNetmap != 0, Offset: n.Flags&rules.NATProtoOffset != 0,
		Base: n.PortBase, Random: n.Flags&(rules.NATProtoRandom|rules.NATFullyRandom) != 0}
	switch n.Kind {
	case rules.Masquerade:
		base.masquerade(p)
	case rules.Redirect:
		base.redirect(p)
	}
	ops := [4]rules.Value{}
	count := 1
	for i, x := range []rules.Expr{n.AddrMin, n.AddrMax, n.PortMin, n.PortMax} {
		if x != nil {
			ops[i] = x.Eval(p)
			ops[i].Absent = rules.No // see operands
			count = max(count, len(ops[i].OneOf))
		}
	}
	out := make([]Target, 0, count)
	for i := range count {
		t := base
		if n.AddrMin != nil {
			t.addrs(alternative(&ops[0], i, count), alternative(&ops[1], i, count), n.AddrMax != nil, p.Family)
		}
		if n.PortMin != nil {
			t.ports(alternative(&ops[2], i, count), alternative(&ops[3], i, count), n.PortMax != nil)
		}
		out = append(out, t)
	}
	return out
}

// alternative i of v: address and port taken from one map lookup list their
// alternatives in the same order.
func alternative(v *rules.Value, i, count int) *rules.Value {
	if len(v.OneOf) == count {
		return &v.OneOf[i]
	}
	return v
}

func (t *Target) addrs(lo, hi *rules.Value, ranged bool, f rules.Family) {
	n := 4
	if f == rules.FamilyIPv6 {
		n = 16
	}
	a, okA := addrOf(lo, n)
	b, okB := a, okA
	if ranged {
		b, okB = addrOf(hi, n)
	}
	if !okA || !okB {
		t.AnyAddr = true
		return
	}
	t.AddrMin, t.AddrMax = a, b
}

func addrOf(v *rules.Value, n int) (netip.Addr, bool) {
	if !v.IsKnown() || len(v.OneOf) > 0 || v.N < n {
		return netip.Addr{}, false
	}
	return netip.AddrFromSlice(v.Bits[:n])
}

func (t *Target) ports(lo, hi *rules.Value, ranged bool) {
	if !ranged {
		hi = lo
	}
	if !lo.IsKnown() || !hi.IsKnown() || len(lo.OneOf)+len(hi.OneOf) > 0 || lo.N < 2 || hi.N < 2 {
		t.AnyPort = true
		return
	}
	t.HasPort = true
	t.PortMin = uint16(lo.Bits[0])<<8 | uint16(lo.Bits[1])
	t.PortMax = uint16(hi.Bits[0])<<8 | uint16(hi.Bits[1])
	if t.PortMax < t.PortMin {
		t.PortMin, t.PortMax = t.PortMax, t.PortMin
	}
}

// masquerade takes an address of the output device (nf_nat_masquerade_ipv4,
// nf_nat_masquerade_ipv6).
func (t *Target) masquerade(p *rules.Packet) {
	t.AnyAddr, t.Local = true, p.Host
	if p.Host == nil || p.Oif.State == rules.IfaceUnknown || p.Oif.State == rules.IfaceNone {
		return
	}
	dst, ok := p.Addr(true)
	if !ok { // any of its addresses then
		if addrs := p.Host.MasqueradeAddrs(p.Oif.Link.Index, netip.Addr{}); len(addrs) > 0 {
			t.AnyAddr, t.Addrs = false, addrs
		}
		return
	}
	if r, found := p.Host.Route(rules.RouteQuery{Dst: dst, Oif: p.Oif.Link.Index}); found && r.Gateway.IsValid() && r.Gateway.Is4() == dst.Is4() {
		dst = r.Gateway
	}
	if addrs := p.Host.MasqueradeAddrs(p.Oif.Link.Index, dst); len(addrs) > 0 {
		t.AnyAddr, t.Addrs = false, addrs
	}
}

// redirect takes the loopback address at output, else one of the input device
// (nf_nat_redirect_ipv4, nf_nat_redirect_ipv6).
func (t *Target) redirect(p *rules.Packet) {
	if p.Hook == rules.Output {
		t.Addrs = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}
		if p.Family == rules.FamilyIPv6 {
			t.Addrs = []netip.Addr{netip.IPv6Loopback()}
		}
		return
	}
	t.AnyAddr, t.Local = true, p.Host
	if p.Host == nil || p.Iif.State == rules.IfaceUnknown || p.Iif.State == rules.IfaceNone {
		return
	}
	if addrs := p.Host.RedirectAddrs(p.Iif.Link.Index, p.Family); len(addrs) > 0 {
		t.AnyAddr, t.Addrs = false, addrs
	}
}

// Makes tells whether the target can turn from into to. A source port may
// always become another one when it is taken (get_unique_tuple); a
// destination port only within a range that the rule gives.
func (t *Target) Makes(m rules.Manip, from, to netip.Addr, fromPort, toPort uint16) bool {
	return t.makesAddr(from, to) && t.makesPort(m, fromPort, toPort)
}

func (t *Target) makesAddr(from, to netip.Addr) bool {
	switch {
	case t.AnyAddr && t.Local != nil:
		typ, known := t.Local.AddrType(to, 0)
		return !known || typ == rules.AddrLocal
	case t.AnyAddr:
		return true
	case len(t.Addrs) > 0:
		for _, a := range t.Addrs {
			if a == to {
				return true
			}
		}
		return false
	case !t.AddrMin.IsValid():
		return from == to
	case t.Netmap:
		return netmapped(from, t.AddrMin, t.AddrMax) == to
	}
	return t.inRange(to) || picked(t.AddrMin, t.AddrMax, to)
}

// inRange is nf_nat_inet_in_range: an address that is there already is kept.
func (t *Target) inRange(a netip.Addr) bool {
	return t.AddrMin.Compare(a) <= 0 && a.Compare(t.AddrMax) <= 0
}

// picked tells whether to can be chosen between lo and hi
// (find_best_ips_proto): word by word, and once one is not that of hi the rest
// can be anything, below lo as well.
func picked(lo, hi, to netip.Addr) bool {
	l, h, a := lo.AsSlice(), hi.AsSlice(), to.AsSlice()
	if len(a) != len(l) || len(l) != len(h) {
		return false
	}
	for ; len(a) > 0; l, h, a = l[4:], h[4:], a[4:] {
		least, most, got := binary.BigEndian.Uint32(l), binary.BigEndian.Uint32(h), binary.BigEndian.Uint32(a)
		dist := most - least + 1 // goes round as it does there
		if got-least >= max(dist, 1) {
			return false
		}
		if got != most {
			return true
		}
	}
	return true
}

// Range is the addresses that from can become, lo to hi; both are from itself
// where the address stays, and neither is valid where it is not known or where
// it is one of Addrs, or can lie outside of the range that the rule gives.
func (t *Target) Range(from netip.Addr) (lo, hi netip.Addr) {
	switch {
	case t.AnyAddr || len(t.Addrs) > 1:
		return lo, hi
	case len(t.Addrs) == 1:
		return t.Addrs[0], t.Addrs[0]
	case !t.AddrMin.IsValid():
		return from, from
	case t.Netmap && from.IsValid():
		a := netmapped(from, t.AddrMin, t.AddrMax)
		return a, a
	}
	if !oneWord(t.AddrMin, t.AddrMax) {
		return lo, hi
	}
	return t.AddrMin, t.AddrMax
}

// oneWord tells whether two addresses differ in their last four bytes alone,
// lo the lower one: then what is picked between them lies between them.
func oneWord(lo, hi netip.Addr) bool {
	l, h := lo.AsSlice(), hi.AsSlice()
	return len(l) == len(h) && bytes.Equal(l[:len(l)-4], h[:len(h)-4]) && lo.Compare(hi) <= 0
}

func (t *Target) makesPort(m rules.Manip, from, to uint16) bool {
	switch {
	case t.AnyPort:
		return true
	case t.HasPort:
		return t.PortMin <= to && to <= t.PortMax
	case m == rules.ManipDst:
		return from == to
	}
	return true
}

// ByClash tells whether the target can have changed the port only because
// another flow had it: without a range and without randomness it is kept.
func (t *Target) ByClash(m rules.Manip, from, to uint16) bool {
	if t.HasPort && t.Offset {
		return to != t.Shifted(from) && (m == rules.ManipDst || from != to)
	}
	return m == rules.ManipSrc && !t.HasPort && !t.AnyPort && !t.Random && from != to
}

// Shifted is the port that is tried first where ports keep their distance from
// a base (nf_nat_l4proto_unique_tuple).
func (t *Target) Shifted(from uint16) uint16 {
	return t.PortMin + uint16(uint32(from-t.Base)%(uint32(t.PortMax-t.PortMin)+1))
}

// netmapped keeps the host bits of a inside the prefix that lo to hi span
// (nft_nat_setup_netmap).
func netmapped(a, lo, hi netip.Addr) netip.Addr {
	x, l, h := a.AsSlice(), lo.AsSlice(), hi.AsSlice()
	if len(x) != len(l) || len(l) != len(h) {
		return netip.Addr{}
	}
	for i, mask := range rules.RangeMask(l, h) {
		x[i] = x[i]&^mask | l[i]&mask
	}
	out, _ := netip.AddrFromSlice(x)
	return out
}
