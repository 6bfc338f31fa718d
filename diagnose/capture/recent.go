package capture

import (
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

// window is how many entries back one is known again. It has to be more than a
// bucket of the hash table holds: kernels refuse an entry that would make a
// chain longer than 79, of both directions and all namespaces (MAX_CHAINLEN in
// nf_conntrack_core.c, 5.15); before that, or in a table that was made smaller
// later, chains of this length take a table far too small for what is in it.
const window = 4096

// recent knows the last entries of a dump, to find those that come again. It is
// a ring; entries of one hash are linked from the newest to the oldest, by their
// number: what has left the ring is a number too low, and needs no removal.
type recent struct {
	n    uint32 // entries that came; the first is number 1
	ring [window]seen
	last [4 * window]uint32 // by hash, the newest entry's number
}

// seen is what tells entries apart: the id is a hash of 32 bits, and two can
// share it.
type seen struct {
	id    uint32
	older uint32 // number of the next older entry of the same hash
	zone  uint16
	has   host.Present // which direction the zone is of
	tuple rules.Tuple
}

// again tells whether f came before, and keeps it in mind.
func (r *recent) again(f *host.Flow) bool {
	const zones = host.HasZoneOrig | host.HasZoneReply
	t := &f.Original
	// every kernel sends the id: the ports are for what would do without
	hash := (f.ID ^ uint32(t.SrcPort)<<16 ^ uint32(t.DstPort)) * 0x9e3779b1 >> (32 - 14)
	newest := &r.last[hash]
	for n := *newest; n != 0 && r.n-n < window; {
		s := &r.ring[n%window]
		if s.id == f.ID && s.zone == f.Zone && s.has == f.Has&zones && s.tuple == *t {
			return true
		}
		n = s.older
	}
	r.n++
	r.ring[r.n%window] = seen{f.ID, *newest, f.Zone, f.Has & zones, *t}
	*newest = r.n
	return false
}
