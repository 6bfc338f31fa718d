package cuts

import (
	"bytes"
	"net/netip"

	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/xt"
)

// statement adds what a statement asks of the tuples. One that is not known here
// may ask anything.
func (b *Builder) statement(s rules.Statement) {
	switch s := s.(type) {
	case *rules.Match:
		b.match(s)
	case *rules.MatchRange:
		if r, ok := b.readerOf(s.Left); ok {
			b.within(r, s.Lo, s.Hi)
		} else {
			b.free(s.Left)
		}
	case *rules.InSet:
		b.set(s.Key, s.Set)
	case *rules.VerdictMap:
		b.set(s.Key, s.Set)
	case *rules.ObjRef:
		if s.Key != nil {
			b.set(s.Key, s.Set)
		}
	case *rules.Assign:
		b.assign(s)
	case *rules.NAT:
		b.nat(s)
	case *rules.InIPSet:
		b.ipset(&s.IPSetRef, s.Set, 0)
	case *rules.MapIPSet:
		b.ipset(&s.IPSetRef, s.Set, 0)
	case *rules.AllOf:
		for _, p := range s.Parts {
			b.statement(p)
		}
	case *rules.AnyOf:
		for _, p := range s.Parts {
			b.statement(p)
		}
	case *rules.NotOf:
		b.statement(s.Part)
	case *rules.TProxy:
		b.free(s.Addr)
		b.free(s.Port)
	case *rules.Dup:
		b.free(s.Addr)
		b.free(s.Device)
	case *rules.Fwd:
		b.free(s.Addr)
		b.free(s.Device)
	case *rules.Queue:
		b.free(s.From)
	case *rules.Cluster:
		if !s.Blind {
			b.Raw([]Field{OrigSrc})
		}
	default:
		if !asksNothing(s) {
			b.rawAll()
		}
	}
}

// asksNothing lists the statements that do not look at the tuples: at nothing,
// at what no entry tells, at the protocol, or at routes and devices.
func asksNothing(s rules.Statement) bool {
	switch s.(type) {
	case *rules.Verdict, *rules.Reject, *rules.Notrack, *rules.Counter, *rules.Last, *rules.Log, *rules.Load, *rules.Remark,
		*rules.Limit, *rules.Quota, *rules.Connlimit, *rules.Dynset, *rules.Opaque, *rules.Fixed, *rules.Open, *rules.Chance,
		*rules.Synproxy, *rules.FlowOffload, *rules.StripOption, *rules.FeedIPSet,
		*xt.OfHelper, *xt.OfCgroup, *xt.CountedBytes, *xt.ReversePath:
		return true
	}
	return false
}

// assign: what is written over a field is compared with what the entry has there.
func (b *Builder) assign(s *rules.Assign) {
	b.value(s.Value)
	r, ok := b.readerOf(s.Dest)
	if !ok || len(r.pieces) == 0 {
		return
	}
	values, known := valuesOf(s.Value, r.width)
	if !known {
		b.rawPieces(r)
	}
	for _, v := range values {
		b.equal(r, v)
	}
}

func (b *Builder) match(m *rules.Match) {
	r, ok := b.readerOf(m.Left)
	switch {
	case !ok:
		b.free(m.Left)
	case m.Op == rules.CmpEq || m.Op == rules.CmpNeq:
		b.equal(r, m.Right)
	default:
		b.within(r, m.Right, m.Right)
	}
}

// set adds the keys of a set that is looked into by key.
func (b *Builder) set(key rules.Expr, s *rules.Set) {
	if s == nil || s.Missing != "" {
		return
	}
	parts := []rules.Expr{key}
	if c, ok := key.(*rules.Concat); ok {
		parts = c.Parts
	}
	off := 0
	for _, x := range parts {
		b.part(x, off, len(parts) > 1, s)
		off += (x.Width() + 3) &^ 3
	}
}

