package rules

import "math/bits"

// Cluster holds where a node of a cluster takes the flow on: the hash of the
// source address that began it falls to one of Total nodes, and bit n of Nodes
// stands for node n (xt_cluster).
type Cluster struct {
	Span
	Total, Nodes, Seed uint32
	Invert             bool
}

// Test follows xt_cluster_mt. Without an entry it does not hold, inverted or
// not; a flow that another one expected goes where that one goes.
func (c *Cluster) Test(p *Packet) Answer {
	entry := Answer{Truth: p.Tracked}
	if p.Tracked == Unknown {
		entry.Unknown = Of(FromCtState)
	}
	if p.Tracked == No {
		return entry
	}
	const expected = 1 // IPS_EXPECTED
	status := p.Ct.Status
	if !status.IsKnown() || status.Uint(p.order())&expected != 0 {
		return entry.And(Answer{Unknown: Of(FromHash)})
	}
	var words []uint32
	b := p.Ct.Original.Src.AsSlice()
	for ; len(b) >= 4; b = b[4:] {
		words = append(words, p.order().Uint32(b))
	}
	node := uint64(jhash2(words, c.Seed)) * uint64(c.Total) >> 32 // reciprocal_scale
	return entry.And(Decided(c.Nodes>>node&1 != 0 != c.Invert))
}

// jhash2 hashes words (include/linux/jhash.h).
func jhash2(k []uint32, seed uint32) uint32 {
	a := 0xdeadbeef + uint32(len(k))<<2 + seed
	b, c := a, a
	for ; len(k) > 3; k = k[3:] {
		a, b, c = a+k[0], b+k[1], c+k[2]
		a = (a - c) ^ bits.RotateLeft32(c, 4)
		c += b
		b = (b - a) ^ bits.RotateLeft32(a, 6)
		a += c
		c = (c - b) ^ bits.RotateLeft32(b, 8)
		b += a
		a = (a - c) ^ bits.RotateLeft32(c, 16)
		c += b
		b = (b - a) ^ bits.RotateLeft32(a, 19)
		a += c
		c = (c - b) ^ bits.RotateLeft32(b, 4)
		b += a
	}
	for i, to := range []*uint32{&a, &b, &c} {
		if i < len(k) {
			*to += k[i]
		}
	}
	if len(k) == 0 {
		return c
	}
	for _, step := range []struct {
		x, y *uint32
		by   int
	}{{&c, &b, 14}, {&a, &c, 11}, {&b, &a, 25}, {&c, &b, 16}, {&a, &c, 4}, {&b, &a, 14}, {&c, &b, 24}} {
		*step.x = (*step.x ^ *step.y) - bits.RotateLeft32(*step.y, step.by)
	}
	return c
}
