// Package cuts tells what of a flow's two tuples the rules of a chain can tell
// apart: all constants that they compare a field with cut it into elementary
// intervals, and two values of one interval are alike to every rule of the
// chain. What a rule computes with a field, hashes or copies, cannot be cut: that
// field is raw, and only equal values are alike.
//
// A field stands for a value of the entry, not for a place in the packet. The
// source of a packet is the original tuple's source and, once source NAT is set
// up, what the reply tuple goes to: a constant that the source is compared with
// cuts both.
package cuts

import (
	"math/bits"
	"slices"

	"github.com/ntdiag/ntdiag/rules"
)

// Field is one of the values that the tuples of an entry hold.
type Field uint8

const (
	OrigSrc Field = iota
	OrigDst
	ReplySrc
	ReplyDst
	OrigSport
	OrigDport
	ReplySport
	ReplyDport
	NumFields
)

// port tells whether the field is a port, of 16 bits.
func (f Field) port() bool { return f >= OrigSport }

// Word is a number of up to 128 bits, in which addresses and ports are compared.
type Word struct{ Hi, Lo uint64 }

// WordOf reads b, of 16 bytes at most, as a big-endian number.
func WordOf(b []byte) (w Word) {
	for _, c := range b {
		w.Hi = w.Hi<<8 | w.Lo>>56
		w.Lo = w.Lo<<8 | uint64(c)
	}
	return w
}

func (w Word) cmp(o Word) int {
	switch {
	case w.Hi < o.Hi || w.Hi == o.Hi && w.Lo < o.Lo:
		return -1
	case w == o:
		return 0
	}
	return 1
}

// next is w + 1, false when there is none in 128 bits.
func (w Word) next() (Word, bool) {
	lo, carry := bits.Add64(w.Lo, 1, 0)
	hi, over := bits.Add64(w.Hi, 0, carry)
	return Word{hi, lo}, over == 0
}

// Bounds are where the intervals of one field begin, but for the first.
type Bounds struct {
	// Raw: each value is an interval of its own.
	Raw bool
	// at are those of ports and IPv4 addresses, wide those of IPv6 addresses; in
	// ascending order.
	at   []uint32
	wide []Word
}

// None tells whether every value is alike.
func (b *Bounds) None() bool { return b == nil || !b.Raw && len(b.at) == 0 && len(b.wide) == 0 }

func (b *Bounds) equal(o *Bounds) bool {
	return o != nil && b.Raw == o.Raw && slices.Equal(b.at, o.at) && slices.Equal(b.wide, o.wide)
}

// List are the bounds: of ports and IPv4 addresses, or of IPv6 addresses.
func (b *Bounds) List() (at []uint32, wide []Word) { return b.at, b.wide }

// Interval is the number of the interval that x lies in: how many of the bounds,
// which are in ascending order, it has passed.
func Interval(at []uint32, x uint32) uint32 {
	lo, hi := 0, len(at)
	for lo < hi {
		if m := int(uint(lo+hi) >> 1); at[m] <= x {
			lo = m + 1
		} else {
			hi = m
		}
	}
	return uint32(lo)
}

// IntervalWide is that of an IPv6 address.
func IntervalWide(wide []Word, x Word) uint32 {
	lo, hi := 0, len(wide)
	for lo < hi {
		if m := int(uint(lo+hi) >> 1); wide[m].cmp(x) <= 0 {
			lo = m + 1
		} else {
			hi = m
		}
	}
	return uint32(lo)
}

// Cuts are the bounds of each field, for packets of one family; nil where nothing
// cuts it. Fields of the same bounds share them.
type Cuts struct {
	Bounds [NumFields]*Bounds
	// RawID: the id of an ICMP query is raw.
	RawID bool
}

// Builder collects what cuts.
type Builder struct {
	family rules.Family
	points [NumFields][]Word
	raw    [NumFields]bool
	rawID  bool
}

// NewBuilder begins the cuts of packets of family, FamilyIPv4 or FamilyIPv6.
func NewBuilder(family rules.Family) *Builder { return &Builder{family: family} }

