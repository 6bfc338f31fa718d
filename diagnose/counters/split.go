package counters

import (
	"github.com/ntdiag/ntdiag/diagnose/host"
)

// split tells which movements belong together. A packet moves all its counters
// on one CPU, so that they are put together CPU by CPU: what moved on different
// ones was not the same packet.
type split struct {
	// clash: insert_failed and drop, one packet each (nf_ct_resolve_clash).
	clash uint64
	// chain: insert_failed and chaintoolong (__nf_conntrack_confirm).
	chain uint64
	// refused: insert_failed alone.
	refused uint64
	// drop: drop without insert_failed; withInvalid of them can be those of
	// invalid too (nf_conntrack_in).
	drop, withInvalid uint64
}

// splitOf puts the counters together. Before 4.7 a packet whose entry was
// refused moved insert_failed alone.
func splitOf(c *Case) split {
	var s split
	for _, cpu := range c.Stats.CPUs {
		failed, drop := cpu.Values[InsertFailed], cpu.Values[Drop]
		chain := min(failed, cpu.Values[ChainTooLong])
		failed -= chain
		var clash uint64
		if c.Kernel.Release.In(v4_7, host.Release{}) {
			clash = min(failed, drop)
		}
		s.chain += chain
		s.clash += clash
		s.refused += failed - clash
		s.drop += drop - clash
		s.withInvalid += min(drop-clash, cpu.Values[Invalid])
	}
	return s
}

// Lost are the packets lost, and Evicted the entries thrown out of a full table.
func (c *Case) Lost() (lost, evicted uint64) {
	s := splitOf(c)
	lost = s.clash + s.chain + s.drop
	if !c.Kernel.Release.In(v4_7, v5_10) {
		lost += s.refused
	}
	return lost, c.moved(EarlyDrop)
}
