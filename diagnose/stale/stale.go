package stale

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/query"
	"github.com/ntdiag/ntdiag/diagnose/simulate"
	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/nft"
)

// Judge judges flows against one snapshot. It is safe for concurrent use.
type Judge struct {
	host  *host.Snapshot
	sim   *simulate.Simulator
	pools []pool
	blind string // why nothing can be told
}

// New prepares a Judge.
func New(s *host.Snapshot) *Judge {
	j := &Judge{host: s, sim: simulate.New(s), pools: poolsOf(s.Rules)}
	if s.RulesUnread() {
		j.blind = "rules could not be read: " + strings.Join(host.MissingText(s.Missing), "; ")
	}
	return j
}

// Judge says whether f is what a new packet of its original tuple would become.
func (j *Judge) Judge(f *host.Flow) Verdict {
	c := &judging{Judge: j, f: f, ends: f.Ends(), out: Verdict{Flow: *f}}
	c.judge()
	return c.out
}

// judging is one flow being judged.
type judging struct {
	*Judge
	f    *host.Flow
	ends [2]host.Rewrite // observed, by manip
	res  *simulate.Result
	// ways are the outcomes in which a new packet finds the zone of the entry,
	// and is let through; others those had what was assumed been otherwise.
	ways, others []*simulate.Outcome
	doubts       []string
	assumed      []string
	out          Verdict
}

func (c *judging) judge() {
	if why := c.exempt(); why != "" {
		c.out.Why = why
		return
	}
	p := packetOf(c.f)
	if c.fresh(p) { // as most are
		c.out.Fate = Fresh
		return
	}
	res, err := c.sim.Outcomes(p)
	if err != nil {
		c.out.Why = err.Error()
		return
	}
	c.res = res
	if !c.gather() {
		return
	}
	switch c.fits(c.ways) {
	case rules.Yes:
		c.out.Fate = Fresh
		return
	case rules.Unknown:
		c.out.Why = "what a rule on its way does is not known"
		return
	}
	c.stale()
}

// fresh tells whether the packet, as it is assumed to be, gets what the entry
// holds.
func (c *judging) fresh(p query.Packet) bool {
	all, err := c.sim.Ways(p)
	if err != nil {
		return false
	}
	ways, _ := reach(c.f, all)
	return c.fits(ways) == rules.Yes
}

// exempt are flows that no rule is asked for, and why.
func (c *judging) exempt() string {
	switch f := c.f; {
	case c.blind != "":
		return c.blind
	case f.Status.Has(host.StatusExpected):
		return "expected by a connection tracking helper: its rewrite follows the master connection"
	case f.Has&host.HasSynproxy != 0:
		return "answered by synproxy: this host began the connection to the server"
	}
	return ""
}

// packetOf is a new packet with the original tuple of f. It comes without a
// zone: rules set that.
func packetOf(f *host.Flow) query.Packet {
	return query.Packet{Family: f.Family, Tuple: f.Original}
}

// gather takes the outcomes that lead to the entry's own tuple and zone.
func (c *judging) gather() bool {
	var why string
	c.ways, why = reach(c.f, c.res.Outcomes)
	c.others, _ = reach(c.f, c.res.Otherwise)
	if len(c.ways) == 0 && len(c.others) > 0 && c.f.Zone != 0 {
		// the zone tells that what was assumed of the device is not so
		c.ways, c.others = c.others, nil
	}
	if len(c.ways) > 0 {
		return true
	}
	if c.addressLost() {
		c.out.Fate = Stale
		c.classify(SNATAddressGone, rules.ManipSrc, nil)
		c.doubt(why)
		c.finish()
		return false
	}
	c.out.Why = why
	return false
}

// reach picks the outcomes that make an entry where f stands, and says why
// there is none.
func reach(f *host.Flow, all []simulate.Outcome) (out []*simulate.Outcome, why string) {
	for i := range all {
		o := &all[i]
		switch {
		case o.Verdict != simulate.VerdictAccept:
			why = "a new packet is not let through: " + ending(o)
		case o.Untracked:
			why = "a new packet is not tracked, so that it does not meet this entry"
		case !o.ZoneKnown:
			why = "which zone a new packet is in is not known"
		case o.Zone != f.Zone:
			why = "a new packet is in another zone than this entry"
		case !sameTuple(f, o):
			why = "a rule before conntrack writes into packets of this tuple"
		default:
			out = append(out, o)
		}
	}
	return out, why
}

// sameTuple tells whether conntrack takes the new packet in with the tuple of
// the entry.
func sameTuple(f *host.Flow, o *simulate.Outcome) bool {
	for m, e := range f.Ends() {
		t := o.Original[m]
		if t.Lo != e.From.Addr || t.Hi != e.From.Addr {
			return false
		}
		if t.HasPort && !f.IsICMP() && t.PortLo != e.From.Port {
			return false
		}
	}
	return true
}

// fits tells whether one of the outcomes makes what is observed.
func (c *judging) fits(list []*simulate.Outcome) rules.Truth {
	best := rules.No
	for _, o := range list {
		t := c.fitsOne(o)
		if t == rules.Yes {
			return t
		}
		best = best.Or(t)
	}
	return best
}

