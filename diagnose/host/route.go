package host

import (
	"net/netip"

	"github.com/ntdiag/ntdiag/rules"
)

// Tables and actions of include/uapi/linux/rtnetlink.h and fib_rules.h.
const (
	tableDefault = 253
	tableMain    = 254
	tableLocal   = 255

	actTable       = 1
	actGoto        = 2
	actNop         = 3
	actBlackhole   = 6
	actUnreachable = 7
	actProhibit    = 8

	typeThrow rules.AddrType = 9 // RTN_THROW: go on with the next policy rule

	hopDead     = 1  // RTNH_F_DEAD
	hopLinkdown = 16 // RTNH_F_LINKDOWN
)

// defaultPolicy is what a kernel without policy routing does.
var defaultPolicy = []PolicyRule{
	{Priority: 0, Action: actTable, Table: tableLocal, SuppressPrefix: -1},
	{Priority: 32766, Action: actTable, Table: tableMain, SuppressPrefix: -1},
	{Priority: 32767, Action: actTable, Table: tableDefault, SuppressPrefix: -1},
}

// Route follows fib_lookup (IPv4) and fib6_rule_lookup: policy rules by
// priority, in each table the longest prefix, there the lowest metric. It is
// false when there is no route, and when something that the query leaves open
// or that is not modelled decides. Routes of type blackhole, unreachable and
// prohibit are answers without a device. It is what the tables say: that a
// packet to 127.0.0.0/8 from outside is dropped is told by route_localnet.
func (s *Snapshot) Route(q rules.RouteQuery) (rules.Route, bool) {
	r, known := s.Lookup(q)
	return r, known == rules.Yes
}

// Lookup is Route with a reason for its false: No when there surely is no
// route, Unknown when it is not known.
func (s *Snapshot) Lookup(q rules.RouteQuery) (rules.Route, rules.Truth) {
	if s == nil || !q.Dst.IsValid() {
		return rules.Route{}, rules.Unknown
	}
	q.Dst, q.Src = q.Dst.Unmap().WithZone(""), q.Src.Unmap().WithZone("")
	ix := s.ix()
	if ix.lacks[PartRoutes] || ix.lacks[PartPolicy] || len(s.Routes) == 0 && len(s.Links) == 0 {
		return rules.Route{}, rules.Unknown
	}
	policy := ix.policy[family(q.Dst)]
	if len(policy) == 0 {
		policy = defaultPolicy
	}
	l := lookup{s: s, ix: ix, q: q, policy: policy}
	if q.Dst.Is4() && (q.Dst.IsMulticast() || q.Dst == limitedBroadcast) {
		return l.toMany()
	}
	return l.from(0)
}

var limitedBroadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// toMany follows ip_route_output_key_hash_rcu for multicast and for the
// limited broadcast: without a device that of the source address is taken, and
// no gateway. What comes in is delivered or forwarded by other tables.
func (l *lookup) toMany() (rules.Route, rules.Truth) {
	typ := rules.AddrMulticast
	if l.q.Dst == limitedBroadcast {
		typ = rules.AddrBroadcast
	}
	if l.q.Iif != 0 {
		if typ == rules.AddrBroadcast {
			return rules.Route{Type: typ, Prefix: netip.PrefixFrom(l.q.Dst, 32)}, rules.Yes
		}
		return rules.Route{}, rules.Unknown
	}
	if l.q.Oif == 0 && l.q.Src.IsValid() && !l.q.Src.IsUnspecified() {
		for i := range l.s.Addrs {
			if a := &l.s.Addrs[i]; a.Prefix.Addr() == l.q.Src {
				return rules.Route{Type: typ, Oif: a.Index, Prefix: netip.PrefixFrom(l.q.Dst, 32)}, rules.Yes
			}
		}
	}
	r, known := l.from(0)
	if known == rules.Yes && r.Type < rules.AddrBlackhole {
		r.Type, r.Gateway = typ, netip.Addr{}
	}
	return r, known
}

func family(a netip.Addr) rules.Family {
	if a.Is4() {
		return rules.FamilyIPv4
	}
	return rules.FamilyIPv6
}

