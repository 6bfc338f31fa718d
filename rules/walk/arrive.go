package walk

import "github.com/ntdiag/ntdiag/rules"

// earlyChains are those that a packet meets before the hooks of IP: at ingress
// of its devices, and in the bridge that it came through.
type earlyChains struct {
	ingress []*rules.Chain // netdev, and inet with hook ingress: one list (nf_hook_entry_head)
	bridge  map[rules.Hook][]*rules.Chain
}

func newEarlyChains(rs *rules.Ruleset) earlyChains {
	e := earlyChains{ingress: rs.AtIngress(), bridge: map[rules.Hook][]*rules.Chain{}}
	for h := rules.Prerouting; h <= rules.Postrouting; h++ {
		if chains := rs.AtBridge(h); len(chains) > 0 {
			e.bridge[h] = chains
		}
	}
	return e
}

func (e *earlyChains) empty() bool { return len(e.ingress) == 0 && len(e.bridge) == 0 }

// bounds of the devices that are looked at one by one.
const (
	maxStacked = 8
	maxPorts   = 256
)

// brnfPriority is NF_BR_PRI_BRNF, where br_netfilter sits in the bridge's
// prerouting: it runs prerouting of IP from there.
const brnfPriority = 0

// arrive takes a packet from the wire to prerouting (__netif_receive_skb_core).
func (x *run) arrive(cur state) state {
	in := cur.p.Iif
	switch in.State {
	case rules.IfaceNone: // locally generated
		return cur
	case rules.IfaceUnknown:
		cur = x.anywhere(cur, nil)
	case rules.IfaceAssumed:
		x.res.Used |= rules.Of(rules.FromIif)
		cur = x.through(in.Link, cur, 0)
		// which chains it met, and so its marks, rests on the device
		cur.p.Mark.AssumedBy |= rules.Of(rules.FromIif)
		cur.p.Priority.AssumedBy |= rules.Of(rules.FromIif)
	default:
		cur = x.through(in.Link, cur, 0)
	}
	cur.p.Iif = in
	return cur
}

// through takes it by the devices below dev, then past the chains at dev.
func (x *run) through(dev rules.Link, cur state, depth int) state {
	b, known := x.beneath(&cur, dev)
	switch {
	case !known || depth > maxStacked:
		cur = x.anywhere(cur, &dev)
	case len(b.Links) > 0:
		out := state{live: dead}
		for _, port := range x.oneOf(b.Links) {
			one := x.through(port, cur, depth+1)
			if b.Bridge {
				one = x.bridgeIn(port, one, b.CallsIP)
			}
			out = join(out, one)
		}
		cur = out
	case b.Bridge: // its ports are gone
		cur = x.eachMay(cur, x.w.early.bridge[rules.Prerouting], x.w.early.bridge[rules.Input])
	}
	if depth == 0 && dev.Master != 0 {
		// a port that is an input device itself: the bridge handed it on (broute)
		cur = x.eachMay(cur, x.w.early.bridge[rules.Prerouting])
	}
	at := chainsAt(x.w.early.ingress, dev.Name)
	if b.Bridge && b.CallsIP != rules.No {
		return x.eachMay(cur, at) // or after prerouting, which is run from below it
	}
	return x.inOrder(cur, at, func(c *rules.Chain, st state) state { return x.early(c, onDevice(dev), st) })
}

func (x *run) beneath(cur *state, dev rules.Link) (rules.Beneath, bool) {
	if cur.p.Host == nil {
		return rules.Beneath{}, false
	}
	b, known := cur.p.Host.Beneath(dev.Index, cur.p.Family)
	return b, known && len(b.Links) <= maxPorts
}

func onDevice(dev rules.Link) rules.Iface { return rules.Iface{State: rules.IfaceKnown, Link: dev} }

// chainsAt are those that hang at the device.
func chainsAt(chains []*rules.Chain, name string) (out []*rules.Chain) {
	for _, c := range chains {
		for _, d := range c.Base.Devices {
			if d.Is(name) {
				out = append(out, c)
				break
			}
		}
	}
	return out
}