func (c *judging) fitsOne(o *simulate.Outcome) rules.Truth {
	return c.fitsEnd(o, rules.ManipDst).And(c.fitsEnd(o, rules.ManipSrc))
}

// maker is an outcome, or what is kept of one.
type maker interface {
	Makes(m rules.Manip, from, to host.Endpoint) rules.Truth
}

// fitsEnd compares one end.
func (c *judging) fitsEnd(o maker, m rules.Manip) rules.Truth {
	e := c.ends[m]
	from, to := e.From, e.To
	if c.f.IsICMP() && m == rules.ManipDst {
		from.Port = to.Port
	}
	return o.Makes(m, from, to)
}

func natOf(o *simulate.Outcome, m rules.Manip) *simulate.NAT {
	if m == rules.ManipDst {
		return o.DNAT
	}
	return o.SNAT
}

// chance is what chooses anew for each flow: every way it can go was gone.
const chance = rules.Sources(1<<rules.FromRandom | 1<<rules.FromHash | 1<<rules.FromNAT)

// stale fills in the verdict of a flow that no way of a new packet makes.
func (c *judging) stale() {
	c.out.Fate = Stale
	o := c.nearest()
	c.out.In, c.out.Out = o.In, o.Out
	c.out.Now = rewritesOf(o)
	m := rules.ManipDst
	if c.fitsEnd(o, m) == rules.Yes {
		m = rules.ManipSrc
	}
	c.classify(c.classOf(o, m), m, natOf(o, m))
	c.alternatives()
	c.weigh(o)
	c.finish()
}

// changing is n where it makes the packet another one.
func changing(n *simulate.NAT) *simulate.NAT {
	if n.Changes() {
		return n
	}
	return nil
}

// nearest is the outcome to show: the likeliest, of those whose destination is
// that of the entry when there is one.
func (c *judging) nearest() *simulate.Outcome {
	for _, o := range c.ways {
		if c.fitsEnd(o, rules.ManipDst) == rules.Yes {
			return o
		}
	}
	return c.ways[0]
}

// alternatives are what else a new packet may get.
func (c *judging) alternatives() {
	seen := [][2]*simulate.NAT{c.out.Now}
	for _, o := range c.ways {
		n := rewritesOf(o)
		if slices.ContainsFunc(seen, func(s [2]*simulate.NAT) bool { return sameTarget(s[0], n[0]) && sameTarget(s[1], n[1]) }) {
			continue
		}
		seen = append(seen, n)
		c.out.Others = append(c.out.Others, n)
	}
}

// rewritesOf are the rewrites of an outcome that change something, by manip.
func rewritesOf(o *simulate.Outcome) [2]*simulate.NAT {
	return [2]*simulate.NAT{rules.ManipSrc: changing(o.SNAT), rules.ManipDst: changing(o.DNAT)}
}

func sameTarget(a, b *simulate.NAT) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.To == b.To
}

// weigh says what the answer rests on: what could make it another makes it
// likely.
func (c *judging) weigh(o *simulate.Outcome) {
	r := c.res
	for _, s := range (r.Open &^ chance).List() {
		c.doubt(s.String())
	}
	if r.Used.Has(rules.FromChainOrder) {
		c.doubt(rules.FromChainOrder.String())
	}
	if r.More {
		c.doubt("there are more ways than were gone")
	}
	if r.Vague {
		c.vague()
	}
	if r.Open&^chance == 0 && slices.ContainsFunc(r.Outcomes, func(o simulate.Outcome) bool { return o.Verdict != simulate.VerdictAccept }) {
		c.doubt("on some ways a new packet is dropped")
	}
	c.otherwise(o)
	c.bound(o)
	if o.In != "" && o.In == o.Out && c.ends[rules.ManipDst].From == c.ends[rules.ManipDst].To {
		// more likely this host sent it, from an address that it had then
		c.doubt("by its address it would leave by the device that it came in by")
	}
	if c.res.Entry == rules.Prerouting && c.transparent() {
		c.doubt("by a local route this host takes in what is sent to its source: a transparent proxy here may have sent it")
	}
	if c.f.Has&host.HasCounters != 0 && c.f.Orig.Packets == 0 && c.f.Status&(host.StatusOffload|host.StatusHWOffload) == 0 {
		c.doubt("it has seen no packet: it may have been made through ctnetlink")
	}
	if r.Used.Has(rules.FromIif) && o.In != "" {
		c.assumed = append(c.assumed, "iif "+nft.Escape(o.In)+" by routes to its source")
	}
	if r.Used.Has(rules.FromMark) {
		c.assumed = append(c.assumed, "packet mark 0 on arrival")
	}
}