// part adds what the elements say of one part of the key, which stands at off.
func (b *Builder) part(x rules.Expr, off int, several bool, s *rules.Set) {
	r, ok := b.readerOf(x)
	if !ok {
		b.free(x)
		return
	}
	if len(r.pieces) == 0 {
		return
	}
	for i := range s.Elements {
		e := &s.Elements[i]
		lo, hi := at(e.Key, off, r.width), at(e.KeyEnd, off, r.width)
		switch {
		case e.Catchall || lo == nil:
		case e.KeyEnd == nil:
			b.equal(r, lo)
		case several && len(s.FieldLens) < 2: // one interval of all parts together
			b.rawPieces(r)
			return
		default:
			b.within(r, lo, hi)
		}
	}
}

// at is n bytes of a key from off, or those that there are.
func at(key []byte, off, n int) []byte {
	if off >= len(key) {
		return nil
	}
	return key[off:min(off+n, len(key))]
}

// value adds what an expression whose result is kept or sent asks for: what is
// looked up in a map is one of its values, anything else is the field itself.
func (b *Builder) value(x rules.Expr) {
	switch x := x.(type) {
	case nil, *rules.Const:
	case *rules.MapLookup:
		b.set(x.Key, x.Set)
	case *rules.Slice:
		b.value(x.X)
	default:
		b.free(x)
	}
}

// free makes raw what x is computed from.
func (b *Builder) free(x rules.Expr) {
	switch x := x.(type) {
	case nil, *rules.Const:
	case *rules.MapLookup:
		b.set(x.Key, x.Set)
	case *rules.Hash:
		// without a seed that the rule gives nobody knows the hash (Hash.Eval)
		if !x.Symmetric && x.HasSeed && !x.Blind {
			b.free(x.X)
		}
	case *rules.Concat:
		for _, p := range x.Parts {
			b.free(p)
		}
	case *rules.Slice:
		b.free(x.X)
	case *rules.Bitwise:
		b.free(x.X)
	case *rules.Bool2:
		b.free(x.X)
		b.free(x.Y)
	case *rules.Shift:
		b.free(x.X)
	case *rules.Byteorder:
		b.free(x.X)
	case *rules.Step:
		b.free(x.X)
	case *rules.NPT:
		b.free(x.X)
	default:
		pieces, plain := b.leaf(x)
		if !plain {
			b.rawAll()
			return
		}
		b.rawPieces(reader{pieces: pieces})
	}
}

// nat adds what a target is compared with: the end that is rewritten, and what
// it was rewritten to.
func (b *Builder) nat(n *rules.NAT) {
	if n.Family != rules.FamilyUnspec && !n.Family.Sees(b.family) {
		return
	}
	if n.Kind == rules.Netmap || n.Flags&rules.NATNetmap != 0 {
		b.Raw(Addresses) // the host's part of the address is kept
	}
	if n.Flags&rules.NATProtoOffset != 0 {
		b.Raw(Ports)
	}
	width := 4
	if b.family == rules.FamilyIPv6 {
		width = 16
	}
	b.operands(Addresses, width, n.AddrMin, n.AddrMax)
	b.operands(Ports, 2, n.PortMin, n.PortMax)
}

// operands are both ends of a range.
func (b *Builder) operands(fields []Field, width int, lo, hi rules.Expr) {
	for _, x := range []rules.Expr{lo, hi} {
		if x == nil {
			continue
		}
		b.value(x)
		values, known := valuesOf(x, width)
		if !known {
			b.Raw(fields)
		}
		for _, v := range values {
			w := WordOf(v)
			b.Add(fields, w, w)
		}
	}
	if width == 16 && hi != nil && !lastWordOnly(lo, hi) {
		// what is chosen from lo to hi need not lie between them (find_best_ips_proto)
		b.Raw(fields)
	}
}

