package stale

import (
	"slices"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/simulate"
	"github.com/ntdiag/ntdiag/rules"
)

// natDone are the bits that say that NAT was set up, by manip.
var natDone = [2]host.Status{rules.ManipSrc: host.StatusSrcNATDone, rules.ManipDst: host.StatusDstNATDone}

// classOf is in which way end m differs from what outcome o makes of it.
func (c *judging) classOf(o *simulate.Outcome, m rules.Manip) Class {
	e, now := c.ends[m], changing(natOf(o, m))
	unchanged := e.From == e.To || m == rules.ManipSrc && e.From.Addr == e.To.Addr
	switch {
	case !c.f.Status.Has(natDone[m]) && now != nil:
		return NotYetNAT
	case unchanged:
		return RuleAdded
	case m == rules.ManipSrc:
		return c.sourceClass(o, now)
	case now == nil:
		return RuleGone
	}
	return TargetChanged
}

// sourceClass tells a rule that is gone from an address or a route that is.
func (c *judging) sourceClass(o *simulate.Outcome, now *simulate.NAT) Class {
	same, some := c.byOtherDevice(o)
	switch {
	case same:
		return RouteChanged
	case c.lost() && (now != nil || some):
		return SNATAddressGone
	case now == nil:
		return RuleGone
	}
	return TargetChanged
}

// maxDevices bounds the devices that are tried one by one.
const maxDevices = 16

// byOtherDevice tells whether a packet that leaves by another device than o's
// gets the observed source, and whether one gets any other by rule.
func (c *judging) byOtherDevice(o *simulate.Outcome) (same, some bool) {
	if o.Out == "" {
		return false, false
	}
	for _, dev := range c.devices(o.Out) {
		for _, w := range c.by(dev) {
			if changing(w.SNAT) == nil {
				continue
			}
			some = true
			same = same || c.fitsEnd(w, rules.ManipSrc) == rules.Yes
		}
		if same {
			break
		}
	}
	return same, some
}

// by are the ways of a new packet that leaves by dev, none where it cannot.
func (c *judging) by(dev string) []*simulate.Outcome {
	p := packetOf(c.f)
	p.Oif = dev
	res, err := c.sim.Outcomes(p)
	if err != nil {
		return nil
	}
	ways, _ := reach(c.f, res.Outcomes)
	return slices.DeleteFunc(ways, func(w *simulate.Outcome) bool { return w.Out != dev })
}

// devices are those besides out that can have given the observed source: the
// one that has the address, else any.
func (c *judging) devices(out string) []string {
	to := c.ends[rules.ManipSrc].To.Addr
	var all, own []string
	for _, l := range c.host.Links {
		if l.Name == out || l.Name == "lo" {
			continue
		}
		all = append(all, l.Name)
		for i := range c.host.Addrs {
			if a := &c.host.Addrs[i]; a.Index == l.Index && a.Prefix.Addr() == to {
				own = append(own, l.Name)
			}
		}
	}
	switch {
	case len(own) > 0:
		return own
	case len(all) > maxDevices:
		return nil
	}
	return all
}

// lost tells whether the SNAT address is neither one of this host's nor one
// that a rule gives.
func (c *judging) lost() bool {
	e := c.ends[rules.ManipSrc]
	if e.From.Addr == e.To.Addr || c.host.IsLocal(e.To.Addr) != rules.No {
		return false
	}
	for _, p := range c.pools {
		if p.has(e.To.Addr) {
			return false
		}
	}
	return true
}

// addressLost tells whether the SNAT address is gone where routing, or want of
// an address, keeps a new packet from being sent at all.
func (c *judging) addressLost() bool {
	for i := range c.res.Outcomes {
		o := &c.res.Outcomes[i]
		if o.Verdict != simulate.VerdictDrop || o.Chain != nil || o.By != nil && o.By.NAT() == nil {
			return false
		}
	}
	return len(c.res.Outcomes) > 0 && c.lost()
}
