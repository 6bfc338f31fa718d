package redact

import (
	"net/netip"
	"slices"

	"github.com/ntdiag/ntdiag/diagnose/history"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

// Collect is what of the addresses has to stay for the rules of s, for its sets
// and for what was recorded of it; h may be nil. What the evaluation of rules
// makes of the bits of an address, and why it stays true:
//
//   - comparison with an address, look-up in a set, routes, policy rules, the
//     subnet of an address: of prefixes, which are mapped to prefixes.
//   - ranges in rules and in sets, iprange, bitmaps of ipset, what NAT chooses
//     from (nf_nat_inet_in_range): Range.
//   - what NAT chooses from in IPv6 (find_best_ips_proto) is a range of each
//     word of 32 bits: Range of each.
//   - netmap, prefixes that NAT maps to (nft_nat_setup_netmap, netmap_tg4), host
//     parts put into a network by a rule: HostPart.
//   - masks that are no prefixes, in rules and of ipsets: Bits.
//   - longest common prefix (ipv6_dev_get_saddr): prefixes stay.
//   - scope, class and type of an address (__ipv6_addr_type, RTN_*): classes
//     stay, and table local is mapped with the rest.
//   - jhash, xt_cluster, prefix translation (ip6t_npt_map_pfx), u32 over
//     addresses, other arithmetic: nothing keeps it. The redacted rules leave it
//     open, and Source.Differs says so.
func Collect(s *host.Snapshot, h *history.History) *Constraints {
	c := &collector{c: &Constraints{}}
	if s != nil {
		through(c, s.Rules)
		for _, set := range s.Rules.IPSets {
			c.ipset(set)
		}
		for _, t := range s.Rules.Tables {
			c.devices(t)
		}
		for _, a := range s.Addrs {
			c.c.Subnet(a.Prefix, "an address of the machine is written with its subnet")
			c.c.Subnet(a.Peer, "an address of the machine is written with its subnet")
		}
	}
	if h != nil {
		for _, ch := range h.Changes {
			c.change(ch)
		}
	}
	return c.c
}

// collector is told of a ruleset by the walk.
type collector struct {
	nothing
	c *Constraints
}

// addrOf is the address that begins with b, and goes on with fill.
func addrOf(m meaning, b []byte, fill byte) netip.Addr {
	out := slices.Repeat([]byte{fill}, wholeOf[m])
	copy(out, b)
	a, _ := netip.AddrFromSlice(out)
	return a
}

func (c *collector) value(p piece, b []byte) []byte {
	switch {
	case p.address() && p.off > 0:
		c.bits(p.meaning, p.off, slices.Repeat([]byte{0xff}, len(b)))
	case p.meaning == deviceName && p.off == 0 && len(b) < wholeOf[deviceName] && !slices.Contains(b, 0):
		c.c.DevicePrefix(string(b))
	}
	return b
}

func (c *collector) interval(p piece, lo, hi []byte) (l, h []byte) {
	switch {
	case p.address() && p.off > 0:
		c.bits(p.meaning, p.off, slices.Repeat([]byte{0xff}, len(lo)))
	case p.address():
		c.c.Range(addrOf(p.meaning, lo, 0), addrOf(p.meaning, hi, 0xff), "a range in a rule or a set")
	case p.meaning == deviceName:
		if name, ok := wildcard(lo, hi); ok {
			c.c.DevicePrefix(name)
		}
	}
	return lo, hi
}

// wildcard is what all the names of an interval begin with.
func wildcard(lo, hi []byte) (string, bool) {
	n := len(lo)
	for n > 0 && lo[n-1] == 0 && hi[n-1] == 0xff {
		n--
	}
	return string(lo[:n]), n > 0 && n < len(lo) && string(lo[:n]) == string(hi[:n])
}

func (c *collector) choice(p piece, lo, hi []byte) (l, h []byte) {
	const why = "a range that NAT chooses from"
	first, last := addrOf(p.meaning, lo, 0), addrOf(p.meaning, hi, 0)
	c.c.Range(first, last, why)
	for at := commonBits(lo, hi)/32*4 + 4; at < len(hi); at += 4 {
		// behind the last one of the words before
		a, b := slices.Clone(hi), slices.Clone(hi)
		copy(a[at:], lo[at:at+4])
		for i := at + 4; i < len(hi); i++ {
			a[i], b[i] = 0, 0xff
		}
		x, y := addrOf(p.meaning, a, 0), addrOf(p.meaning, b, 0)
		if y.Less(x) {
			x, y = addrOf(p.meaning, b[:at+4], 0), addrOf(p.meaning, a[:at+4], 0xff)
		}
		c.c.Range(x, y, why)
	}
	return lo, hi
}

func (c *collector) bits(m meaning, off int, mask []byte) {
	b := make([]byte, wholeOf[m])
	copy(b[off:], mask)
	a, _ := netip.AddrFromSlice(b)
	c.c.Bits(a, "a mask in a rule")
}

func (c *collector) literal(b []byte) {
	if a, ok := netip.AddrFromSlice(b); ok {
		c.c.Pin(a, "a mask in a rule, and what is compared behind it")
	}
}

func (c *collector) hostPart(m meaning, n int) {
	c.c.HostPart(familyOf(m), n, "a rule that maps one network to another")
}

func familyOf(m meaning) rules.Family {
	if m == addr6 {
		return rules.FamilyIPv6
	}
	return rules.FamilyIPv4
}

// devices are the beginnings of names that chains and flowtables hang at.
func (c *collector) devices(t *rules.Table) {
	for _, ch := range t.Chains {
		if ch.Base != nil {
			c.prefixes(ch.Base.Devices)
		}
	}
	for _, f := range t.Flowtables {
		c.prefixes(f.Devices)
	}
}

func (c *collector) prefixes(devices []rules.Device) {
	for _, d := range devices {
		if d.Prefix {
			c.c.DevicePrefix(d.Name)
		}
	}
}

func (c *collector) ipset(s *rules.IPSet) {
	if s.From.IsValid() {
		c.c.Range(s.From, s.To, "the range of an ipset")
	}
	if s.Bitmask.IsValid() {
		if _, ok := prefixLen(s.Bitmask.AsSlice()); !ok {
			c.c.Bits(s.Bitmask, "the bitmask of an ipset")
			for i := range s.Elements {
				c.element(&s.Elements[i])
			}
		}
		c.literal(s.Bitmask.AsSlice())
	}
	for i := range s.Elements {
		if e := &s.Elements[i]; e.Wildcard {
			c.c.DevicePrefix(e.Iface)
		}
	}
}

// element is one of a set with a mask that is no prefix's.
func (c *collector) element(e *rules.IPSetElement) {
	for _, p := range []netip.Prefix{e.IP, e.IP2} {
		c.literal(p.Addr().AsSlice())
	}
}

// change: what rules could rewrite to, and what they asked of packets.
func (c *collector) change(ch *history.Change) {
	ranges := func(list ...*history.Range) {
		for _, r := range list {
			if r != nil && r.AddrMax.IsValid() {
				c.c.Range(r.Addr, r.AddrMax, "a range in a rule of before")
			}
		}
	}
	if ch.Rules == nil {
		return
	}
	version := func(v *history.RuleVersion) {
		if v.NAT != nil {
			for i := range v.NAT.To {
				ranges(&v.NAT.To[i])
			}
		}
		if v.Needs != nil {
			ranges(v.Needs.Src, v.Needs.Dst)
		}
	}
	for i := range ch.Rules.Rules {
		version(&ch.Rules.Rules[i].RuleVersion)
		if was := ch.Rules.Rules[i].Was; was != nil {
			version(was)
		}
	}
	for i := range ch.Rules.Sets {
		for j := range ch.Rules.Sets[i].Elements {
			e := &ch.Rules.Sets[i].Elements[j]
			ranges(e.Key, e.To, e.WasTo)
		}
	}
}

// nothing is a handler that does nothing.
type nothing struct{}

func (nothing) value(_ piece, b []byte) []byte                { return b }
func (nothing) interval(_ piece, lo, hi []byte) (l, h []byte) { return lo, hi }
func (nothing) choice(_ piece, lo, hi []byte) (l, h []byte)   { return lo, hi }
func (nothing) bits(meaning, int, []byte)                     {}
func (nothing) literal([]byte)                                {}
func (nothing) hostPart(meaning, int)                         {}
func (nothing) blind(x rules.Expr) rules.Expr                 { return x }
func (nothing) blinds() bool                                  { return false }
func (nothing) differs(string)                                {}
