package stale

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/packet"
	"github.com/ntdiag/ntdiag/diagnose/simulate"
	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/nft"
)

// ending says what ends the way of an outcome.
func ending(o *simulate.Outcome) string {
	switch {
	case o.Why != "" && o.By == nil && o.Chain == nil:
		return o.Why
	case o.By != nil && o.Why != "":
		return o.Why + ", " + packet.RuleName(o.By)
	case o.By != nil:
		return string(o.Verdict) + " by " + packet.RuleName(o.By)
	case o.Chain != nil:
		return "policy drop of " + o.Chain.Table.Family.String() + " " + nft.Escape(o.Chain.Table.Name) + " " + nft.Escape(o.Chain.Name)
	}
	return string(o.Verdict)
}

// maxOthers bounds the alternatives that are named.
const maxOthers = 3

// why is the sentence of a stale flow.
func (c *judging) why() string {
	v := &c.out
	m := v.Manip
	was, now := c.wasText(m), c.nowText(m)
	switch v.Class {
	case RuleGone:
		return was + ", and no present rule does that"
	case RuleAdded:
		return was + "; a new packet goes " + now
	case NotYetNAT:
		return "it was confirmed before NAT was set up, so that its packets do not meet the nat chains; a new packet goes " + now
	case SNATAddressGone:
		if v.Now[m] == nil {
			return was + ", which neither this host nor a rule has"
		}
		return was + ", which neither this host nor a rule has; a new packet goes " + now
	case RouteChanged:
		if v.Now[m] == nil {
			return was + "; a new packet leaves by " + nft.Escape(v.Out) + " with its own address"
		}
		return was + "; a new packet leaves by " + nft.Escape(v.Out) + ", " + now
	}
	return was + "; a new packet goes " + now
}

// wasText is where end m goes.
func (c *judging) wasText(m rules.Manip) string {
	e := c.ends[m]
	if m == rules.ManipDst {
		if e.From == e.To {
			return "it goes to " + c.endText(e.To) + " as it is sent"
		}
		return "it goes to " + c.endText(e.To)
	}
	if e.From.Addr == e.To.Addr {
		return "it leaves with its own source " + e.From.Addr.String()
	}
	return "it leaves from " + e.To.Addr.String()
}

func (c *judging) endText(e host.Endpoint) string {
	if !c.f.HasPorts() {
		return e.Addr.String()
	}
	return netip.AddrPortFrom(e.Addr, e.Port).String()
}

// nowText is where end m would go, and by which rule.
func (c *judging) nowText(m rules.Manip) string {
	word := map[rules.Manip]string{rules.ManipDst: "to ", rules.ManipSrc: "from "}[m]
	texts := []string{c.target(c.out.Now[m], m)}
	for _, o := range c.out.Others {
		t := c.target(o[m], m)
		if slices.Contains(texts, t) {
			continue
		}
		if len(texts) > maxOthers {
			texts = append(texts, "…")
			break
		}
		texts = append(texts, t)
	}
	text := word + strings.Join(texts, " or ")
	if n := c.out.Now[m]; n != nil {
		text += " by " + packet.RuleName(n.Rule)
	}
	return text
}

// target is what end m becomes by n, what it was sent as where n is nil.
func (c *judging) target(n *simulate.NAT, m rules.Manip) string {
	switch e := c.ends[m]; {
	case n != nil:
		return targetText(n, c.f)
	case m == rules.ManipSrc:
		return e.From.Addr.String()
	default:
		return c.endText(e.From)
	}
}

// targetText is what an end becomes, the port where a rule gives it one.
func targetText(n *simulate.NAT, f *host.Flow) string {
	withPort := f.HasPorts() && n.To.Port != simulate.PortKept && n.To.Port != simulate.PortNone
	return n.To.Text(withPort)
}
