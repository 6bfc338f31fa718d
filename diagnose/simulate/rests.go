package simulate

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/ntdiag/ntdiag/diagnose/packet"
	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/nft"
	"github.com/ntdiag/ntdiag/rules/walk"
)

// rests says what the answer rests on: what was assumed, what is not known,
// which rules were not met, and the path.
func (j *job) rests() {
	r := j.res
	j.assumed()
	var unknown rules.Sources
	for _, w := range j.ways {
		if len(r.Outcomes) > 1 {
			unknown |= w.unknown
		}
		for _, n := range w.notes {
			if !slices.Contains(r.Unknown, n) {
				r.Unknown = append(r.Unknown, n)
			}
		}
	}
	if j.host.RulesUnread() {
		r.Unknown = append(r.Unknown, "rules that could not be read")
	}
	for _, s := range unknown.List() {
		r.Unknown = append(r.Unknown, s.String())
	}
	for _, w := range j.ways {
		r.Path = j.merged(r.Path, packet.Path(w.steps, packet.Order(j.host)))
	}
	j.misses()
}

func (j *job) assumed() {
	r := j.res
	if j.used.Has(rules.FromIif) {
		for _, st := range j.starts {
			if st.iif.State == rules.IfaceAssumed {
				r.Assumed = append(r.Assumed, fmt.Sprintf("iif %s from %s", nft.Escape(st.iif.Link.Name), j.arrival()))
			}
		}
	}
	for _, a := range []struct {
		s    rules.Source
		text string
	}{
		{rules.FromMark, "packet mark 0 on arrival"},
		{rules.FromNAT, "source ports are not taken"},
		{rules.FromChainOrder, "chains of tables that share a priority run in the order of their handles"},
		{rules.FromSet, "set elements as they are now"},
	} {
		if j.used.Has(a.s) {
			r.Assumed = append(r.Assumed, a.text)
		}
	}
	rewritten := slices.ContainsFunc(r.Outcomes, func(o Outcome) bool { return o.DNAT != nil || o.SNAT != nil })
	if j.flow.IsICMP() && j.asked.IDOpen && rewritten {
		r.Unknown = append(r.Unknown, "the id of the query")
	}
}

func (j *job) arrival() string {
	switch {
	case j.route.Type == rules.AddrLocal:
		return "the address asked for"
	case j.route.Prefix.IsValid() && j.route.Prefix.Bits() == 0:
		return "reverse path default"
	case j.route.Prefix.IsValid():
		return "reverse path " + j.route.Prefix.String()
	}
	return "reverse path"
}

// misses are the rules that could have rewritten the packet on its likeliest
// way and did not match.
func (j *job) misses() {
	if len(j.ways) == 0 {
		return
	}
	w := j.ways[0]
	for i := range w.steps {
		s := &w.steps[i]
		if s.Rule != nil && s.Result == rules.No && packet.NATBearing(s.Rule, s.Hook) {
			j.res.Not = append(j.res.Not, Miss{s.Rule, packet.Why(s, packet.Order(j.host))})
		}
	}
}

// merged adds the steps of one more way to a path, each in its place: a step
// that other ways do not have stands before the next one that they share, and
// before the next hook. What is a match on one way and none on another is
// unknown.
func (j *job) merged(path, add []packet.Step) []packet.Step {
	if len(path) == 0 {
		return add
	}
	at := 0
	for i := range add {
		s := &add[i]
		k := indexOf(path, s, at)
		if k < 0 {
			k = indexOf(path, s, 0) // in another order there
		}
		if k >= 0 {
			if path[k].Result != s.Result {
				path[k].Result, path[k].Why = "unknown", "on some ways"
			}
			at = max(at, k+1)
			continue
		}
		k = j.place(path, add[i:], at)
		path = slices.Insert(path, k, *s)
		at = k + 1
	}
	return path
}

// place is where the first of the steps belongs in path, from at on.
func (j *job) place(path, steps []packet.Step, at int) int {
	end := len(path)
	for k := at; k < len(path); k++ {
		if j.rank(path[k].Hook) > j.rank(steps[0].Hook) {
			end = k
			break
		}
	}
	for n := range steps[1:] {
		if m := indexOf(path, &steps[n+1], at); m >= 0 {
			return min(m, end)
		}
	}
	return end
}

// rank is the place of a hook in the packet's way.
func (j *job) rank(h rules.Hook) int {
	order := []rules.Hook{rules.Prerouting, rules.Input, rules.Forward, rules.Output, rules.Postrouting}
	if j.res.Entry == rules.Output {
		order = []rules.Hook{rules.Output, rules.Forward, rules.Postrouting, rules.Prerouting, rules.Input}
	}
	return slices.Index(order, h)
}

func indexOf(path []packet.Step, s *packet.Step, from int) int {
	for i := from; i < len(path); i++ {
		if p := &path[i]; p.Hook == s.Hook && p.Chain == s.Chain && p.Rule == s.Rule {
			return i
		}
	}
	return -1
}

// unknown are the sources that left points of this way open.
func (s *script) unknown() rules.Sources {
	var out rules.Sources
	for i := range s.points {
		out |= s.points[i].open.Answer.Unknown
	}
	return out
}

// say is which way the point goes, in words.
func (p *point) say(o binary.ByteOrder) string {
	c := &p.open
	if c.Statement == nil {
		return p.text
	}
	w := &c.Ways[p.ways[p.way]]
	where := ruleName(c.Rule) + ": "
	text := nft.ConditionIn(c.Rule, c.Statement, o)
	switch w.Kind {
	case walk.Holds:
		if _, lot := c.Statement.(*rules.Chance); lot {
			return where + text + " hits"
		}
		return where + text
	case walk.Fails:
		if _, lot := c.Statement.(*rules.Chance); lot {
			return where + text + " misses"
		}
		return where + "not " + text
	case walk.Takes:
		return where + keyText(c, w, o)
	case walk.Is:
		return where + text + " yields " + valueText(c, &w.Value, o)
	case walk.Accepts:
		return where + text + " lets it on"
	case walk.Queues:
		return where + text + " keeps it"
	case walk.Drops:
		return where + text + " drops it"
	}
	return where + text + " rewrites it"
}

func keyText(c *walk.Choice, w *walk.Way, o binary.ByteOrder) string {
	x := subject(c.Statement)
	if x == nil {
		return "one of its targets"
	}
	name := nft.ExprText(x, c.Rule.Chain.Table.Family)
	if w.Element.Catchall {
		return name + " is none of the others"
	}
	text := name + " is " + nft.ValueText(x, w.Element.Key, o)
	if w.Element.KeyEnd != nil {
		text += "-" + nft.ValueText(x, w.Element.KeyEnd, o)
	}
	return text
}

func valueText(c *walk.Choice, v *rules.Value, o binary.ByteOrder) string {
	if x := subject(c.Statement); x != nil {
		return nft.ValueText(x, v.Bytes(), o)
	}
	return fmt.Sprintf("%x", v.Bytes())
}

// ruleName names a rule inside its table.
func ruleName(r *rules.Rule) string {
	return fmt.Sprintf("%s %s %s", nft.Escape(r.Chain.Table.Name), nft.Escape(r.Chain.Name), r.Ref())
}
