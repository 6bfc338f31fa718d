package history

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

// AddrChange is one address of a device that came or went.
type AddrChange struct {
	Op     Op           `json:"op"`
	Dev    string       `json:"dev"`
	Prefix netip.Prefix `json:"prefix"` // the address, with the length of its subnet
	Peer   netip.Prefix `json:"peer,omitzero"`
}

// LinkChange is a device that came or went, or that is another now. A device
// that was renamed is one of the same Index.
type LinkChange struct {
	Op    Op     `json:"op"`
	Index uint32 `json:"index"`
	Name  string `json:"name"`
	Text  string `json:"text"`
	Was   string `json:"was,omitempty"`
}

// RouteChange is one route, with all its next hops. Routes of one table,
// prefix, tos and metric are the same route.
type RouteChange struct {
	Op     Op           `json:"op"`
	Family string       `json:"family"`
	Table  uint32       `json:"table"`
	Dst    netip.Prefix `json:"dst"`
	Text   string       `json:"text"` // as `ip route` has it, without the table
	Was    string       `json:"was,omitempty"`
	// Devs and WasDevs are where it leads out.
	Devs    []string `json:"devs,omitempty"`
	WasDevs []string `json:"was_devs,omitempty"`
}

// PolicyChange is one row of `ip rule` that came or went.
type PolicyChange struct {
	Op     Op     `json:"op"`
	Family string `json:"family"`
	Text   string `json:"text"`
}

// HostDiff is what differs between two states of a host, its rules aside.
type HostDiff struct {
	Addrs    []AddrChange
	Links    []LinkChange
	Routes   []RouteChange
	Policies []PolicyChange
}

// DiffHost compares links, addresses, routes and policy rules. Routes of table
// local that the kernel makes itself follow from the addresses, and are left
// out.
func DiffHost(before, after *host.Snapshot) *HostDiff {
	return &HostDiff{
		Addrs: diffAddrs(before, after), Links: diffLinks(before, after),
		Routes: diffRoutes(before, after), Policies: diffPolicies(before, after),
	}
}

