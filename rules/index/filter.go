package index

import (
	"slices"

	"github.com/ntdiag/ntdiag/rules"
)

// Filter goes over the rules of a chain that a packet can match. The zero value
// is one of no chain; it can be used again.
type Filter struct {
	chain *Chain
	lists [][]int32 // what is left of each
	used  rules.Sources
	// waits: rules are yielded because an assumption has not decided anything
	// so far.
	waits bool
}

// Of makes it one of c, to be begun.
func (f *Filter) Of(c *Chain) { f.chain = c }

// Begin goes over the rules from the at-th on, for p as it now is; used is what
// has decided anything so far. It is to be called again whenever a rule can
// have changed the packet.
func (f *Filter) Begin(p *rules.Packet, used rules.Sources, at int) {
	c := f.chain
	f.lists, f.used, f.waits = f.lists[:0], used, false
	var stands [maxFields]settled
	var words [maxFields]word
	for i := range c.fields {
		if c.fields[i].needed {
			words[i], stands[i] = c.fields[i].load(p, used)
		}
	}
	f.add(c.always, at)
	for i := range c.parts {
		part := &c.parts[i]
		switch stands[part.field] {
		case known:
			w := words[part.field]
			f.add(part.exact.of(w), at)
			if k := part.after(w); k > 0 {
				f.add(part.within[k-1], at)
			}
		case waiting:
			f.waits = true
			f.add(part.all, at)
		case open:
			f.add(part.all, at)
		}
	}
	for i := range c.guards {
		g := &c.guards[i]
		if g.field >= 0 && stands[g.field] >= known || f.harmless(g, p) {
			continue
		}
		f.add(g.rules, at)
	}
}

// harmless tells whether rules that are left out fail all the same, and with
// nothing to tell, whatever the guard says.
func (f *Filter) harmless(g *guard, p *rules.Packet) bool {
	if g.cond == nil {
		f.waits = true
		return false
	}
	a := g.cond.Test(p)
	switch {
	case a.Truth == rules.Unknown:
		return false
	case a.Assumed&^f.used == 0, a.Truth == rules.Yes && !g.loud:
		return true
	}
	f.waits = true
	return false
}

func (f *Filter) add(list []int32, at int) {
	if len(list) == 0 || int(list[len(list)-1]) < at {
		return
	}
	if int(list[0]) < at {
		i, _ := slices.BinarySearch(list, int32(at))
		list = list[i:]
	}
	f.lists = append(f.lists, list)
}

// Next is the first rule from the at-th on that is to be looked at; as many as
// the chain has where there is none. at never falls.
func (f *Filter) Next(at int) int {
	next := f.chain.n
	for i := range f.lists {
		l := f.lists[i]
		for len(l) > 0 && int(l[0]) < at {
			l = l[1:]
		}
		f.lists[i] = l
		if len(l) > 0 && int(l[0]) < next {
			next = int(l[0])
		}
	}
	return next
}

// Outdated tells whether fewer rules may have to be looked at, now that used
// has decided something.
func (f *Filter) Outdated(used rules.Sources) bool { return f.waits && used != f.used }