// otherwise looks at what was assumed of the packet: whether it would be as it
// is had that been otherwise.
func (c *judging) otherwise(o *simulate.Outcome) {
	var devices []string
	mark := false
	for _, x := range c.others {
		switch {
		case c.fitsOne(x) == rules.No:
		case x.In == o.In:
			mark = true
		case !slices.Contains(devices, x.In) && c.comesBy(x.In, o.In):
			devices = append(devices, x.In)
		}
	}
	if mark {
		c.doubt("with another packet mark it would be as it is")
	}
	if len(devices) > 0 {
		c.doubt("had it come in by " + nft.Escape(strings.Join(devices, " or ")) + " it would be as it is")
	}
}

// bound looks at what this host sends: a socket can be bound to a device
// (SO_BINDTODEVICE), and its packets then leave by that one wherever else
// routes lead.
func (c *judging) bound(o *simulate.Outcome) {
	if c.res.Entry != rules.Output || o.Out == "" {
		return
	}
	var devices []string
	tried := 0
	for _, l := range c.host.Links {
		if l.Name == o.Out || l.Name == "lo" || !c.routesTo(l.Name, c.f.Original.Dst, func(*host.RouteEntry) bool { return true }) {
			continue
		}
		if tried++; tried > maxDevices {
			c.doubt("its socket can be bound to more devices than were tried")
			break
		}
		if slices.ContainsFunc(c.by(l.Name), func(w *simulate.Outcome) bool { return c.fitsOne(w) != rules.No }) {
			devices = append(devices, l.Name)
		}
	}
	if len(devices) > 0 {
		c.doubt("were its socket bound to " + nft.Escape(strings.Join(devices, " or ")) + " it would be as it is")
	}
}

// transparent tells whether a local route takes in more than this host's own
// addresses, that of the flow's source among them. A proxy needs one for the
// answers where it sends with the address of its client (IP_TRANSPARENT).
func (c *judging) transparent() bool {
	src := c.f.Original.Src
	for i := range c.host.Routes {
		r := &c.host.Routes[i]
		if r.Type == rules.AddrLocal && r.Dst.Bits() < src.BitLen() && r.Dst.Contains(src) {
			return true
		}
	}
	return false
}

// comesBy tells whether packets with the source of the flow can come in by dev,
// where routes say that they come by usual: a neighbour on a link comes by
// another one only where that too has a route to it; what is behind a gateway,
// by any device that leads to it.
func (c *judging) comesBy(dev, usual string) bool {
	least := 0
	src := c.f.Original.Src
	if c.routesTo(usual, src, func(r *host.RouteEntry) bool { return r.Dst.Bits() > 0 && !r.Gateway.IsValid() }) {
		least = 1
	}
	return c.routesTo(dev, src, func(r *host.RouteEntry) bool { return r.Dst.Bits() >= least })
}

// routesTo tells whether one of the routes to a by dev is as asked.
func (c *judging) routesTo(dev string, a netip.Addr, ok func(*host.RouteEntry) bool) bool {
	link, found := c.host.LinkByName(dev)
	if !found {
		return true // then nothing speaks against it
	}
	for i := range c.host.Routes {
		r := &c.host.Routes[i]
		if r.Oif == link.Index && r.Type == rules.AddrUnicast && r.Dst.Contains(a) && ok(r) {
			return true
		}
	}
	return false
}

// vague names what of the machine could not be read.
func (c *judging) vague() {
	var what []string
	for _, m := range c.host.Missing {
		if !slices.Contains(what, m.What) {
			what = append(what, m.What)
		}
	}
	if len(what) == 0 {
		c.doubt("its route")
		return
	}
	c.doubt("what could not be read (" + strings.Join(what, ", ") + ")")
}

func (c *judging) doubt(why string) { c.doubts = append(c.doubts, why) }

// finish grades the verdict.
func (c *judging) finish() {
	v := &c.out
	v.Confidence = Certain
	if len(c.doubts) > 0 {
		v.Confidence = Likely
	}
	v.Assumed, v.Unknown = c.assumed, c.doubts
	v.Risks = c.risks()
	v.Why = c.why()
}

// classify names the change and takes what the flow is from its ends.
func (c *judging) classify(class Class, m rules.Manip, n *simulate.NAT) {
	v := &c.out
	for m := range c.ends {
		if e := c.ends[m]; e.From != e.To {
			v.Was[m] = &e
		}
	}
	e := c.ends[m]
	v.Change = Change{Class: class, Proto: c.f.Original.Proto, Manip: m, To: e.To}
	if m == rules.ManipSrc {
		v.Change.To.Port = 0
		if e.From.Addr == e.To.Addr {
			v.Change.To.Addr = netip.Addr{}
		}
	}
	if c.f.IsICMP() {
		v.Change.To.Port = 0
	}
	if n = changing(n); n != nil {
		v.Rule, v.Map = n.Rule, mapOf(n.Rule)
	}
}

// mapOf is the map that a NAT rule takes its target from, nil for none.
func mapOf(r *rules.Rule) *rules.Set {
	n := r.NAT()
	if n == nil {
		return nil
	}
	for _, x := range []rules.Expr{n.AddrMin, n.PortMin} {
		if s, ok := x.(*rules.Slice); ok {
			x = s.X
		}
		if l, ok := x.(*rules.MapLookup); ok {
			return l.Set
		}
	}
	return nil
}
