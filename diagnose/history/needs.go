package history

import (
	"bytes"
	"net/netip"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

// Needs is what a rule asks of a packet's protocol, source and destination, as
// far as that is constant: a packet outside of it never came to the rule's
// statement. One inside may not have either.
type Needs struct {
	Proto *uint8 `json:"proto,omitempty"`
	Src   *Range `json:"src,omitempty"`
	Dst   *Range `json:"dst,omitempty"`
}

// needsOf reads the conditions of a rule, nil when it asks nothing of that.
func needsOf(r *rules.Rule) *Needs {
	n := &Needs{}
	for _, s := range r.Statements {
		n.add(s)
	}
	if *n == (Needs{}) {
		return nil
	}
	return n
}

func (n *Needs) add(s rules.Statement) {
	switch s := s.(type) {
	case *rules.Match:
		if s.Op == rules.CmpEq {
			n.bound(s.Left, s.Right, s.Right)
		}
	case *rules.MatchRange:
		if !s.Invert {
			n.bound(s.Left, s.Lo, s.Hi)
		}
	case *rules.InSet:
		if lo, hi, ok := hull(s); ok {
			n.bound(s.Key, lo, hi)
		}
	case *rules.AllOf:
		for _, part := range s.Parts {
			n.add(part)
		}
	}
}

// hull is the least and the greatest key of an anonymous set.
func hull(s *rules.InSet) (lo, hi []byte, ok bool) {
	if s.Invert || s.Set == nil || s.Set.Flags&rules.SetAnonymous == 0 || s.Set.Missing != "" {
		return nil, nil, false
	}
	for i := range s.Set.Elements {
		e := &s.Set.Elements[i]
		if e.Catchall {
			return nil, nil, false
		}
		end := e.KeyEnd
		if end == nil {
			end = e.Key
		}
		if lo == nil || bytes.Compare(e.Key, lo) < 0 {
			lo = e.Key
		}
		if hi == nil || bytes.Compare(end, hi) > 0 {
			hi = end
		}
	}
	return lo, hi, lo != nil
}

// headerFields are the fields of headers that a tuple has: where they begin,
// how many bytes they have, and what they bound.
var headerFields = []struct {
	base     rules.PayloadBase
	off, len int
	set      func(n *Needs, lo, hi []byte)
}{
	{rules.PayloadNetwork, 9, 1, (*Needs).proto}, // of IPv4
	{rules.PayloadNetwork, 12, 4, func(n *Needs, lo, hi []byte) { addrs(&n.Src, lo, hi) }},
	{rules.PayloadNetwork, 16, 4, func(n *Needs, lo, hi []byte) { addrs(&n.Dst, lo, hi) }},
	{rules.PayloadNetwork, 8, 16, func(n *Needs, lo, hi []byte) { addrs(&n.Src, lo, hi) }},
	{rules.PayloadNetwork, 24, 16, func(n *Needs, lo, hi []byte) { addrs(&n.Dst, lo, hi) }},
	{rules.PayloadTransport, 0, 2, func(n *Needs, lo, hi []byte) { ports(&n.Src, lo, hi) }},
	{rules.PayloadTransport, 2, 2, func(n *Needs, lo, hi []byte) { ports(&n.Dst, lo, hi) }},
}

// bound takes the condition that x lies between lo and hi.
func (n *Needs) bound(x rules.Expr, lo, hi []byte) {
	switch x := x.(type) {
	case *rules.Meta:
		if x.Key == rules.MetaL4proto {
			n.proto(lo, hi)
		}
	case *rules.Bitwise:
		// a prefix: what the mask leaves out is free
		if !bytes.Equal(lo, hi) || len(lo) != len(x.Mask) || !isZero(x.Xor) {
			return
		}
		top := bytes.Clone(lo)
		for i := range top {
			top[i] |= ^x.Mask[i]
		}
		n.bound(x.X, lo, top)
	case *rules.Payload:
		for _, f := range headerFields {
			// nft asks for the bytes of a prefix alone
			if f.base != x.Base || f.off != x.Off || x.Len > f.len || x.Len < f.len && f.len < 4 || len(lo) != x.Len || len(hi) != x.Len {
				continue
			}
			f.set(n, pad(lo, f.len, 0), pad(hi, f.len, 0xff))
			return
		}
	}
}

func isZero(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }

func pad(b []byte, n int, with byte) []byte {
	return append(bytes.Clone(b), bytes.Repeat([]byte{with}, n-len(b))...)
}

func (n *Needs) proto(lo, hi []byte) {
	if len(lo) > 0 && bytes.Equal(lo, hi) {
		n.Proto = &lo[0]
	}
}

func addrs(to **Range, lo, hi []byte) {
	if *to == nil {
		*to = &Range{}
	}
	(*to).Addr, _ = netip.AddrFromSlice(lo)
	(*to).AddrMax, _ = netip.AddrFromSlice(hi)
	(*to).narrow()
}

func ports(to **Range, lo, hi []byte) {
	if *to == nil {
		*to = &Range{}
	}
	(*to).Port, (*to).PortMax = portAt([][]byte{lo}, 0), portAt([][]byte{hi}, 0)
	(*to).narrow()
}

// refuse tells whether the first packet of the flow cannot have met the rule.
// A rule that rewrites sources sees the destination after DNAT: it is not
// asked.
func (n *Needs) refuse(q *CauseQuery) bool {
	o := q.Original
	if n == nil || !o.Src.IsValid() {
		return false
	}
	if n.Proto != nil && q.Proto != 0 && *n.Proto != q.Proto {
		return true
	}
	outside := func(r *Range, a netip.Addr, port uint16) bool {
		if r == nil {
			return false
		}
		in, _ := r.Holds(host.Endpoint{Addr: a, Port: port})
		return !in
	}
	return outside(n.Src, o.Src, o.SrcPort) || q.Rewrite.Manip == rules.ManipDst && outside(n.Dst, o.Dst, o.DstPort)
}
