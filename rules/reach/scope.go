package reach

import (
	"fmt"
	"slices"

	"github.com/ntdiag/ntdiag/rules"
)

// hider is packets that do not come here, and the rule that took them.
type hider struct {
	rule  *rules.Rule
	base  *rules.Chain // in which it was met
	level level
	takes conj
	reads place
	// unsourced packets are left by it: a masquerade, for the next nat chain.
	unsourced bool
	// returns and accepts are how many packets had got away before: see scope.
	returns, accepts int
}

// scope is one chain being gone through in one way.
type scope struct {
	parent *scope
	base   *rules.Chain
	cut    place // written since the parent's hiders were noted
	need   conj  // holds of every packet that is in the chain

	// away are packets that got past the rest of the base chain, shared by all
	// scopes of it; returned those that left this chain for the one before.
	away     *[]conj
	returned []conj

	points map[string][]*hider // by one field that they want to be one value
	wide   []*hider
	reads  place
}

// Bounds of what one scope keeps: beyond them claims are missed, never wrong.
const (
	maxWide   = 256
	maxBucket = 32
)

// child is a chain that a rule leads to, after it has written.
func (s *scope) child(need conj, written place) *scope {
	return &scope{parent: s, base: s.base, away: s.away, cut: written, need: need.without(written)}
}

// add notes that packets are taken.
func (s *scope) add(h *hider) {
	h.reads, h.returns = h.takes.places(), len(s.returned)
	if s.away != nil {
		h.accepts = len(*s.away)
	}
	s.reads |= h.reads
	if key, ok := pointOf(h.takes); ok {
		if s.points == nil {
			s.points = map[string][]*hider{}
		}
		if len(s.points[key]) < maxBucket {
			s.points[key] = append(s.points[key], h)
		}
		return
	}
	if len(s.wide) < maxWide {
		s.wide = append(s.wide, h)
	}
}

// maxAway bounds how many ways out are told apart.
const maxAway = 64

// escape notes packets that leave the chain or, with all, the base chain.
func (s *scope) escape(need conj, all bool) {
	to := &s.returned
	if all {
		to = s.away
	}
	if len(*to) == maxAway {
		need = nil // any packet
	}
	if n := len(*to); n <= maxAway {
		*to = append(*to, need)
	}
}

// missed tells whether packets that h takes can have got away before.
func missed(h *hider, ways []conj) bool {
	for _, w := range ways {
		if x, _ := append(slices.Clone(w), h.takes...).clash(); x == nil {
			return true
		}
	}
	return false
}

// pointOf is the key of a plain field that has to be one value.
func pointOf(c conj) (string, bool) {
	for i := range c {
		if v, ok := c[i].v.single(); ok && c[i].f.of == nil && !c[i].orAbsent {
			return pointKey(c[i].f.key, v), true
		}
	}
	return "", false
}

func pointKey(field, value string) string { return fmt.Sprintf("%s=%s", field, value) }

// wrote forgets what rests on places that a rule has written to.
func (s *scope) wrote(to place) {
	if to == 0 {
		return
	}
	s.cut |= to
	s.need = s.need.without(to)
	if s.reads&to == 0 {
		return
	}
	stale := func(h *hider) bool { return h.reads&to != 0 }
	s.wide = slices.DeleteFunc(s.wide, stale)
	for k, hs := range s.points {
		s.points[k] = slices.DeleteFunc(hs, stale)
	}
}

// own are the hiders of this scope alone that take packets at least so far.
func (s *scope) own(least level) []*hider {
	var out []*hider
	keep := func(hs []*hider) {
		for _, h := range hs {
			if h.level >= least {
				out = append(out, h)
			}
		}
	}
	keep(s.wide)
	for _, hs := range s.points {
		keep(hs)
	}
	return out
}

// hiderOf finds a rule that takes every packet of which need holds.
func (s *scope) hiderOf(need conj) *hider {
	base := s.base
	var cut place
	keys := pointKeys(need)
	for ; s != nil; s = s.parent {
		for _, k := range keys {
			if h := pick(s.points[k], need, cut, base); h != nil {
				return h
			}
		}
		if h := pick(s.wide, need, cut, base); h != nil {
			return h
		}
		cut |= s.cut
	}
	return nil
}

// pointKeys are the keys under which hiders of such packets are found; header
// fields may be read in fewer bytes.
func pointKeys(need conj) []string {
	var out []string
	for i := range need {
		a := &need[i]
		if a.f.of != nil || len(a.v) == 0 {
			continue
		}
		for n := 1; n <= a.f.width; n++ {
			if v, ok := a.v.head(n).single(); ok {
				out = append(out, pointKey(a.f.key, v))
			}
		}
	}
	return out
}

func pick(hs []*hider, need conj, cut place, base *rules.Chain) *hider {
	for _, h := range hs {
		if h.reads&cut == 0 && surelyBefore(h.base, base) && covers(h.takes, need) {
			return h
		}
	}
	return nil
}

func covers(takes, need conj) bool {
	for i := range takes {
		if !need.implies(&takes[i]) {
			return false
		}
	}
	return true
}

// surelyBefore tells whether the kernel runs base chain a before b, which
// comes later in the list: where two tables share a priority it does not say.
// The dispatcher of the nat chains as a whole stands where its first chain was
// registered.
func surelyBefore(a, b *rules.Chain) bool {
	if a == b || a == nil || b == nil || a.EffectivePriority() != b.EffectivePriority() {
		return true
	}
	aNAT, bNAT := a.Base.Type == rules.ChainNAT, b.Base.Type == rules.ChainNAT
	switch {
	case aNAT != bNAT:
		return false
	case aNAT && a.Base.Priority != b.Base.Priority:
		return true
	}
	return a.Table == b.Table && a.Handle != b.Handle
}
