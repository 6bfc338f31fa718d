package history

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/nft"
)

// Bounds of one record: what lies beyond is counted.
const (
	maxRules    = 10000 // rules in full
	maxElements = 1000  // elements of one set in full
)

// tableKey tells tables apart; iptables-nft tables are nf_tables'.
type tableKey struct {
	legacy bool
	family rules.Family
	name   string
}

func keyOf(t *rules.Table) tableKey {
	return tableKey{t.Backend == rules.BackendIptablesLegacy, t.Family, t.Name}
}

func placeOf(t *rules.Table) Place {
	return Place{Backend: t.Backend, Family: t.Family.String(), Table: t.Name}
}

// Diff is what differs between two rulesets of one namespace, rule by rule.
// Neither is changed but for Rule.Text, which is filled where it is needed.
func Diff(before, after *rules.Ruleset) *RulesDiff {
	d := &differ{out: &RulesDiff{}}
	byKey := map[tableKey]*rules.Table{}
	for _, t := range before.Tables {
		byKey[keyOf(t)] = t
	}
	for _, t := range after.Tables {
		d.table(byKey[keyOf(t)], t)
		delete(byKey, keyOf(t))
	}
	for _, t := range before.Tables {
		if byKey[keyOf(t)] != nil {
			d.table(t, nil)
		}
	}
	d.ipsets(before, after)
	d.bound()
	return d.out
}

type differ struct{ out *RulesDiff }

// bound keeps rules that make NAT before others.
func (d *differ) bound() {
	all := d.out.Rules
	if len(all) <= maxRules {
		return
	}
	nat := func(c *RuleChange) bool { return c.NAT != nil || c.Was != nil && c.Was.NAT != nil }
	room := maxRules
	for i := range all {
		if nat(&all[i]) {
			room--
		}
	}
	kept := make([]RuleChange, 0, maxRules)
	for i := range all {
		if len(kept) == maxRules {
			break
		}
		if nat(&all[i]) {
			kept = append(kept, all[i])
		} else if room > 0 {
			kept, room = append(kept, all[i]), room-1
		}
	}
	d.out.Rules, d.out.Omitted = kept, len(all)-len(kept)
}

func (d *differ) object(op Op, p Place, what, name, text, was string) {
	if op == Replaced && text == was {
		return
	}
	d.out.Objects = append(d.out.Objects, ObjectChange{Op: op, Place: p, What: what, Name: name, Text: text, Was: was})
}

// table compares one table; either side may be nil. A table that was made anew
// counts its handles from 1 again (nf_tables_alloc_handle), so that they say
// nothing then.
func (d *differ) table(before, after *rules.Table) {
	if before == after {
		return
	}
	one := cmp.Or(after, before)
	p := placeOf(one)
	for _, t := range []*rules.Table{before, after} {
		if t != nil && len(t.Incomplete) > 0 {
			d.out.Unread = append(d.out.Unread, fmt.Sprintf("table %s %s: %s", p.Family, p.Table, t.Incomplete[0]))
		}
	}
	empty := &rules.Table{Backend: one.Backend, Family: one.Family, Name: one.Name, Handle: one.Handle}
	switch {
	case before == nil:
		d.object(Added, p, "table", one.Name, "", "")
		before = empty
	case after == nil:
		d.object(Removed, p, "table", one.Name, "", "")
		after = empty
	default:
		d.object(Replaced, p, "table", one.Name, flagsText(after), flagsText(before))
	}
	pairs(before.Chains, after.Chains, func(c *rules.Chain) string { return c.Name }, func(a, b *rules.Chain) { d.chain(p, a, b, before.Handle == after.Handle) })
	pairs(before.Sets, after.Sets, func(s *rules.Set) string { return s.Name }, func(a, b *rules.Set) { d.set(p, a, b) })
	pairs(before.Objects, after.Objects, func(o *rules.Object) string { return fmt.Sprint(o.Type, " ", o.Name) }, func(a, b *rules.Object) { d.named(p, a, b) })
	pairs(before.Flowtables, after.Flowtables, func(f *rules.Flowtable) string { return f.Name }, func(a, b *rules.Flowtable) { d.flowtable(p, a, b) })
}

func flagsText(t *rules.Table) string {
	if t.Dormant() {
		return "flags dormant"
	}
	return ""
}

// pairs calls f with the two of each name, one of them nil where there is
// only one: those of after in their order, then those that are gone.
func pairs[T any](before, after []*T, name func(*T) string, f func(a, b *T)) {
	byName := make(map[string]*T, len(before))
	for _, a := range before {
		byName[name(a)] = a
	}
	for _, b := range after {
		f(byName[name(b)], b)
		delete(byName, name(b))
	}
	for _, a := range before {
		if byName[name(a)] != nil {
			f(a, nil)
		}
	}
}

// opOf is what happened to a thing of which one side may be missing.
func opOf[T any](a, b *T) Op {
	switch {
	case a == nil:
		return Added
	case b == nil:
		return Removed
	}
	return Replaced
}

func textOf[T any](x *T, text func(*T) string) string {
	if x == nil {
		return ""
	}
	return text(x)
}

// chain compares one chain. What stands inside `jump { … }` is in the text of
// the rule that jumps.
func (d *differ) chain(p Place, before, after *rules.Chain, handles bool) {
	one := cmp.Or(after, before)
	if one.Binding {
		return
	}
	p.Chain = one.Name
	text := func(c *rules.Chain) string {
		if c.Base == nil {
			return ""
		}
		return nft.BaseText(one.Table.Family, c.Base)
	}
	d.object(opOf(before, after), p, "chain", one.Name, textOf(after, text), textOf(before, text))
	var a, b []*rules.Rule
	if before != nil {
		a = before.Rules
	}
	if after != nil {
		b = after.Rules
	}
	d.rules(p, a, b, handles && p.Backend != rules.BackendIptablesLegacy)
}

func (d *differ) named(p Place, a, b *rules.Object) {
	one := cmp.Or(b, a)
	text := func(o *rules.Object) string { return o.Detail }
	d.object(opOf(a, b), p, objectName(one.Type), one.Name, textOf(b, text), textOf(a, text))
}

var objectNames = map[rules.ObjectType]string{
	rules.ObjectCounter: "counter", rules.ObjectQuota: "quota", rules.ObjectCtHelper: "ct helper", rules.ObjectLimit: "limit",
	rules.ObjectConnlimit: "ct count", rules.ObjectTunnel: "tunnel", rules.ObjectCtTimeout: "ct timeout",
	rules.ObjectSecmark: "secmark", rules.ObjectCtExpect: "ct expectation", rules.ObjectSynproxy: "synproxy",
}

func objectName(t rules.ObjectType) string {
	if n, ok := objectNames[t]; ok {
		return n
	}
	return "object"
}

func (d *differ) flowtable(p Place, a, b *rules.Flowtable) {
	one := cmp.Or(b, a)
	text := func(f *rules.Flowtable) string {
		var devices []string
		for _, dev := range f.Devices {
			devices = append(devices, dev.String())
		}
		slices.Sort(devices)
		return fmt.Sprintf("priority %d devices %v", f.Priority, devices)
	}
	d.object(opOf(a, b), p, "flowtable", one.Name, textOf(b, text), textOf(a, text))
}
