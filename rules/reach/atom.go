package reach

import (
	"bytes"
	"slices"

	"github.com/ntdiag/ntdiag/rules"
)

// atom says of one field which values it has.
type atom struct {
	f *field
	v values
	// orAbsent: the condition holds as well where there is no such field.
	orAbsent bool
	// sets are the named sets whose present elements v is made of.
	sets []*rules.Set
	rule *rules.Rule // that asks for it; nil for what the hook implies
}

func (a *atom) empty() bool { return len(a.v) == 0 && !a.orAbsent }

// conj is atoms that all hold.
type conj []atom

// implies tells whether every packet of which c holds fits a.
func (c conj) implies(a *atom) bool {
	for i := range c {
		if b := &c[i]; (!b.orAbsent || a.orAbsent) && a.follows(b) {
			return true
		}
	}
	return false
}

// follows tells whether a holds wherever b does.
func (a *atom) follows(b *atom) bool {
	switch {
	case b.f.id == a.f.id && b.f.width == a.f.width:
		return b.v.within(a.v)
	case b.f.id == a.f.id && b.f.width > a.f.width:
		return b.v.head(a.f.width).within(a.v)
	case a.f.of == nil:
		return false
	case b.f.id == a.f.of.id && b.f.width == a.f.width:
		from, ok := b.v.few(64)
		return ok && !slices.ContainsFunc(from, func(s string) bool { return !point([]byte(a.f.apply(s))).within(a.v) })
	case b.f.of != nil && b.f.of.id == a.f.of.id && b.f.width == a.f.width:
		return anyBit(b) && anyBit(a) && bytes.Equal(both(a.f.mask, b.f.mask), []byte(b.f.mask))
	}
	return false
}

// anyBit tells whether the atom says that one of the bits is set:
// (x & mask) != 0.
func anyBit(a *atom) bool {
	zero := make([]byte, a.f.width)
	return a.f.of != nil && a.f.xor == string(zero) && !a.orAbsent && slices.Equal(a.v, point(zero).not(a.f.width))
}

func both(a, b string) []byte {
	out := []byte(a)
	for i := range out {
		out[i] &= b[i]
	}
	return out
}

// excludes tells whether no packet fits both.
func (a *atom) excludes(b *atom) bool {
	if a.orAbsent && b.orAbsent || a.f.id != b.f.id {
		return bitsExclude(a, b) || bitsExclude(b, a)
	}
	if a.f.width == b.f.width {
		return !a.v.meets(b.v)
	}
	n := min(a.f.width, b.f.width)
	return !a.v.head(n).meets(b.v.head(n))
}

// bitsExclude: a looks at bits of the field that b gives.
func bitsExclude(a, b *atom) bool {
	if a.f.of == nil || a.f.of.id != b.f.id || a.f.width != b.f.width || a.orAbsent && b.orAbsent {
		return false
	}
	from, ok := b.v.few(64)
	return ok && !slices.ContainsFunc(from, func(s string) bool { return point([]byte(a.f.apply(s))).meets(a.v) })
}

// clash finds two atoms that exclude each other, or one that is empty. The first
// known do not.
func (c conj) clash(known int) (a, b *atom) {
	for i := known; i < len(c); i++ {
		if c[i].empty() {
			return &c[i], &c[i]
		}
		for j := range i {
			if c[j].excludes(&c[i]) {
				return &c[j], &c[i]
			}
		}
	}
	return nil, nil
}

// against finds an atom of c and one of d that exclude each other.
func (c conj) against(d conj) (a, b *atom) {
	for i := range c {
		for j := range d {
			if c[i].excludes(&d[j]) {
				return &c[i], &d[j]
			}
		}
	}
	return nil, nil
}

// without leaves out what is said of fields that were written.
func (c conj) without(written place) conj {
	if written == 0 || !slices.ContainsFunc(c, func(a atom) bool { return a.f.places&written != 0 }) {
		return c
	}
	var out conj
	for _, a := range c {
		if a.f.places&written == 0 {
			out = append(out, a)
		}
	}
	return out
}

func (c conj) places() (p place) {
	for i := range c {
		p |= c[i].f.places
	}
	return p
}

func (c conj) sets() []*rules.Set {
	var out []*rules.Set
	for i := range c {
		for _, s := range c[i].sets {
			if !slices.Contains(out, s) {
				out = append(out, s)
			}
		}
	}
	return out
}
