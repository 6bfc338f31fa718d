package history

import (
	"fmt"
	"strings"
	"time"

	"github.com/ntdiag/ntdiag/rules"
)

// Sentence is the event in words, with times in the location of now: "rule
// handle 7 (dnat to 10.244.1.7:53) was replaced at 10:05:12 by firewalld (pid
// 812)". Names in it are as the kernel has them: escape them for a terminal.
func (e *Event) Sentence(now time.Time) string {
	if e.Change == nil {
		return strings.Join(e.Limits, "; ")
	}
	out := e.what + " " + WhenText(e.At, e.After, now)
	if by := ByText(e.By); by != "" {
		out += " by " + by
	}
	return out
}

// WhenText is "at 10:05:12", or "between 10:05:02 and 10:05:12" for what was
// found by comparing.
func WhenText(at, after, now time.Time) string {
	if after.IsZero() {
		return "at " + ClockText(at, now)
	}
	return "between " + ClockText(after, now) + " and " + ClockText(at, now)
}

// ClockText is the time of day, with the date when it is not that of now.
func ClockText(t, now time.Time) string {
	t = t.In(now.Location())
	if y, m, d := now.Date(); y == t.Year() && m == t.Month() && d == t.Day() {
		return t.Format(time.TimeOnly)
	}
	return t.Format(time.DateTime)
}

// ByText names who made a change, one of several, or nobody.
func ByText(by []Author) string {
	var out []string
	for i := range by {
		a := &by[i]
		name := a.Program
		if name == "" {
			name = "an unknown program"
		}
		if a.PID != 0 {
			name += fmt.Sprintf(" (pid %d)", a.PID)
		}
		if a.Parent != "" {
			name += " of " + a.Parent
		}
		out = append(out, name)
	}
	return strings.Join(out, " or ")
}

// Ref names the rule as Rule.Ref does, with its place.
func (c *RuleChange) ref(v *RuleVersion) string {
	return "rule " + strings.TrimPrefix(rules.RuleRef(c.Backend, v.Handle, v.Position), "rule ")
}

func (c *RuleChange) sentence() string {
	v := &c.RuleVersion
	if c.Op == Replaced && c.Was != nil {
		v = c.Was
	}
	what := v.Text
	if v.NAT != nil {
		what = v.NAT.String()
	}
	if v.Comment != "" {
		what += ", \"" + v.Comment + "\""
	}
	out := fmt.Sprintf("%s of %s %s %s (%s) was %s", c.ref(v), c.Family, c.Table, c.Chain, what, c.Op)
	if c.Op == Replaced {
		out += " by one "
		if c.NAT != nil {
			out += "with " + c.NAT.String()
		} else {
			out += "without NAT"
		}
	}
	return out
}

// String is the target as a rule would say it: "dnat to 10.244.1.7:53".
func (t *Target) String() string {
	var to []string
	for i := range t.To {
		if i == maxNamed {
			to = append(to, "…")
			break
		}
		to = append(to, t.To[i].String())
	}
	if t.Map != "" {
		to = append(to, "map "+t.Map)
	}
	if len(to) == 0 {
		return t.Kind
	}
	return t.Kind + " to " + strings.Join(to, ", ")
}

// maxNamed is how many targets a sentence names.
const maxNamed = 3

func (r *Range) String() string {
	addr, port := "", ""
	if r.Addr.IsValid() {
		addr = r.Addr.String()
		if r.AddrMax.IsValid() && r.AddrMax != r.Addr {
			addr += "-" + r.AddrMax.String()
		} else if r.Port != nil && r.Addr.Is6() {
			addr = "[" + addr + "]"
		}
	}
	if r.Port != nil {
		port = fmt.Sprintf(":%d", *r.Port)
		if r.PortMax != nil && *r.PortMax != *r.Port {
			port += fmt.Sprintf("-%d", *r.PortMax)
		}
	}
	return addr + port
}

