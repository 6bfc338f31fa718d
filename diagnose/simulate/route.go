package simulate

import (
	"fmt"
	"net/netip"

	"github.com/ntdiag/ntdiag/rules"
)

// decision is where the route leads.
type decision uint8

const (
	toNowhere decision = iota // the way has ended
	toHost
	toOther
)

// lives is the check of the TTL before the forward hook, where it counts down.
func (w *way) lives() bool {
	off := 8
	if w.p.Family == rules.FamilyIPv6 {
		off = 7
	}
	w.script.facts.epoch++
	v := w.p.Net.Read(off, 1)
	if !v.IsKnown() {
		return true
	}
	if v.Bits[0] <= 1 {
		w.stop(VerdictDrop, nil, nil, "its TTL ends here: answered with ICMP time exceeded")
		return false
	}
	w.p.Net.Set(off, []byte{v.Bits[0] - 1}, v.From[0])
	return true
}

// arrives is what ip_rcv and ip6_rcv refuse before any hook.
func (w *way) arrives() bool {
	if w.p.Family != rules.FamilyIPv6 || w.p.Iif.Link.Name == "lo" {
		return true
	}
	if w.flow.Original.Src.IsLoopback() || w.flow.Original.Dst.IsLoopback() {
		w.refuseArrival("a loopback address from another device is refused (ip6_rcv)")
		return false
	}
	return true
}

func (w *way) query(p *rules.Packet) rules.RouteQuery {
	q := rules.RouteQuery{Iif: p.Iif.Link.Index}
	q.Dst, _ = p.Addr(true)
	q.Src, _ = p.Addr(false)
	if p.Mark.IsKnown() {
		q.Mark, q.MarkKnown = uint32(p.Mark.Uint(p.ByteOrder())), true
		if p.Mark.From[0] == rules.FromMark && w.host.RoutesByMark(p.Family) {
			w.used |= rules.Of(rules.FromMark)
		}
	} else if m := &p.Mark; m.N == 4 {
		o := p.ByteOrder()
		q.MarkBits = o.Uint32(m.Known[:4])
		q.Mark = o.Uint32(m.Bits[:4]) & q.MarkBits
	}
	return q
}

// lookup is the route by which the packet goes; of several the script picks
// one. Where the destination is one of a range each of it is looked up.
func (w *way) lookup(p *rules.Packet, q rules.RouteQuery) (rules.Route, rules.Truth) {
	if q.Dst.IsValid() {
		return w.hop(q)
	}
	off, n := 16, 4
	if p.Family == rules.FamilyIPv6 {
		off, n = 24, 16
	}
	v := p.Net.Read(off, n)
	lo, hi := addrBounds(&v)
	if d := w.tuple[rules.ManipDst]; w.asked[rules.ManipDst] && d.Lo.IsValid() && d.Lo != d.Hi {
		lo, hi = d.Lo, d.Hi
	}
	return w.oneOf(q, lo, hi)
}

// maxLookups bounds how many addresses of a range are looked up.
const maxLookups = 1024

// oneOf looks up every address from lo to hi and picks one of the different
// answers.
func (w *way) oneOf(q rules.RouteQuery, lo, hi netip.Addr) (rules.Route, rules.Truth) {
	type answer struct {
		r     rules.Route
		known rules.Truth
	}
	var all []answer
	seen := map[answer]bool{}
	if !lo.IsValid() {
		return rules.Route{}, rules.Unknown
	}
	n := 0
	for a := lo; a.IsValid() && !hi.Less(a); a = a.Next() {
		if n++; n > maxLookups {
			return rules.Route{}, rules.Unknown
		}
		q.Dst = a
		r, known := w.host.Lookup(q)
		hops := []rules.Route{r}
		if r.Multipath {
			hops = w.host.Hops(q)
		}
		for _, r := range hops {
			r.Prefix, r.PrefSrc = netip.Prefix{}, netip.Addr{}
			if x := (answer{r, known}); !seen[x] {
				seen[x] = true
				all = append(all, x)
			}
		}
	}
	i := w.script.pick(len(all), func(i int) string { return "an address that goes by " + w.routeName(all[i].r) })
	return all[i].r, all[i].known
}

func (w *way) hop(q rules.RouteQuery) (rules.Route, rules.Truth) {
	r, known := w.host.Lookup(q)
	if known != rules.Yes || !r.Multipath {
		return r, known
	}
	hops := w.host.Hops(q)
	if len(hops) < 2 {
		return r, known
	}
	i := w.script.pick(len(hops), func(i int) string { return "next hop " + w.routeName(hops[i]) })
	return hops[i], known
}

func (w *way) routeName(r rules.Route) string {
	name := "no device"
	if l, ok := w.host.LinkByIndex(r.Oif); ok {
		name = l.Name
	}
	if r.Gateway.IsValid() {
		return r.Gateway.String() + " " + name
	}
	return name
}

// known is a device that routes give: it is no assumption, the packet is yet to
// be routed by them.
func (w *way) known(index uint32) rules.Iface {
	link, ok := w.host.LinkByIndex(index)
	if !ok {
		return rules.Iface{}
	}
	return rules.Iface{State: rules.IfaceKnown, Link: link}
}