// valuesOf are the values that an operand can have, false when they are not to
// be listed.
func valuesOf(x rules.Expr, width int) (out [][]byte, known bool) {
	off := 0
	if s, ok := x.(*rules.Slice); ok {
		x, off = s.X, s.Off
	}
	cut := func(data []byte) {
		if off+width <= len(data) {
			out = append(out, data[off:off+width])
		}
	}
	switch x := x.(type) {
	case *rules.Const:
		cut(x.Data)
		return out, true
	case *rules.MapLookup:
		for i := range x.Set.Elements {
			cut(x.Set.Elements[i].Data)
		}
		return out, true
	}
	return nil, false
}

// lastWordOnly tells whether two constant addresses differ in their last four
// bytes alone, lo the lower one.
func lastWordOnly(lo, hi rules.Expr) bool {
	l, ok := lo.(*rules.Const)
	h, also := hi.(*rules.Const)
	return ok && also && len(l.Data) == 16 && len(h.Data) == 16 && bytes.Equal(l.Data[:12], h.Data[:12]) && bytes.Compare(l.Data, h.Data) <= 0
}

// maxMembers bounds how deep lists of ipsets are followed.
const maxMembers = 4

// ipset adds the elements of an ipset, and of those that it lists.
func (b *Builder) ipset(ref *rules.IPSetRef, s *rules.IPSet, depth int) {
	if s == nil || s.Missing != "" || s.Fed || depth > maxMembers {
		return
	}
	for _, m := range s.Members {
		b.ipset(ref, m, depth+1)
	}
	if s.Family != rules.FamilyUnspec && s.Family != b.family {
		return
	}
	for _, look := range ref.Looks(s) {
		switch {
		case look.Port:
			fields := dports
			if look.Src {
				fields = sports
			}
			for i := range s.Elements {
				w := Word{Lo: uint64(s.Elements[i].Port)}
				b.Add(fields, w, w)
			}
			b.Add(fields, Word{Lo: uint64(s.FirstPort)}, Word{Lo: uint64(s.LastPort)})
		default:
			b.ipsetAddrs(look, s)
		}
	}
}

func (b *Builder) ipsetAddrs(look rules.IPSetLook, s *rules.IPSet) {
	fields := destinations
	if look.Src {
		fields = sources
	}
	if s.Bitmask.IsValid() {
		b.Raw(fields)
		return
	}
	add := func(p netip.Prefix) {
		if !p.IsValid() {
			return
		}
		if s.Netmask != 0 && int(s.Netmask) < p.Bits() {
			p = netip.PrefixFrom(p.Addr(), int(s.Netmask))
		}
		b.Prefix(fields, p)
	}
	for i := range s.Elements {
		if e := &s.Elements[i]; look.Second {
			add(e.IP2)
		} else {
			add(e.IP)
		}
	}
	if s.From.IsValid() && s.To.IsValid() {
		b.Add(fields, WordOf(s.From.AsSlice()), WordOf(s.To.AsSlice()))
	}
}

// Range cuts at both ends of a range of addresses; one of the other family cuts
// nothing.
func (b *Builder) Range(fields []Field, lo, hi netip.Addr) {
	v4 := b.family == rules.FamilyIPv4
	if lo.IsValid() && hi.IsValid() && lo.Is4() == v4 && hi.Is4() == v4 {
		b.Add(fields, WordOf(lo.AsSlice()), WordOf(lo.AsSlice()))
		b.Add(fields, WordOf(hi.AsSlice()), WordOf(hi.AsSlice()))
	}
}

// Prefix cuts at both ends of a prefix; one of the other family cuts nothing.
func (b *Builder) Prefix(fields []Field, p netip.Prefix) {
	if !p.IsValid() || p.Addr().Is4() != (b.family == rules.FamilyIPv4) {
		return
	}
	lo := p.Masked().Addr().AsSlice()
	hi := bytes.Clone(lo)
	for i := p.Bits(); i < 8*len(hi); i++ {
		hi[i/8] |= 0x80 >> (i % 8)
	}
	b.Add(fields, WordOf(lo), WordOf(hi))
}