func lastOf(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

func devName(s *host.Snapshot, index uint32) string {
	if l, ok := s.LinkByIndex(index); ok {
		return l.Name
	}
	return fmt.Sprintf("if%d", index)
}

// came lists what is in after and not in before, by key.
func came[T any, K comparable](before, after []T, key func(*T) K) (out []*T) {
	there := make(map[K]int, len(before))
	for i := range before {
		there[key(&before[i])]++
	}
	for i := range after {
		k := key(&after[i])
		if there[k] > 0 {
			there[k]--
			continue
		}
		out = append(out, &after[i])
	}
	return out
}

func diffAddrs(before, after *host.Snapshot) (out []AddrChange) {
	type key struct {
		index  uint32
		prefix netip.Prefix
		peer   netip.Prefix
	}
	of := func(a *host.Addr) key { return key{a.Index, a.Prefix, a.Peer} }
	for _, a := range came(after.Addrs, before.Addrs, of) {
		out = append(out, AddrChange{Removed, devName(before, a.Index), a.Prefix, a.Peer})
	}
	for _, a := range came(before.Addrs, after.Addrs, of) {
		out = append(out, AddrChange{Added, devName(after, a.Index), a.Prefix, a.Peer})
	}
	return out
}

// linkText is what counts of a device for the way of packets.
func linkText(s *host.Snapshot, l *rules.Link) string {
	words := []string{l.Name}
	if l.Kind != "" {
		words = append(words, l.Kind)
	}
	if l.Master != 0 {
		words = append(words, "master "+devName(s, l.Master))
	}
	if l.Parent != 0 {
		words = append(words, "on "+devName(s, l.Parent))
	}
	if l.Group != 0 {
		words = append(words, fmt.Sprintf("group %d", l.Group))
	}
	state := "down"
	if l.Up {
		state = "up"
	}
	return strings.Join(append(words, state), " ")
}

func diffLinks(before, after *host.Snapshot) (out []LinkChange) {
	gone := map[uint32]*rules.Link{}
	for i := range before.Links {
		gone[before.Links[i].Index] = &before.Links[i]
	}
	for i := range after.Links {
		l := &after.Links[i]
		c := LinkChange{Op: Added, Index: l.Index, Name: l.Name, Text: linkText(after, l)}
		if was := gone[l.Index]; was != nil {
			delete(gone, l.Index)
			if c.Op, c.Was = Replaced, linkText(before, was); c.Was == c.Text {
				continue
			}
		}
		out = append(out, c)
	}
	for i := range before.Links {
		if l := &before.Links[i]; gone[l.Index] != nil {
			out = append(out, LinkChange{Op: Removed, Index: l.Index, Name: l.Name, Text: linkText(before, l)})
		}
	}
	return out
}

// Of routing tables and their protocols (include/uapi/linux/rtnetlink.h).
const (
	tableMain    = 254
	tableLocal   = 255
	protoKernel  = 2
	maxHostParts = 5000 // routes, addresses, links, policies in full
)

// routeKey is what makes two routes one.
type routeKey struct {
	family   rules.Family
	table    uint32
	dst      netip.Prefix
	tos      uint8
	priority uint32
}

// routeOf is one route with its next hops.
type routeOf struct {
	key  routeKey
	text string
	devs []string
}

// routesOf joins next hops to routes.
func routesOf(s *host.Snapshot) (order []routeKey, out map[routeKey]*routeOf) {
	out = map[routeKey]*routeOf{}
	parts := map[routeKey][]string{}
	for i := range s.Routes {
		r := &s.Routes[i]
		if r.Table == tableLocal && r.Proto == protoKernel {
			continue
		}
		k := routeKey{r.Family, r.Table, r.Dst, r.Tos, r.Priority}
		if out[k] == nil {
			out[k] = &routeOf{key: k}
			order = append(order, k)
		}
		text := hopText(s, r)
		if !slices.Contains(parts[k], text) {
			parts[k] = append(parts[k], text)
		}
		if dev := devName(s, r.Oif); r.Oif != 0 && !slices.Contains(out[k].devs, dev) {
			out[k].devs = append(out[k].devs, dev)
		}
	}
	for k, r := range out {
		slices.Sort(parts[k])
		r.text = routeText(k, strings.Join(parts[k], " nexthop "))
	}
	return order, out
}

var routeTypes = map[rules.AddrType]string{
	2: "local", 3: "broadcast", 4: "anycast", 5: "multicast", 6: "blackhole", 7: "unreachable", 8: "prohibit", 9: "throw",
}

// routeProtos is RTPROT_*, by the names that iproute2 has for them.
var routeProtos = map[uint8]string{
	1: "redirect", 2: "kernel", 3: "boot", 4: "static", 9: "ra", 11: "zebra", 12: "bird", 15: "xorp", 16: "dhcp", 18: "keepalived",
	42: "babel", 84: "openr", 186: "bgp", 187: "isis", 188: "ospf", 189: "rip", 192: "eigrp",
}

// Flags of a next hop (RTNH_F_*).
const (
	hopDead     = 1
	hopLinkdown = 16
)

func hopText(s *host.Snapshot, r *host.RouteEntry) string {
	var w []string
	add := func(when bool, words ...string) {
		if when {
			w = append(w, words...)
		}
	}
	add(routeTypes[r.Type] != "", routeTypes[r.Type])
	add(r.Gateway.IsValid(), "via", r.Gateway.String())
	add(r.Oif != 0, "dev", devName(s, r.Oif))
	if name, ok := routeProtos[r.Proto]; ok {
		add(true, "proto", name)
	} else {
		add(r.Proto != 0, "proto", fmt.Sprint(r.Proto))
	}
	add(r.PrefSrc.IsValid(), "src", r.PrefSrc.String())
	add(r.Flags&hopDead != 0, "dead")
	add(r.Flags&hopLinkdown != 0, "linkdown")
	return strings.Join(w, " ")
}

func routeText(k routeKey, hops string) string {
	text := dstText(k.dst) + " " + hops
	if k.priority != 0 {
		text += fmt.Sprintf(" metric %d", k.priority)
	}
	if k.tos != 0 {
		text += fmt.Sprintf(" tos 0x%02x", k.tos)
	}
	return strings.TrimSpace(text)
}

// dstText is a destination as `ip route` writes it.
func dstText(p netip.Prefix) string {
	switch {
	case p.Bits() == 0:
		return "default"
	case p.IsSingleIP():
		return p.Addr().String()
	}
	return p.String()
}

func diffRoutes(before, after *host.Snapshot) (out []RouteChange) {
	was, old := routesOf(before)
	now, fresh := routesOf(after)
	change := func(op Op, k routeKey, r, before *routeOf) {
		c := RouteChange{Op: op, Family: k.family.String(), Table: k.table, Dst: k.dst, Text: r.text, Devs: r.devs}
		if before != nil {
			c.Was, c.WasDevs = before.text, before.devs
		}
		out = append(out, c)
	}
	for _, k := range was {
		if fresh[k] == nil {
			change(Removed, k, old[k], nil)
		}
	}
	for _, k := range now {
		switch r, o := fresh[k], old[k]; {
		case o == nil:
			change(Added, k, r, nil)
		case o.text != r.text:
			change(Replaced, k, r, o)
		}
	}
	return out
}

func diffPolicies(before, after *host.Snapshot) (out []PolicyChange) {
	of := func(p *host.PolicyRule) string { return p.Family.String() + " " + policyText(p) }
	for _, p := range came(after.RuleTable, before.RuleTable, of) {
		out = append(out, PolicyChange{Removed, p.Family.String(), policyText(p)})
	}
	for _, p := range came(before.RuleTable, after.RuleTable, of) {
		out = append(out, PolicyChange{Added, p.Family.String(), policyText(p)})
	}
	return out
}

// policyText is a row as `ip rule` lists it.
func policyText(p *host.PolicyRule) string {
	w := []string{fmt.Sprintf("%d:", p.Priority)}
	add := func(when bool, words ...string) {
		if when {
			w = append(w, words...)
		}
	}
	add(p.Invert, "not")
	if p.Src.IsValid() {
		add(true, "from", p.Src.String())
	} else {
		add(true, "from all")
	}
	add(p.Dst.IsValid(), "to", p.Dst.String())
	add(p.Mark != 0 || p.Mask != 0, fmt.Sprintf("fwmark 0x%x/0x%x", p.Mark, p.Mask))
	add(p.Iif != "", "iif", p.Iif)
	add(p.Oif != "", "oif", p.Oif)
	add(len(p.Other) > 0, p.Other...)
	add(p.L3mdev, "lookup [l3mdev-table]")
	add(p.SuppressPrefix >= 0, fmt.Sprintf("suppress_prefixlength %d", p.SuppressPrefix))
	switch p.Action {
	case 1: // FR_ACT_TO_TBL
		add(!p.L3mdev, "lookup", tableText(p.Table))
	case 2:
		add(true, "goto", fmt.Sprint(p.Goto))
	case 3:
		add(true, "nop")
	case 6:
		add(true, "blackhole")
	case 7:
		add(true, "unreachable")
	case 8:
		add(true, "prohibit")
	}
	return strings.Join(w, " ")
}

func tableText(n uint32) string {
	switch n {
	case 253:
		return "default"
	case tableMain:
		return "main"
	case tableLocal:
		return "local"
	}
	return fmt.Sprint(n)
}
