package evidence

import (
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

// Tables and protocols of routes that have names of their own (rt_tables and
// rt_protos of iproute2).
var (
	tableNames = map[string]uint32{"unspec": 0, "default": 253, "main": 254, "local": 255}
	routeProto = map[string]uint8{"unspec": 0, "redirect": 1, "kernel": 2, "boot": 3, "static": 4, "ra": 9, "dhcp": 16, "zebra": 11, "bird": 12}
	routeTypes = map[string]rules.AddrType{
		"unicast": 1, "local": 2, "broadcast": 3, "anycast": 4, "multicast": 5, "blackhole": 6, "unreachable": 7, "prohibit": 8, "throw": 9,
	}
	routeFlags = map[string]uint32{"dead": 1, "linkdown": 16, "onlink": 4, "pervasive": 2}
)

// namedTables begin the numbers of tables that a text names and whose number it
// does not tell.
const namedTables = 1 << 31

// table is a table's number. A name stands for one number in all of a machine's
// texts.
func (b *builder) table(s string) uint32 {
	if n, err := strconv.ParseUint(s, 0, 32); err == nil {
		return uint32(n)
	}
	if n, ok := tableNames[s]; ok {
		return n
	}
	if n, ok := b.tables[s]; ok {
		return n
	}
	n := namedTables + uint32(len(b.tables))
	b.tables[s] = n
	return n
}

// readRoutes reads ip route, of one table or of all, and route -n.
func readRoutes(b *builder, s *section) {
	table := tableNames["main"]
	w := words(s.command)
	for i := range w {
		if w[i] == "table" && i+1 < len(w) && w[i+1] != "all" {
			table = b.table(w[i+1])
		}
	}
	family := b.familyOf(s)
	last := -1 // the route whose next hops follow
	var shared host.RouteEntry
	for i, line := range unfold(s.lines) {
		w := words(line)
		switch {
		case len(w) == 0 || w[0] == "Kernel" || w[0] == "Destination":
		case w[0] == "nexthop":
			if last < 0 {
				b.problem(s, i, "a next hop without a route")
				continue
			}
			if last == len(b.snap.Routes)-1 && !shared.Multipath {
				b.snap.Routes = b.snap.Routes[:last] // it holds what its hops share
				delete(b.hops, last)
			}
			shared.Multipath = true
			b.route(shared, w[1:])
		case len(w) >= 8 && isIPv4(w[0]) && isIPv4(w[1]) && isIPv4(w[2]):
			b.oldRoute(s, i, w)
			b.has[host.PartRoutes] = true
		default:
			e := host.RouteEntry{Table: table, Type: rules.AddrUnicast, Family: family, Proto: routeProto["boot"]}
			if t, ok := routeTypes[w[0]]; ok {
				e.Type, w = t, w[1:]
			}
			if len(w) == 0 {
				b.problem(s, i, "a route without a destination")
				continue
			}
			dst, ok := b.destination(w[0], w[1:], family)
			if !ok {
				b.problem(s, i, "not a route: %.60q", line)
				continue
			}
			e.Dst = dst
			e.Family = rules.FamilyIPv6
			if dst.Addr().Is4() {
				e.Family = rules.FamilyIPv4
			}
			b.route(e, w[1:])
			last = len(b.snap.Routes) - 1
			shared = b.snap.Routes[last]
			b.has[host.PartRoutes] = true
			if shared.Table == tableNames["local"] {
				b.localTable[e.Family] = true
			}
		}
	}
}

func isIPv4(s string) bool {
	a, err := netip.ParseAddr(s)
	return err == nil && a.Is4()
}

// destination reads default, an address or a prefix.
func (b *builder) destination(s string, rest []string, family rules.Family) (netip.Prefix, bool) {
	if s != "default" {
		p, err := prefixOf(s)
		return p, err == nil
	}
	v6 := family == rules.FamilyIPv6
	for _, w := range rest {
		if a, err := netip.ParseAddr(w); err == nil {
			v6 = a.Is6()
			break
		}
		if w == "pref" { // what ip -6 route ends with
			v6 = true
		}
	}
	if v6 {
		return netip.PrefixFrom(netip.IPv6Unspecified(), 0), true
	}
	return netip.PrefixFrom(netip.IPv4Unspecified(), 0), true
}

// route reads what follows the destination, or one next hop, and keeps the
// route.
func (b *builder) route(e host.RouteEntry, w []string) {
	dev := ""
	for i := 0; i < len(w); i++ {
		value := ""
		if i+1 < len(w) {
			value = w[i+1]
		}
		number := func() uint32 {
			n, _ := strconv.ParseUint(value, 0, 32)
			return uint32(n)
		}
		skip := true
		switch w[i] {
		case "via":
			if value == "inet6" || value == "inet" {
				i++
				if value = ""; i+1 < len(w) {
					value = w[i+1]
				}
			}
			e.Gateway, _ = netip.ParseAddr(value)
		case "dev":
			dev = value
		case "table":
			e.Table = b.table(value)
		case "src":
			e.PrefSrc, _ = netip.ParseAddr(value)
		case "metric":
			e.Priority = number()
		case "tos":
			e.Tos = uint8(number())
		case "scope":
			if n, ok := scopes[value]; ok {
				e.Scope = n
			} else {
				e.Scope = uint8(number())
			}
		case "proto":
			if n, ok := routeProto[value]; ok {
				e.Proto = n
			} else {
				e.Proto = uint8(number())
			}
		default:
			e.Flags |= routeFlags[w[i]]
			skip = false
		}
		if skip {
			i++
		}
	}
	b.hops[len(b.snap.Routes)] = dev
	b.snap.Routes = append(b.snap.Routes, e)
}

// oldRoute is a line of route -n.
func (b *builder) oldRoute(s *section, line int, w []string) {
	dst, _ := netip.ParseAddr(w[0])
	gw, _ := netip.ParseAddr(w[1])
	mask, _ := netip.ParseAddr(w[2])
	m := mask.As4()
	ones, bits := net.IPMask(m[:]).Size()
	if bits == 0 {
		b.problem(s, line, "mask %s", w[2])
		return
	}
	e := host.RouteEntry{
		Family: rules.FamilyIPv4, Table: tableNames["main"], Type: rules.AddrUnicast, Dst: netip.PrefixFrom(dst, ones), Proto: routeProto["boot"],
	}
	if strings.Contains(w[3], "G") {
		e.Gateway = gw
	} else {
		e.Scope = scopes["link"]
	}
	if strings.Contains(w[3], "!") {
		e.Type = rules.AddrUnreachable
	}
	n, _ := strconv.ParseUint(w[4], 10, 32)
	e.Priority = uint32(n)
	b.hops[len(b.snap.Routes)] = w[7]
	b.snap.Routes = append(b.snap.Routes, e)
}

// Actions of policy rules, FR_ACT_*.
const (
	toTable     = 1
	toGoto      = 2
	toNop       = 3
	toBlackhole = 6
)

var ruleActions = map[string]uint8{"blackhole": toBlackhole, "unreachable": 7, "prohibit": 8, "nop": toNop}

// readPolicy reads ip rule.
func readPolicy(b *builder, s *section) {
	for i, line := range s.lines {
		prio, rest, ok := strings.Cut(strings.TrimSpace(line), ":")
		n, err := strconv.ParseUint(prio, 10, 32)
		w := words(rest)
		if !ok || err != nil || len(w) == 0 {
			if strings.TrimSpace(line) != "" {
				b.problem(s, i, "not a line of ip rule: %.60q", line)
			}
			continue
		}
		r := host.PolicyRule{Family: b.familyOf(s), Priority: uint32(n), Action: toTable, SuppressPrefix: -1}
		b.policy(s, i, &r, w)
		if r.Family == rules.FamilyUnspec {
			r.Family = rules.FamilyIPv4
		}
		b.snap.RuleTable = append(b.snap.RuleTable, r)
		b.policyOf[r.Family] = true
	}
}

func (b *builder) policy(s *section, line int, r *host.PolicyRule, w []string) {
	for i := 0; i < len(w); i++ {
		value := ""
		if i+1 < len(w) {
			value = w[i+1]
		}
		prefix := func() (p netip.Prefix) {
			if value == "all" || value == "any" || value == "default" {
				return p
			}
			p, err := prefixOf(value)
			if err != nil {
				b.problem(s, line, "%v", err)
				r.Other = append(r.Other, w[i])
				return p
			}
			if r.Family = rules.FamilyIPv6; p.Addr().Is4() {
				r.Family = rules.FamilyIPv4
			}
			return p
		}
		skip := true
		switch w[i] {
		case "not":
			r.Invert, skip = true, false
		case "from":
			r.Src = prefix()
		case "to":
			r.Dst = prefix()
		case "fwmark":
			v, m, masked := strings.Cut(value, "/")
			n, _ := strconv.ParseUint(v, 0, 32)
			r.Mark, r.Mask = uint32(n), 0xffffffff
			if masked {
				n, _ := strconv.ParseUint(m, 0, 32)
				r.Mask = uint32(n)
			}
		case "iif", "dev":
			r.Iif = value
		case "oif":
			r.Oif = value
		case "lookup", "table":
			if value == "[l3mdev-table]" {
				r.L3mdev = true
			} else {
				r.Table = b.table(value)
			}
		case "suppress_prefixlength":
			n, err := strconv.Atoi(value)
			if err == nil {
				r.SuppressPrefix = n
			}
		case "goto":
			n, _ := strconv.ParseUint(value, 10, 32)
			r.Action, r.Goto = toGoto, uint32(n)
		case "proto", "protocol":
		case "l3mdev":
			r.L3mdev, skip = true, false
		case "[detached]", "[iif-detached]", "[oif-detached]", "[unresolved]":
			skip = false
		default:
			if a, ok := ruleActions[w[i]]; ok {
				r.Action, skip = a, false
				break
			}
			r.Other = append(r.Other, w[i])
		}
		if skip {
			i++
		}
	}
}
