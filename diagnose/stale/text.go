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
		return was + ", and no rule does that to a new packet"
	case RuleAdded:
		return was + "; a new packet goes " + now
	case NotYetNAT:
		return "it was confirmed without NAT being set up, so that no rule rewrites its packets; a new packet goes " + now
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

// nowText is where end m would go, and by which rule: of several by one rule
// that is named once.
func (c *judging) nowText(m rules.Manip) string {
	word := map[rules.Manip]string{rules.ManipDst: "to ", rules.ManipSrc: "from "}[m]
	var texts, by []string
	for _, o := range append([][2]*simulate.NAT{c.out.Now}, c.out.Others...) {
		t, b := c.target(o[m], m), " as it is sent"
		if n := o[m]; n != nil {
			b = " by " + packet.RuleName(n.Rule)
		}
		if k := slices.Index(texts, t); k >= 0 && by[k] == b {
			continue
		}
		if len(texts) == maxOthers+1 {
			return word + joined(texts, by) + " or …"
		}
		texts, by = append(texts, t), append(by, b)
	}
	return word + joined(texts, by)
}

// joined puts what is said of each target behind the last one that it is said
// of.
func joined(texts, by []string) string {
	var b strings.Builder
	for i, t := range texts {
		if i > 0 {
			b.WriteString(" or ")
		}
		b.WriteString(t)
		if i+1 == len(by) || by[i+1] != by[i] {
			b.WriteString(by[i])
		}
	}
	return b.String()
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