type lookup struct {
	s      *Snapshot
	ix     *index
	q      rules.RouteQuery
	policy []PolicyRule
	hops   []rules.Route // all that could be taken, where the answer is one of several
}

// Hops are the routes that can be taken where Route gives one of several.
func (s *Snapshot) Hops(q rules.RouteQuery) []rules.Route {
	r, known := s.Route(q)
	if !known {
		return nil
	}
	ix := s.ix()
	l := lookup{s: s, ix: ix, q: q}
	t := ix.tables[tableKey{family(q.Dst), r.Table}]
	if t == nil || !r.Multipath {
		return []rules.Route{r}
	}
	l.pick(t.routes[r.Prefix.Masked()])
	return l.hops
}

// from is the answer of the policy rules from the i-th on (fib_rules_lookup).
// A rule of which it is not known whether it applies leaves the answer open,
// unless it is the same both ways.
func (l *lookup) from(i int) (rules.Route, rules.Truth) {
	for ; i < len(l.policy); i++ {
		p := &l.policy[i]
		applies := l.applies(p)
		if applies == rules.No {
			continue
		}
		r, known, found := l.act(p, i)
		if !found {
			continue
		}
		if applies == rules.Unknown {
			other, otherKnown := l.from(i + 1)
			if known != otherKnown || r != other {
				return rules.Route{}, rules.Unknown
			}
		}
		return r, known
	}
	return rules.Route{}, rules.No
}

// act does what the rule says; found is false when the next rule is asked.
func (l *lookup) act(p *PolicyRule, i int) (r rules.Route, known rules.Truth, found bool) {
	if p.L3mdev {
		return r, rules.Unknown, true // the VRF's table is not recorded
	}
	switch p.Action {
	case actTable:
		r, known, bits := l.table(p.Table)
		if known == rules.No || known == rules.Yes && p.SuppressPrefix >= 0 && bits <= p.SuppressPrefix {
			return r, known, false
		}
		return r, known, true
	case actGoto:
		for j := i + 1; j < len(l.policy); j++ {
			if l.policy[j].Priority >= p.Goto {
				if l.policy[j].Priority != p.Goto {
					break
				}
				r, known := l.from(j)
				return r, known, true
			}
		}
		return r, rules.No, false
	case actNop:
		return r, rules.No, false
	case actBlackhole, actUnreachable, actProhibit:
		// FR_ACT_* and RTN_* have the same numbers here
		return rules.Route{Type: rules.AddrType(p.Action)}, rules.Yes, true
	}
	return r, rules.Unknown, true
}

// applies follows fib_rule_match.
func (l *lookup) applies(p *PolicyRule) rules.Truth {
	t := l.device(p.Iif, l.q.Iif, true).And(l.device(p.Oif, l.q.Oif, false))
	if p.Mark != 0 || p.Mask != 0 {
		t = t.And(l.marked(p))
	}
	t = t.And(within(p.Src, l.q.Src)).And(within(p.Dst, l.q.Dst))
	if p.L3mdev {
		t = t.And(l.l3mdev())
	}
	if len(p.Other) > 0 {
		t = t.And(rules.Unknown)
	}
	if p.Invert {
		t = t.Not()
	}
	return t
}

// marked compares the mark, as far as its bits are known.
func (l *lookup) marked(p *PolicyRule) rules.Truth {
	known := l.q.MarkBits
	if l.q.MarkKnown {
		known = ^uint32(0)
	}
	switch {
	case (l.q.Mark^p.Mark)&p.Mask&known != 0:
		return rules.No
	case p.Mask&^known != 0:
		return rules.Unknown
	}
	return rules.Yes
}

// device compares a rule's device with the packet's. What a host sends itself
// comes in by lo.
func (l *lookup) device(name string, index uint32, in bool) rules.Truth {
	if name == "" {
		return rules.Yes
	}
	if l.ix.lacks[PartLinks] {
		return rules.Unknown
	}
	link, ok := l.ix.byName[name]
	if !ok {
		return rules.No // detached
	}
	if in && index == 0 {
		return rules.TruthOf(name == "lo")
	}
	if link.Kind == "vrf" && link.Index != index {
		return rules.Unknown
	}
	return rules.TruthOf(link.Index == index)
}