// routeIn follows ip_route_input_slow, or ip6_route_input and ip6_forward.
func (w *way) routeIn() decision {
	if w.p.Family == rules.FamilyIPv4 && !w.sane() {
		return toNowhere
	}
	q := w.query(w.p)
	r, known := w.lookup(w.p, q)
	if known == rules.Unknown {
		return w.unrouted(q)
	}
	if known == rules.No {
		r.Type = rules.AddrUnreachable
	}
	switch r.Type {
	case rules.AddrLocal, rules.AddrBroadcast, rules.AddrMulticast, rules.AddrAnycast:
		if !w.validSource(r) {
			return toNowhere
		}
		return toHost
	case rules.AddrUnicast:
	default:
		w.refuse(r, known)
		return toNowhere
	}
	if !w.forwards() || !w.validSource(r) {
		return toNowhere
	}
	w.leave(r)
	return toOther
}

// leave puts the packet on the device that it leaves by.
func (w *way) leave(r rules.Route) {
	w.p.Oif = w.known(r.Oif)
	if w.oif == "" || w.oif == w.p.Oif.Link.Name {
		return
	}
	if link, ok := w.host.LinkByName(w.oif); ok {
		w.note(fmt.Sprintf("oif %s as said; routes give %s", w.oif, w.routeName(r)))
		w.p.Oif = rules.Iface{State: rules.IfaceKnown, Link: link}
	}
}

// unrouted goes on where the route is not known: an address of this host is
// delivered, anything else leaves by a device that is not known.
func (w *way) unrouted(q rules.RouteQuery) decision {
	w.note("the route to " + w.dstText())
	if q.Dst.IsValid() && w.host.IsLocal(q.Dst) == rules.Yes {
		return toHost
	}
	if w.oif != "" {
		if link, ok := w.host.LinkByName(w.oif); ok {
			w.p.Oif = rules.Iface{State: rules.IfaceKnown, Link: link}
			return toOther
		}
	}
	w.p.Oif = rules.Iface{}
	if !q.Dst.IsValid() || w.host.IsLocal(q.Dst) == rules.Unknown {
		if w.script.pick(2, func(i int) string {
			return [...]string{"it is not for this host", "it is for this host"}[i]
		}) == 1 {
			return toHost
		}
	}
	return toOther
}

func (w *way) note(text string) { w.notes = append(w.notes, text) }

func (w *way) dstText() string {
	if a := w.end(w.p, true).Addrs(); a != "" {
		return a
	}
	return "its destination"
}

// refusals is what each type of route that leads nowhere does (fib_props).
var refusals = map[rules.AddrType]string{
	rules.AddrBlackhole:   "blackhole: dropped without an answer",
	rules.AddrUnreachable: "unreachable: answered with ICMP host unreachable",
	rules.AddrProhibit:    "prohibit: answered with ICMP administratively prohibited",
}

func (w *way) refuse(r rules.Route, known rules.Truth) {
	dst := w.dstText()
	switch text := refusals[r.Type]; {
	case known == rules.No:
		w.stop(VerdictDrop, nil, nil, "no route to "+dst)
	case text != "":
		w.stop(VerdictDrop, nil, nil, fmt.Sprintf("the route to %s is %s", dst, text))
	default:
		w.stop(VerdictDrop, nil, nil, fmt.Sprintf("the route to %s leads nowhere (type %d)", dst, r.Type))
	}
}

// forwards asks whether the host sends on what is not for it (IN_DEV_FORWARD,
// devconf_all of IPv6).
func (w *way) forwards() bool {
	both := [...]string{"net.ipv4.conf." + w.p.Iif.Link.Name + ".forwarding", "net.ipv4.ip_forward"}
	keys := both[:]
	if w.p.Family == rules.FamilyIPv6 {
		keys = keys[1:]
		keys[0] = "net.ipv6.conf.all.forwarding"
	}
	for _, k := range keys {
		f, ok := w.host.Sysctls[k]
		if !ok || !f.OK {
			continue
		}
		if f.Value == "0" {
			w.stop(VerdictDrop, nil, nil, k+" is 0: this host does not forward")
			return false
		}
		return true
	}
	w.note(keys[len(keys)-1])
	return true
}

// refuseArrival ends the way for where the packet came in.
func (w *way) refuseArrival(why string) {
	w.stop(VerdictDrop, nil, nil, why)
	w.out.astray = true
}

