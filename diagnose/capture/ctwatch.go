package capture

import (
	"time"

	"github.com/ntdiag/ntdiag/diagnose/host"
)

// WatchOptions is what a watch is to do.
type WatchOptions struct {
	// Kinds are the kinds wanted, all when empty.
	Kinds []EventKind
	// Keep, when given, tells which entries are wanted. It must give the same
	// answer for an entry as long as it lives: nothing of it may look at state,
	// mark, status, timeout or counters.
	Keep func(*host.Flow) bool
	// Filter may save reading entries that Keep refuses.
	Filter Filter
	// Remember is how many entries are remembered at most, so that reading the
	// table after a gap tells what is new, changed and gone. An entry takes about
	// 150 bytes, twice that for IPv6. With 0 a gap is told and nothing after it. Entries
	// beyond the bound are not missed when they go, and once there are such,
	// nothing that the table has is called new.
	Remember int
	// Reread is how often the table is read although nothing was lost: 0 for
	// never. It finds the end of entries that send no events.
	Reread time.Duration
	// Buffer is the receive buffer to ask for, in bytes, 0 for 16 MiB; the kernel
	// counts it double. Without CAP_NET_ADMIN over the whole machine it is
	// bounded by net.core.rmem_max.
	Buffer int
	// Revisions, when given, put Since and Until on each event.
	Revisions *Revisions
}

// watchBuffer is the receive buffer asked for by default: some 30,000 events
// may wait in it.
const watchBuffer = 16 << 20

func (o *WatchOptions) wants(k EventKind) bool {
	if len(o.Kinds) == 0 {
		return true
	}
	for _, w := range o.Kinds {
		if w == k {
			return true
		}
	}
	return false
}

func (o *WatchOptions) keeps(f *host.Flow) bool { return o.Keep == nil || o.Keep(f) }
