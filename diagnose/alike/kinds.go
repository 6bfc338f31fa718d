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
	host  *host.Snapshot
	first [2]*cuts.Cuts // by family: routes, addresses, and the chains in always
	// always are the chains whose rules are in first.
	always map[*rules.Chain]bool
	ids    map[*rules.Chain]uint32
	chains []chainCuts // by id
}

// chainCuts are what one chain tells apart, made when first needed.
type chainCuts struct {
	chain *rules.Chain
	once  [2]sync.Once
	cuts  [2]fieldCuts
}

// fieldCuts are the fields that a chain cuts at all.
type fieldCuts struct {
	fields []cuts.Field
	*cuts.Cuts
}

// Range is addresses, both ends included.
type Range struct{ Lo, Hi netip.Addr }

// New prepares to tell flows apart. Sources are further ranges that the source
// of a flow after NAT is compared with.
func New(s *host.Snapshot, sources []Range) *Kinds {
	k := &Kinds{host: s, always: map[*rules.Chain]bool{}, ids: map[*rules.Chain]uint32{}}
	for _, t := range s.Rules.Tables {
		for _, c := range t.Chains {
			k.ids[c] = uint32(len(k.chains))
			k.chains = append(k.chains, chainCuts{chain: c})
			if c.Base != nil {
				k.meet(c)
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
		k.first[i] = b.Cuts()
	}
	return k
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

// of are the cuts of the chain with an id.
func (k *Kinds) of(id uint32, family int) *fieldCuts {
	c := &k.chains[id]
	c.once[family].Do(func() {
		b := cuts.NewBuilder(families[family])
		b.Chain(c.chain)
		f := fieldCuts{Cuts: b.Cuts()}
		for i := range cuts.NumFields {
			if f.Bounds[i] != nil {
				f.fields = append(f.fields, i)
			}
		}
		c.cuts[family] = f
	})
	return &c.cuts[family]
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

// appendField adds the interval of one field, or its value where it is raw.
func (v *values) appendField(key []byte, b *cuts.Bounds, f cuts.Field) []byte {
	switch wide := v.family == 1 && f < cuts.OrigSport; {
	case wide && b.Raw:
		return binary.NativeEndian.AppendUint64(binary.NativeEndian.AppendUint64(key, v.wide[f].Hi), v.wide[f].Lo)
	case wide:
		return binary.NativeEndian.AppendUint32(key, b.IntervalWide(v.wide[f]))
	case b.Raw:
		return binary.NativeEndian.AppendUint32(key, v.small[f])
	}
	return binary.NativeEndian.AppendUint32(key, b.Interval(v.small[f]))
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
	c := k.first[v.family]
	for i := range cuts.NumFields {
		if b := c.Bounds[i]; b != nil && side.of(i) {
			key = v.appendField(key, b, i)
		}
	}
	return v.appendICMP(key, c, side)
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

// appendICMP adds what is an ICMP flow's own: types and codes, which say what it
// is, and its id where rules look at that.
func (v *values) appendICMP(key []byte, c *cuts.Cuts, side Side) []byte {
	if !v.icmp {
		return key
	}
	fields := []cuts.Field{cuts.OrigDport, cuts.ReplyDport, cuts.OrigSport, cuts.ReplySport}
	if !c.RawID {
		fields = fields[:2]
	}
	for _, i := range fields {
		if side.of(i) {
			key = binary.NativeEndian.AppendUint32(key, v.small[i])
		}
	}
	return key
}

// appendChains adds what chains tell apart.
func (k *Kinds) appendChains(key []byte, ids []uint32, v *values, side Side) []byte {
	for _, id := range ids {
		c := k.of(id, v.family)
		for _, i := range c.fields {
			if side.of(i) {
				key = v.appendField(key, c.Bounds[i], i)
			}
		}
		if v.icmp && c.RawID {
			key = v.appendICMP(key, c.Cuts, side)
		}
	}
	return key
}
