package rules

// IPSetNoTimeout asks for the set's own timeout.
const IPSetNoTimeout = 0xffffffff

// FeedIPSet adds the packet's element to an ipset, or deletes it (target SET
// of xtables, ip_set_add and ip_set_del). What the set then holds is told by
// nobody: whoever decodes it calls IPSet.Feed.
type FeedIPSet struct {
	Span
	IPSetRef
	Delete  bool
	Exist   bool   // an element that is there has its timeout set anew
	Timeout uint32 // seconds, 0 for an element that stays, or IPSetNoTimeout
}

// MapIPSet gives a packet that is in a set what its element says (--map-set of
// the target SET, set_target_v3).
type MapIPSet struct {
	Span
	InIPSet
	Mark, Prio, Queue bool
}

// Covers resolves the two that are embedded.
func (m *MapIPSet) Covers() []int { return m.Span }

// Apply sets mark and priority. Which element it was is not looked for: where
// the elements of the set differ, the value is not known.
func (m *MapIPSet) Apply(p *Packet) {
	a := m.Test(p)
	if a.Truth == No {
		rest := a.Assumed
		p.Mark.AssumedBy |= rest
		return
	}
	mark, prio := m.values(p)
	if a.Truth == Unknown {
		mark, prio = Join(p.Mark, mark), Join(p.Priority, prio)
	}
	if m.Mark {
		mark.AssumedBy |= a.Assumed
		p.Mark = mark
	}
	if m.Prio {
		prio.AssumedBy |= a.Assumed
		p.Priority = prio
	}
}

// values are mark and priority after the target. A set without skbinfo leaves
// the mark alone and makes the priority 0.
func (m *MapIPSet) values(p *Packet) (mark, prio Value) {
	s := m.Set
	if s == nil || s.Missing != "" || s.Fed || m.Invert || len(s.Elements) == 0 || s.Members != nil {
		return UnknownBytes(4, FromSet), UnknownBytes(4, FromSet)
	}
	first := &s.Elements[0]
	same := func(get func(*IPSetElement) uint32) bool {
		for i := range s.Elements {
			if get(&s.Elements[i]) != get(first) {
				return false
			}
		}
		return true
	}
	mark, prio = UnknownBytes(4, FromSet), UnknownBytes(4, FromSet)
	markOf := func(e *IPSetElement) uint32 { return e.SkbMark }
	if same(markOf) && same(func(e *IPSetElement) uint32 { return e.SkbMask }) {
		b, xor := make([]byte, 4), make([]byte, 4)
		p.order().PutUint32(b, ^first.SkbMask)
		p.order().PutUint32(xor, first.SkbMark)
		mark = (&Bitwise{X: &Meta{Key: MetaMark}, Mask: b, Xor: xor}).Eval(p)
	}
	if same(func(e *IPSetElement) uint32 { return e.SkbPrio }) {
		prio = KnownUint(p.order(), 4, uint64(first.SkbPrio))
	}
	return mark, prio
}