// bridgeIn takes what came by a port past the chains of the bridge, as far as
// they run before prerouting of IP.
func (x *run) bridgeIn(port rules.Link, cur state, callsIP rules.Truth) state {
	pre, input := x.w.early.bridge[rules.Prerouting], x.w.early.bridge[rules.Input]
	cur = x.inOrder(cur, pre, func(c *rules.Chain, st state) state {
		switch {
		case callsIP == rules.No || c.Base.Priority < brnfPriority:
			return x.early(c, onDevice(port), st)
		case callsIP == rules.Yes && c.Base.Priority > brnfPriority:
			return st
		}
		return x.may(c, onDevice(port), st)
	})
	return x.inOrder(cur, input, func(c *rules.Chain, st state) state {
		switch callsIP {
		case rules.No:
			return x.early(c, onDevice(port), st)
		case rules.Yes:
			return st
		}
		return x.may(c, onDevice(port), st)
	})
}

// bridgedOn: where br_netfilter runs the hooks of IP, chains of the bridge run
// between them; which of them the packet meets depends on whether it is
// forwarded by the bridge or by IP.
func (x *run) bridgedOn(cur state) state {
	in := cur.p.Iif
	if in.State == rules.IfaceNone || in.State != rules.IfaceUnknown && in.Link.Kind != "bridge" {
		return cur
	}
	if b, known := x.beneath(&cur, in.Link); in.State != rules.IfaceUnknown && known && b.CallsIP == rules.No {
		return cur
	}
	early := &x.w.early
	switch x.hook {
	case rules.Input, rules.Forward:
		var late []*rules.Chain
		for _, c := range early.bridge[rules.Prerouting] {
			if c.Base.Priority >= brnfPriority {
				late = append(late, c)
			}
		}
		lists := [][]*rules.Chain{late, early.bridge[rules.Input]}
		if in.State != rules.IfaceUnknown {
			lists = append(lists, chainsAt(early.ingress, in.Link.Name))
		}
		if x.hook == rules.Forward {
			lists = append(lists, early.bridge[rules.Forward])
		}
		cur = x.eachMay(cur, lists...)
	case rules.Postrouting:
		if cur.p.Oif.State == rules.IfaceUnknown || in.State == rules.IfaceUnknown || cur.p.Oif.Link.Index == in.Link.Index {
			cur = x.eachMay(cur, early.bridge[rules.Forward], early.bridge[rules.Postrouting])
		}
	}
	cur.p.Iif = in
	return cur
}

// anywhere: the device, or those below it, are not known. Chains at dev itself
// are left to the caller.
func (x *run) anywhere(cur state, dev *rules.Link) state {
	var elsewhere []*rules.Chain
	for _, c := range x.w.early.ingress {
		if dev == nil || len(chainsAt([]*rules.Chain{c}, dev.Name)) == 0 {
			elsewhere = append(elsewhere, c)
		}
	}
	return x.eachMay(cur, elsewhere, x.w.early.bridge[rules.Prerouting], x.w.early.bridge[rules.Input])
}

// eachMay takes it past chains each of which it may have met.
func (x *run) eachMay(cur state, lists ...[]*rules.Chain) state {
	for _, chains := range lists {
		cur = x.inOrder(cur, chains, func(c *rules.Chain, st state) state { return x.may(c, x.deviceOf(c, &st), st) })
	}
	return cur
}

// deviceOf is the device by which a packet meets the chain, if it is one only.
func (x *run) deviceOf(c *rules.Chain, st *state) rules.Iface {
	if len(c.Base.Devices) != 1 || c.Base.Devices[0].Prefix || st.p.Host == nil {
		return rules.Iface{}
	}
	link, ok := st.p.Host.LinkByName(c.Base.Devices[0].Name)
	if !ok {
		return rules.Iface{}
	}
	return onDevice(link)
}