// Reset begins anew, in the same room.
func (b *Builder) Reset(family rules.Family) {
	for f := range b.points {
		b.points[f] = b.points[f][:0]
	}
	*b = Builder{family: family, points: b.points}
}

// Addresses, Ports and their halves are lists of fields that are cut together.
var (
	Addresses = []Field{OrigSrc, OrigDst, ReplySrc, ReplyDst}
	Ports     = []Field{OrigSport, OrigDport, ReplySport, ReplyDport}

	sources      = []Field{OrigSrc, ReplyDst}
	destinations = []Field{OrigDst, ReplySrc}
	sports       = []Field{OrigSport, ReplyDport, ReplySport} // ReplySport: the id of an ICMP query
	dports       = []Field{OrigDport, ReplySport}
)

// Add cuts fields at both ends of the interval from lo to hi.
func (b *Builder) Add(fields []Field, lo, hi Word) {
	end, more := hi.next()
	for _, f := range fields {
		b.points[f] = append(b.points[f], lo)
		if more {
			b.points[f] = append(b.points[f], end)
		}
	}
}

// Raw makes fields raw.
func (b *Builder) Raw(fields []Field) {
	for _, f := range fields {
		b.raw[f] = true
	}
}

// rawAll: nothing is known of what looks at the packet.
func (b *Builder) rawAll() {
	b.Raw(Addresses)
	b.Raw(Ports)
	b.rawID = true
}

// Cuts are what was collected.
func (b *Builder) Cuts() *Cuts {
	out := &Cuts{RawID: b.rawID}
	for f := range NumFields {
		made := b.bounds(f)
		if made.None() {
			continue
		}
		out.Bounds[f] = made
		for _, o := range out.Bounds[:f] {
			if made.equal(o) {
				out.Bounds[f] = o
			}
		}
	}
	return out
}

func (b *Builder) bounds(f Field) *Bounds {
	out, points := &Bounds{Raw: b.raw[f]}, b.points[f]
	if out.Raw || len(points) == 0 {
		return out
	}
	slices.SortFunc(points, Word.cmp)
	points = slices.Compact(points)
	if b.family == rules.FamilyIPv6 && !f.port() {
		out.wide = slices.Clone(points)
		return out
	}
	out.at = make([]uint32, 0, len(points))
	for _, p := range points {
		if p.Hi == 0 && p.Lo <= 0xffffffff && p.Lo > 0 {
			out.at = append(out.at, uint32(p.Lo))
		}
	}
	return out
}

// Chain adds the rules of a chain, for packets of the family.
func (b *Builder) Chain(c *rules.Chain) {
	if c.Table != nil && !sees(c.Table.Family, b.family) {
		return
	}
	for _, r := range c.Rules {
		for _, s := range r.Statements {
			if other(s, b.family) {
				break // a packet of this family does not come to the rest
			}
			b.statement(s)
		}
	}
}

// sees: tables of one family of IP see no packet of the other.
func sees(table, f rules.Family) bool {
	return table != rules.FamilyIPv4 && table != rules.FamilyIPv6 || table == f
}

// other tells whether the statement asks for the other family of IP, so that it
// holds for no packet of this one, whatever family the chain takes it for.
func other(s rules.Statement, f rules.Family) bool {
	m, ok := s.(*rules.Match)
	if !ok || m.Op != rules.CmpEq {
		return false
	}
	x, ok := m.Left.(*rules.Meta)
	if !ok {
		return false
	}
	not := rules.FamilyIPv6
	if f == rules.FamilyIPv6 {
		not = rules.FamilyIPv4
	}
	switch x.Key {
	case rules.MetaNfproto:
		return len(m.Right) == 1 && m.Right[0] == byte(not)
	case rules.MetaProtocol:
		return string(m.Right) == etherTypes[not]
	}
	return false
}

// etherTypes are ETH_P_IP and ETH_P_IPV6.
var etherTypes = map[rules.Family]string{rules.FamilyIPv4: "\x08\x00", rules.FamilyIPv6: "\x86\xdd"}
