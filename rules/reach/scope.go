package reach

import (
	"slices"

	"github.com/ntdiag/ntdiag/rules"
)

// hider is packets that do not come here, and the rule that took them.
type hider struct {
	rule  *rules.Rule
	base  *rules.Chain // in which it was met
	level level
	takes conj
	// except are packets that got away before the rule.
	except []conj
	reads  place
	// unsourced packets are left by it: a masquerade, for the next nat chain.
	unsourced bool
	// returns and accepts are how many packets had got away before: see scope.
	returns, accepts int
	nth              int // in its scope
	// wants are marks of the single values that takes asks header fields for:
	// what it takes has them all.
	wants uint64
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

	points map[fixed][]*hider // by one field that they want to be one value
	bits   uint64             // of the keys of points
	// unhidden: no hider takes all packets that are in the chain, as far as
	// hiders were added.
	unhidden bool
	wide     []*hider
	reads    place
	added    int
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
	h.wants = 0
	for i := range h.takes {
		if x := &h.takes[i]; x.f.parts && !x.orAbsent {
			if v, ok := x.v.single(); ok {
				h.wants |= fixed{x.f.id, v}.mark()
			}
		}
	}
	h.reads, h.returns, h.nth = h.takes.places(), len(s.returned), s.added
	s.added++
	for _, e := range h.except {
		h.reads |= e.places()
	}
	if s.away != nil {
		h.accepts = len(*s.away)
	}
	s.reads |= h.reads
	if key, ok := pointOf(h.takes); ok {
		if s.points == nil {
			s.points = map[fixed][]*hider{}
		}
		if hs := s.points[key]; len(hs) < maxBucket {
			s.points[key] = append(hs, h)
			s.bits |= key.bit()
			s.unhidden = s.unhidden && !h.covers(s.need)
		}
		return
	}
	if len(s.wide) < maxWide {
		s.wide = append(s.wide, h)
		s.unhidden = s.unhidden && !h.covers(s.need)
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

// maxExcept bounds what a hider may leave out.
const maxExcept = 8

// leaving is what a hider that is handed on leaves out: what it left out
// before, and what had got away. False when that is too much to keep.
func (h *hider) leaving(ways ...[]conj) ([]conj, bool) {
	out := slices.Clone(h.except)
	for _, w := range slices.Concat(ways...) {
		if x, _ := slices.Concat(w, h.takes).clash(0); x != nil {
			continue // it takes none of them
		}
		if len(out) == maxExcept || len(w) == 0 {
			return nil, false
		}
		out = append(out, w)
	}
	return out, true
}

// fixed is a field with its value.
type fixed struct {
	id    int
	value string
}

// bit tells most keys that are not there from those that are.
func (k fixed) bit() uint64 { return 1 << uint((k.id*5+len(k.value))%64) }

// mark is one of 64 that stands for the field with its value.
func (k fixed) mark() uint64 {
	n := uint32(k.id)
	for i := range len(k.value) {
		n = n*31 + uint32(k.value[i])
	}
	return 1 << (n * 0x9e3779b1 >> 26)
}

// marks are those of keys, all where a field of need has no value left.
func marks(keys []fixed, need conj) (out uint64) {
	for i := range need {
		if len(need[i].v) == 0 {
			return ^uint64(0)
		}
	}
	for _, k := range keys {
		out |= k.mark()
	}
	return out
}

// pointOf is a plain field that has to be one value.
func pointOf(c conj) (fixed, bool) {
	for i := range c {
		if v, ok := c[i].v.single(); ok && c[i].f.of == nil && !c[i].orAbsent {
			return fixed{c[i].f.id, v}, true
		}
	}
	return fixed{}, false
}

// wrote forgets what rests on places that a rule has written to.
func (s *scope) wrote(to place) {
	if to == 0 {
		return
	}
	s.cut |= to
	s.need = s.need.without(to)
	s.unhidden = false
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
	slices.SortFunc(out, func(a, b *hider) int { return a.nth - b.nth })
	return out
}

// hiderOf finds a rule that takes every packet of which need holds.
func (a *analysis) hiderOf(s *scope, need conj) *hider {
	if !s.anything() {
		return nil
	}
	base := s.base
	var cut place
	a.keys = pointKeys(a.keys[:0], need)
	has := marks(a.keys, need)
	if a.plain {
		has = ^uint64(0)
	}
	for ; s != nil; s = s.parent {
		for _, k := range a.keys {
			if s.bits&k.bit() == 0 {
				continue
			}
			if h := pick(s.points[k], need, has, cut, base); h != nil {
				return h
			}
		}
		if h := pick(s.wide, need, has, cut, base); h != nil {
			return h
		}
		cut |= s.cut
	}
	return nil
}

// anything tells whether packets were taken at all.
func (s *scope) anything() bool {
	for ; s != nil; s = s.parent {
		if len(s.points)+len(s.wide) > 0 {
			return true
		}
	}
	return false
}

// pointKeys are the keys under which hiders of such packets are found; of a
// header field fewer bytes may be read. They are appended to out.
func pointKeys(out []fixed, need conj) []fixed {
	for i := range need {
		a := &need[i]
		if a.f.of != nil || len(a.v) == 0 {
			continue
		}
		lo, hi := a.v[0].lo, a.v[len(a.v)-1].hi
		if a.f.parts {
			for n := 1; n < a.f.width && lo[:n] == hi[:n]; n++ {
				out = append(out, fixed{a.f.id, lo[:n]})
			}
		}
		if lo == hi {
			out = append(out, fixed{a.f.id, lo})
		}
	}
	return out
}

// pick finds one among hs that takes all packets of need; has are the marks of
// their fields.
func pick(hs []*hider, need conj, has uint64, cut place, base *rules.Chain) *hider {
	for _, h := range hs {
		if h.wants&^has == 0 && h.reads&cut == 0 && surelyBefore(h.base, base) && h.covers(need) {
			return h
		}
	}
	return nil
}

// covers tells whether h takes every packet of which need holds.
func (h *hider) covers(need conj) bool {
	for i := range h.takes {
		if !need.implies(&h.takes[i]) {
			return false
		}
	}
	for _, e := range h.except {
		if x, _ := e.against(need); x == nil {
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
