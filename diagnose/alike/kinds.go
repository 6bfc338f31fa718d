// Package alike lets flows that look alike share an answer.
//
// An answer rests on a flow by what was compared on the way to it: constants of
// rules, routes and addresses. They cut each field of the tuples into elementary
// intervals (package cuts); flows in the same intervals take the same way, and
// one of them is decided for all. Which rules are looked at depends on the flow,
// so that the key of a flow has two parts: what routes, addresses and the chains
// that every packet meets tell apart, and then what the chains tell apart that
// flows of this first part were seen to enter. A way that was gone asked nothing
// else, so that a flow with the same key goes the same way.
package alike

import (
	"encoding/binary"
	"net/netip"
	"sync"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/cuts"
)

// Kinds tells flows apart on one snapshot. It is safe for concurrent use.
type Kinds struct {
	first [2]questions // by family: routes, addresses, and the chains in always
	// always are the chains whose rules are in first.
	always map[*rules.Chain]bool
}

// Range is addresses, both ends included.
type Range struct{ Lo, Hi netip.Addr }

// New prepares to tell flows apart. Sources are further ranges that the source
// of a flow after NAT is compared with.
func New(s *host.Snapshot, sources []Range) *Kinds {
	k := &Kinds{always: map[*rules.Chain]bool{}}
	for _, t := range s.Rules.Tables {
		for _, c := range t.Chains {
			if c.Base != nil {
				k.meet(c)
			}
			if len(c.Rules) > longChain {
				k.always[c] = true
			}
		}
	}
	for i, f := range families {
		b := cuts.NewBuilder(f)
		hostCuts(b, s, f)
		for _, p := range sources {
			b.Range([]cuts.Field{cuts.ReplyDst}, p.Lo, p.Hi)
		}
		for c := range k.always {
			b.Chain(c)
		}
		k.first[i] = questionsOf(b.Cuts(), Entry)
	}
	return k
}

// longChain is a chain of more rules than are gone through for each flow that is
// the first to enter it: it counts as one that all packets meet.
const longChain = 32

// builders are used again.
var builders = sync.Pool{New: func() any { return new(cuts.Builder) }}

// of are the questions of chains.
func of(chains []*rules.Chain, family int, side Side) questions {
	b := builders.Get().(*cuts.Builder)
	defer builders.Put(b)
	b.Reset(families[family])
	for _, c := range chains {
		b.Chain(c)
	}
	return questionsOf(b.Cuts(), side)
}

var families = [2]rules.Family{rules.FamilyIPv4, rules.FamilyIPv6}

// meet takes a base chain, and those that it jumps to, for chains that every
// packet meets.
func (k *Kinds) meet(c *rules.Chain) {
	k.always[c] = true
	for _, r := range c.Rules {
		for _, s := range r.Statements {
			if v, ok := s.(*rules.Verdict); ok && v.Chain != nil {
				k.always[v.Chain] = true
			}
		}
	}
}

// values are a flow's tuples as numbers, by field.
type values struct {
	family int
	icmp   bool
	small  [cuts.NumFields]uint32    // ports, and addresses of IPv4
	wide   [cuts.OrigSport]cuts.Word // addresses of IPv6
}

// read fills in v, false for a flow that is like no other: one that a helper
// expected, whose answer rests on its master.
func (v *values) read(f *host.Flow) bool {
	if f.Has&host.HasMaster != 0 || f.Status.Has(host.StatusExpected) {
		return false
	}
	o, r := &f.Original, &f.Reply
	v.icmp = f.IsICMP()
	v.small[cuts.OrigSport], v.small[cuts.OrigDport] = uint32(o.SrcPort), uint32(o.DstPort)
	v.small[cuts.ReplySport], v.small[cuts.ReplyDport] = uint32(r.SrcPort), uint32(r.DstPort)
	addrs := [...]netip.Addr{cuts.OrigSrc: o.Src, cuts.OrigDst: o.Dst, cuts.ReplySrc: r.Src, cuts.ReplyDst: r.Dst}
	if f.Family == rules.FamilyIPv4 {
		v.family = 0
		for i, a := range addrs {
			if !a.Is4() {
				return false
			}
			b := a.As4()
			v.small[i] = binary.BigEndian.Uint32(b[:])
		}
		return true
	}
	v.family = 1
	for i, a := range addrs {
		// the scope of a multicast address stands in it; what stands for an IPv4
		// address is looked up as one
		if !a.Is6() || a.Is4In6() || a.IsMulticast() || a.Zone() != "" {
			return false
		}
		b := a.As16()
		v.wide[i] = cuts.Word{Hi: binary.BigEndian.Uint64(b[:8]), Lo: binary.BigEndian.Uint64(b[8:])}
	}
	return true
}

// Side is what of a flow its answer rests on.
type Side uint8

const (
	Entry    Side = iota // all of it
	Original             // its original tuple and its zone
)

// of tells whether a field belongs to the side.
func (s Side) of(f cuts.Field) bool {
	return s == Entry || f == cuts.OrigSrc || f == cuts.OrigDst || f == cuts.OrigSport || f == cuts.OrigDport
}

// appendFirst adds the first part of the key.
func (k *Kinds) appendFirst(key []byte, f *host.Flow, v *values, side Side) []byte {
	key = append(key, byte(f.Family), f.Original.Proto)
	key = binary.NativeEndian.AppendUint16(key, f.Zone)
	if side == Entry {
		key = appendEntry(key, f)
	}
	return k.first[v.family].append(key, v, side)
}

// appendEntry adds what is not cut, but for the addresses and ports themselves.
func appendEntry(key []byte, f *host.Flow) []byte {
	var same byte
	for i, eq := range [...]bool{
		f.Original.Dst == f.Reply.Src, f.Original.DstPort == f.Reply.SrcPort,
		f.Original.Src == f.Reply.Dst, f.Original.SrcPort == f.Reply.DstPort,
		f.Original.SrcPort == f.Reply.SrcPort, // the id of a query
		f.Has&host.HasCounters != 0 && f.Orig.Packets == 0,
	} {
		if eq {
			same |= 1 << i
		}
	}
	key = append(key, f.Reply.Proto, same, f.TCPState, f.L4State)
	key = binary.NativeEndian.AppendUint32(key, uint32(f.Status))
	return binary.NativeEndian.AppendUint32(key, uint32(f.Has))
}