func (e *ElementChange) sentence(s *SetChange) string {
	name := s.What + " " + s.Set
	if s.Table != "" {
		name = fmt.Sprintf("%s %s %s %s", s.What, s.Family, s.Table, s.Set)
	}
	switch e.Op {
	case Added:
		return fmt.Sprintf("element %s was added to %s", e.Text, name)
	case Removed:
		return fmt.Sprintf("element %s was removed from %s", e.Text, name)
	}
	return fmt.Sprintf("element %s of %s was replaced by %s", e.Was, name, e.Text)
}

func (a *AddrChange) String() string {
	if a.Op == Added {
		return fmt.Sprintf("%s was added to %s", a.Prefix, a.Dev)
	}
	return fmt.Sprintf("%s was removed from %s", a.Prefix, a.Dev)
}

func (c *RouteChange) String() string {
	name := "the route to " + c.Dst.String()
	if c.Table != tableMain {
		name += " in table " + tableText(c.Table)
	}
	devs := func(names []string) string { return strings.Join(names, ", ") }
	switch {
	case c.Op == Added:
		return name + " was added (" + c.Text + ")"
	case c.Op == Removed:
		return name + " was removed (" + c.Text + ")"
	case devs(c.Devs) != devs(c.WasDevs) && len(c.Devs) > 0 && len(c.WasDevs) > 0:
		return name + " moved from " + devs(c.WasDevs) + " to " + devs(c.Devs)
	}
	return name + " was replaced: " + c.Was + ", now " + c.Text
}

func (c *PolicyChange) String() string {
	return "policy rule " + c.Text + " was " + string(c.Op)
}

func (c *LinkChange) String() string {
	switch c.Op {
	case Added:
		return "device " + c.Text + " was added"
	case Removed:
		return "device " + c.Text + " was removed"
	}
	return "device " + c.Was + " became " + c.Text
}

// limits are what the records leave open about the time from the flow's start,
// or from at, until now.
func (h *History) limits(q *CauseQuery, at time.Time) (out []string) {
	start, now := q.Start, q.Now
	if now.IsZero() {
		now = time.Now()
	}
	clock := func(t time.Time) string { return ClockText(t, now) }
	if len(h.Changes) == 0 {
		return []string{"nothing was recorded"}
	}
	first := h.Changes[0].At
	switch {
	case at.IsZero() && h.Dropped > 0:
		out = append(out, fmt.Sprintf("the records begin at %s: older ones made room", clock(first)))
	case at.IsZero() && (start.IsZero() || start.Before(first)):
		out = append(out, fmt.Sprintf("recording began at %s: what changed before is not known", clock(first)))
	}
	for _, g := range h.Gaps() {
		if g.To.After(start) && g.To.After(at) {
			out = append(out, fmt.Sprintf("from %s to %s not everything was recorded: %s", clock(g.From), clock(g.To), g.Why))
		}
	}
	if h.Damaged > 0 {
		out = append(out, fmt.Sprintf("%d records could not be read", h.Damaged))
	}
	if !h.Recording {
		out = append(out, fmt.Sprintf("recording ended at %s", clock(h.End())))
	}
	return out
}

// End is until when the records tell everything, but for the gaps.
func (h *History) End() time.Time {
	end := h.Alive
	if n := len(h.Changes); n > 0 {
		last := h.Changes[n-1]
		if last.Kind == KindStop || last.At.After(end) {
			end = last.At
		}
	}
	return end
}

// Gaps are the times of which not everything was recorded, oldest first: those
// that were noted, and those between two recordings.
func (h *History) Gaps() (out []Gap) {
	for i, c := range h.Changes {
		switch {
		case c.Kind == KindGap && c.Gap != nil:
			out = append(out, *c.Gap)
		case c.Kind == KindStart && i > 0:
			g := Gap{From: h.Changes[i-1].At, To: c.At, Why: "nobody recorded"}
			if c.Start != nil && c.Start.Last.After(g.From) && h.Changes[i-1].Kind != KindStop {
				g.From = c.Start.Last
			}
			if c.Start != nil && c.Start.SameRules {
				g.Why += " (nf_tables did not change)"
			}
			out = append(out, g)
		}
	}
	return out
}