// sane is what ip_route_input_slow refuses before it looks at routes.
func (w *way) sane() bool {
	dev := w.p.Iif.Link.Name
	src, dst := w.end(w.p, false), w.end(w.p, true)
	localnet := w.host.DevConf(dev, "route_localnet")
	why := ""
	switch {
	case src.Lo.IsValid() && src.Lo == src.Hi && (src.Lo.IsMulticast() || src.Lo == limitedBroadcast):
		why = "martian source " + src.Lo.String()
	case dst.Lo == dst.Hi && dst.Lo == limitedBroadcast:
		return true
	case src.Lo == src.Hi && zeroNet.Contains(src.Lo):
		why = "martian source " + src.Lo.String()
	case dst.Lo == dst.Hi && zeroNet.Contains(dst.Lo):
		why = "martian destination " + dst.Lo.String()
	case dev == "lo" || localnet == 1:
		return true
	case dst.Lo == dst.Hi && dst.Lo.IsLoopback():
		why = fmt.Sprintf("martian destination %s: route_localnet of %s is 0", dst.Lo, dev)
	case src.Lo == src.Hi && src.Lo.IsLoopback():
		why = fmt.Sprintf("martian source %s: route_localnet of %s is 0", src.Lo, dev)
	default:
		return true
	}
	if localnet < 0 && (dst.Lo.IsLoopback() || src.Lo.IsLoopback()) {
		w.note("route_localnet of " + dev)
		return true
	}
	w.refuseArrival(why)
	return false
}

var (
	limitedBroadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})
	zeroNet          = netip.MustParsePrefix("0.0.0.0/8")
)

// validSource follows fib_validate_source: a source that is this host's own,
// and reverse path filtering.
func (w *way) validSource(to rules.Route) bool {
	src, ok := w.p.Addr(false)
	dev := w.p.Iif.Link
	if w.p.Family != rules.FamilyIPv4 || !ok || w.p.Iif.State == rules.IfaceUnknown || dev.Name == "lo" || src.IsUnspecified() {
		return true
	}
	q := rules.RouteQuery{Dst: src, MarkKnown: true}
	q.Src, _ = w.p.Addr(true)
	q.Iif = to.Oif
	if to.Type != rules.AddrUnicast {
		q.Iif = 0
	}
	if w.host.DevConf(dev.Name, "src_valid_mark") == 1 && w.p.Mark.IsKnown() {
		q.Mark = uint32(w.p.Mark.Uint(w.p.ByteOrder()))
	}
	own := w.host.IsLocal(src) == rules.Yes
	if own && w.host.DevConf(dev.Name, "accept_local") != 1 {
		w.refuseArrival(fmt.Sprintf("martian source %s: it is this host's own, and came in by %s", src, dev.Name))
		return false
	}
	rpf := w.host.RPFilter(dev.Name)
	if rpf == 0 {
		return true
	}
	if rpf < 0 {
		w.note("rp_filter of " + dev.Name)
		return true
	}
	r, known := w.host.Lookup(q)
	if known == rules.Unknown {
		w.note("the reverse path to " + src.String())
		return true
	}
	why := ""
	switch {
	case known == rules.No || r.Type != rules.AddrUnicast && !own:
		why = fmt.Sprintf("reverse path filter: no route back to %s (rp_filter of %s is %d)", src, dev.Name, rpf)
	case rpf == 1 && !w.returnsBy(q, dev.Index):
		why = fmt.Sprintf("reverse path filter: %s is behind %s, not %s (rp_filter is 1)", src, w.routeName(r), dev.Name)
	default:
		return true
	}
	w.refuseArrival(why)
	return false
}

func (w *way) returnsBy(q rules.RouteQuery, index uint32) bool {
	for _, h := range w.host.Hops(q) {
		if h.Oif == index {
			return true
		}
	}
	return false
}

// routeOut follows ip_route_output_key: it sets the device that p leaves by,
// and tells whether it comes back over the loopback device.
func (w *way) routeOut(p *rules.Packet) (local, ok bool) {
	q := w.query(p)
	q.Iif = 0
	if w.oif != "" {
		if l, found := w.host.LinkByName(w.oif); found {
			q.Oif = l.Index
		}
	}
	r, known := w.lookup(p, q)
	if known == rules.Unknown {
		w.note("the route to " + w.dstText())
		p.Oif = rules.Iface{}
		if q.Oif != 0 {
			p.Oif = w.known(q.Oif)
		}
		if q.Dst.IsValid() && w.host.IsLocal(q.Dst) == rules.Yes {
			r.Type = rules.AddrLocal
		} else {
			return false, true
		}
	}
	switch {
	case known == rules.No:
		w.refuse(r, known)
		return false, false
	case r.Type == rules.AddrLocal:
		lo, found := w.host.LinkByName("lo")
		if !found {
			p.Oif = rules.Iface{}
			return true, true
		}
		p.Oif = rules.Iface{State: rules.IfaceKnown, Link: lo}
		return true, true
	case r.Type >= rules.AddrBlackhole:
		w.stop(VerdictDrop, nil, nil, fmt.Sprintf("the route to %s is %s", w.dstText(), [...]string{"blackhole", "unreachable", "prohibit"}[min(r.Type-rules.AddrBlackhole, 2)]))
		return false, false
	}
	p.Oif = w.known(r.Oif)
	return false, true
}

// lacks tells whether a part of the machine could not be read.
func (w *way) lacks(part string) bool {
	for _, m := range w.host.Missing {
		if m.What == part {
			return true
		}
	}
	return false
}
