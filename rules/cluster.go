package rules

import "encoding/binary"

// Cluster holds where a node of a cluster takes the flow on: the hash of the
// source address that began it falls to one of Total nodes, and bit n of Nodes
// stands for node n (xt_cluster).
type Cluster struct {
	Span
	Total, Nodes, Seed uint32
	Invert             bool
	// Blind: addresses stand for others, of which the hash is not known.
	Blind bool
}

// Test follows xt_cluster_mt. Without an entry it does not hold, inverted or
// not; a flow that another one expected goes where that one goes.
func (c *Cluster) Test(p *Packet) Answer {
	entry := Answer{Truth: p.Tracked}
	if p.Tracked == Unknown {
		entry.Unknown = Of(FromCtState)
	}
	switch {
	case p.Tracked == No && p.Template != NoTemplate:
		return Answer{Unknown: Of(FromCtState)} // what stands in it is hashed
	case p.Tracked == No:
		return entry
	}
	const expected = 1 // IPS_EXPECTED
	status := p.Ct.Status
	if c.Blind || !p.Ct.Original.Src.IsValid() || !status.IsKnown() || status.Uint(p.order())&expected != 0 {
		return entry.And(Answer{Unknown: Of(FromHash)})
	}
	// of an IPv6 address too the first four bytes alone are hashed:
	// NF_CT_TUPLE_L3SIZE counts words, and is divided by their size again
	word := p.order().Uint32(p.Ct.Original.Src.AsSlice())
	// jhash_1word takes a number, as jhash does what is left of a key
	hash := jhash(binary.LittleEndian.AppendUint32(nil, word), c.Seed, p.order())
	node := uint64(hash) * uint64(c.Total) >> 32 // reciprocal_scale
	return entry.And(Decided(c.Nodes>>node&1 != 0 != c.Invert))
}