// l3mdev asks whether the packet comes in or leaves by a VRF.
func (l *lookup) l3mdev() rules.Truth {
	if l.ix.lacks[PartLinks] {
		return rules.Unknown
	}
	return rules.TruthOf(l.inVRF(l.q.Iif) || l.inVRF(l.q.Oif))
}

func (l *lookup) inVRF(index uint32) bool {
	if !l.ix.vrf || index == 0 {
		return false
	}
	link := l.ix.byIndex[index]
	return link.Kind == "vrf" || l.ix.byIndex[link.Master].Kind == "vrf"
}

// within is Unknown for an address that is open, unless the prefix is all.
func within(p netip.Prefix, a netip.Addr) rules.Truth {
	switch {
	case !p.IsValid() || p.Bits() == 0:
		return rules.Yes
	case !a.IsValid():
		return rules.Unknown
	}
	return rules.TruthOf(p.Contains(a))
}

// table follows fib_table_lookup: a prefix none of whose next hops fits gives
// way to the next shorter one.
func (l *lookup) table(id uint32) (r rules.Route, known rules.Truth, bits int) {
	t := l.ix.tables[tableKey{family(l.q.Dst), id}]
	if t == nil {
		return r, rules.No, 0
	}
	for _, n := range t.bits {
		prefix, err := l.q.Dst.Prefix(n)
		if err != nil {
			continue
		}
		if r, known, ended := l.pick(t.routes[prefix]); ended {
			return r, known, n
		}
	}
	return r, rules.No, 0
}

// pick takes the first entry of one prefix that fits; ended is false when
// none does.
func (l *lookup) pick(entries []RouteEntry) (r rules.Route, known rules.Truth, ended bool) {
	for i := range entries {
		e := &entries[i]
		switch {
		case e.Tos != 0:
			return r, rules.Unknown, true // the packet's tos is not known
		case e.Family == rules.FamilyIPv6 && l.q.Oif != 0 && e.Oif != l.q.Oif:
			continue // even one that refuses: it stands on lo
		case e.Type == typeThrow:
			return r, rules.No, true
		case e.Type >= rules.AddrBlackhole && e.Type <= rules.AddrProhibit:
			return answer(e), rules.Yes, true
		case !l.usable(e):
			continue
		}
		r = answer(e)
		r.Multipath = l.rivals(e, entries[i+1:])
		return r, rules.Yes, true
	}
	return r, rules.No, false
}

// usable asks for a live next hop, by the device that the query names.
func (l *lookup) usable(e *RouteEntry) bool {
	if e.Flags&hopDead != 0 || l.q.Oif != 0 && e.Oif != l.q.Oif {
		return false
	}
	return e.Flags&hopLinkdown == 0 || !l.s.maxConf(l.ix.byIndex[e.Oif].Name, "ignore_routes_with_linkdown")
}

// rivals tells whether another entry could be taken as well: another hop of
// the same route or, with IPv6, another route of the same metric.
func (l *lookup) rivals(e *RouteEntry, rest []RouteEntry) bool {
	l.hops = l.hops[:0]
	for i := range rest {
		o := &rest[i]
		same := o.Priority == e.Priority && o.Tos == e.Tos && (o.Multipath && e.Multipath || e.Family == rules.FamilyIPv6)
		if same && l.usable(o) && (o.Oif != e.Oif || o.Gateway != e.Gateway) {
			if len(l.hops) == 0 {
				l.hops = append(l.hops, answer(e))
			}
			l.hops = append(l.hops, answer(o))
		}
	}
	return len(l.hops) > 1
}

func answer(e *RouteEntry) rules.Route {
	return rules.Route{Type: e.Type, Oif: e.Oif, Gateway: e.Gateway, PrefSrc: e.PrefSrc, Prefix: e.Dst, Table: e.Table}
}

// ReversePath is the route from dst back to the source of a packet: the device
// that it is likely to have come in by. It is looked up without a mark, as
// reverse path filtering does (fib_validate_source).
func (s *Snapshot) ReversePath(src, dst netip.Addr) (rules.Route, bool) {
	return s.Route(rules.RouteQuery{Dst: src, Src: dst, MarkKnown: true})
}
