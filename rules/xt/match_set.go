package xt

import "github.com/ntdiag/ntdiag/rules"

// ipsetDims is IPSET_DIM_MAX: how many directions a reference can have.
const ipsetDims = 6

// Bits of the flags of a reference (enum ip_set_kopt): inversion, one bit a
// dimension from 1 on for the source, and nomatch.
const (
	ipsetInvert        = 1 << 0
	ipsetReturnNomatch = 1 << 7
)

// IPSET_SRC, IPSET_DST and IPSET_MATCH_INV of revision 0.
const (
	ipsetSrc0    = 1
	ipsetDst0    = 2
	ipsetInvert0 = 4
)

// Bits of the flags of a match (enum ipset_cmd_flags); IPSET_FLAG_PHYSDEV is
// one of the elements' and looked at here too (hash_netiface4_kadt).
const (
	ipsetFlagPhysdev  = 1 << 1
	ipsetFlagKeep     = 1 << 3 // IPSET_FLAG_SKIP_COUNTER_UPDATE
	ipsetFlagKeepSub  = 1 << 4 // IPSET_FLAG_SKIP_SUBCOUNTER_UPDATE
	ipsetFlagCounters = 1 << 5 // IPSET_FLAG_MATCH_COUNTERS
	ipsetFlagNomatch  = 1 << 7 // IPSET_FLAG_RETURN_NOMATCH
)

// setMatch is struct xt_set_info_match_v0 to _v4.
type setMatch struct{ rules.InIPSet }

// setReference reads struct xt_set_info: 4 bytes.
func (x *setMatch) setReference(r *reader) (flags uint8) {
	x.ID = r.u16()
	dim := int(r.u8())
	flags = r.u8()
	if dim > ipsetDims {
		r.fail("%d directions of a set, at most %d", dim, ipsetDims)
		return flags
	}
	for i := 1; i <= dim; i++ {
		x.Dims = append(x.Dims, ipsetDir(flags&(1<<i) != 0))
	}
	x.Invert = flags&ipsetInvert != 0
	return flags
}

func ipsetDir(src bool) rules.IPSetDir {
	if src {
		return rules.IPSetSrc
	}
	return rules.IPSetDst
}

// decodeSet0: each direction is a number of its own, and the kernel writes the
// form of revision 1 over the last of them (compat_flags).
func decodeSet0(_ *Context, r *reader) Extension {
	x := &setMatch{}
	x.ID = r.u16()
	r.skip(2)
	for i := range ipsetDims {
		f := r.u32()
		if f&^(ipsetSrc0|ipsetDst0|ipsetInvert0) != 0 {
			r.fail("unknown flags 0x%x of a set", f)
		}
		x.Invert = x.Invert || i == 0 && f&ipsetInvert0 != 0
		if f == 0 {
			break
		}
		x.Dims = append(x.Dims, ipsetDir(f&ipsetSrc0 != 0))
	}
	return x
}

func decodeSet1(_ *Context, r *reader) Extension {
	x := &setMatch{}
	x.ReturnNomatch = x.setReference(r)&ipsetReturnNomatch != 0
	return x
}

// decodeSet3 has its counters as struct ip_set_counter_match0: the operator
// first.
func decodeSet3(_ *Context, r *reader) Extension {
	return decodeSetCounters(r, func() rules.IPSetCounterMatch {
		op := r.u8()
		r.align(8)
		return rules.IPSetCounterMatch{Op: rules.IPSetCounterOp(op), Value: r.u64()}
	})
}

// decodeSet4 has them as struct ip_set_counter_match: the value first.
func decodeSet4(_ *Context, r *reader) Extension {
	return decodeSetCounters(r, func() rules.IPSetCounterMatch {
		m := rules.IPSetCounterMatch{Value: r.u64(), Op: rules.IPSetCounterOp(r.u8())}
		r.align(8)
		return m
	})
}

func decodeSetCounters(r *reader, counter func() rules.IPSetCounterMatch) Extension {
	x := &setMatch{}
	x.setReference(r)
	r.align(8)
	x.Packets, x.Bytes = counter(), counter()
	flags := r.u32()
	if known := uint32(ipsetFlagPhysdev | ipsetFlagKeep | ipsetFlagKeepSub | ipsetFlagCounters | ipsetFlagNomatch); flags&^known != 0 {
		r.fail("unknown flags 0x%x of a set match", flags&^known)
	}
	if x.Packets.Op > rules.IPSetCounterGt || x.Bytes.Op > rules.IPSetCounterGt {
		r.fail("unknown comparison of counters")
	}
	x.ReturnNomatch = flags&ipsetFlagNomatch != 0
	x.KeepCounters = flags&ipsetFlagKeep != 0
	x.KeepSubcounters = flags&ipsetFlagKeepSub != 0
	x.Physdev = flags&ipsetFlagPhysdev != 0
	return x
}

// in looks the set up; its name is that of now.
func (x *setMatch) in(c *Context) *rules.InIPSet {
	s := x.InIPSet
	s.Span = c.Span
	if c.IPSet != nil && s.Set == nil {
		s.Set = c.IPSet(x.ID)
	}
	if s.Set != nil {
		s.Name = s.Set.Name
	}
	return &s
}

// Statements follows set_match_v4 and its elder forms.
func (x *setMatch) Statements(c *Context) []rules.Statement { return []rules.Statement{x.in(c)} }

func (x *setMatch) Save(c *Context, o *Options) { o.Word(x.in(c).Options()) }