// inOrder runs chains one after the other, in each order that they can have.
func (x *run) inOrder(cur state, chains []*rules.Chain, one func(*rules.Chain, state) state) state {
	if len(chains) == 0 {
		return cur
	}
	out := state{live: dead}
	all := append([][]*rules.Chain{chains}, orders(chains)...)
	if x.opt.Choose != nil {
		i := x.pick(len(all), func(int) string { return "chains that share a priority in one of their orders" })
		all = all[i : i+1]
	}
	for _, order := range all {
		st := cur
		for _, c := range order {
			if st.live.Truth != rules.No {
				st = one(c, st)
			}
		}
		out = join(out, st)
	}
	return out
}

// oneOf leaves one port of several where the walk goes one way only.
func (x *run) oneOf(ports []rules.Link) []rules.Link {
	if x.opt.Choose == nil {
		return ports
	}
	i := x.pick(len(ports), func(i int) string { return "it comes in by port " + ports[i].Name })
	return ports[i : i+1]
}

// may joins the way past the chain with the way without it.
func (x *run) may(c *rules.Chain, in rules.Iface, cur state) state {
	if x.opt.Choose != nil {
		met := x.pick(2, func(i int) string {
			return [...]string{"it does not meet ", "it meets "}[i] + c.Table.Family.String() + " " + c.Table.Name + " " + c.Name
		})
		if met == 0 {
			return cur
		}
		return x.early(c, in, cur)
	}
	out := join(cur, x.early(c, in, cur))
	out.live = cur.live
	return out
}

// early runs one chain that hangs where the packet is no packet of IP yet: it
// sees the device in, is not tracked, and can be a fragment.
func (x *run) early(c *rules.Chain, in rules.Iface, cur state) state {
	was, hook := cur.p, x.hook
	p := &cur.p
	x.hook, p.Hook, p.Iif = c.Base.Hook, c.Base.Hook, in
	if c.Table.Family != rules.FamilyInet {
		p.SeenAs = c.Table.Family
	}
	if p.SeenAs == rules.FamilyBridge {
		p.Tracked, p.Untracked = rules.Unknown, rules.Unknown // nf_conntrack_bridge
		p.Oif = bridgeOut(c.Base.Hook)
	}
	if p.Family == rules.FamilyIPv4 && p.Net.N >= fragEnd {
		p.Net.Open(fragAt, fragEnd-fragAt, rules.FromFragment)
	}
	link(p)
	st := &cur
	x.base(c, &st)
	out := *st
	x.hook = hook
	q := &out.p
	q.Link = was.Link
	q.Hook, q.Iif, q.Oif, q.SeenAs = was.Hook, was.Iif, was.Oif, was.SeenAs
	q.Tracked, q.Untracked = was.Tracked, was.Untracked
	for i := fragAt; i < min(fragEnd, was.Net.N); i++ {
		q.Net.Bits[i], q.Net.Known[i], q.Net.From[i] = was.Net.Bits[i], was.Net.Known[i], was.Net.From[i]
	}
	return out
}

// link is the frame's header, which is there for these chains: without a VLAN
// tag, that is assumed, it tells the protocol.
func link(p *rules.Packet) {
	if p.Link.N > 0 {
		return
	}
	p.Link.N = etherLen
	p.Link.Open(0, etherLen, rules.FromLink)
	if proto := (&rules.Meta{Key: rules.MetaProtocol}).Eval(p); proto.IsKnown() {
		p.Link.Set(etherLen-proto.N, proto.Bytes(), rules.FromLink)
	}
}

// etherLen is ETH_HLEN; the protocol is at its end.
const etherLen = 14

// flags and fragment offset of an IPv4 header.
const (
	fragAt  = 6
	fragEnd = 8
)

// bridgeOut is a port, of which nothing tells which, where the bridge has
// chosen one.
func bridgeOut(h rules.Hook) rules.Iface {
	if h == rules.Forward || h == rules.Postrouting {
		return rules.Iface{}
	}
	return rules.Iface{State: rules.IfaceNone}
}
