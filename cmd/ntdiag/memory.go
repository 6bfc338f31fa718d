package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// Most commands are over before they have made much garbage: they need no
// collection at all. Those that hold a large ruleset must stay small beside it.
const (
	// garbage is how much may pile up, in bytes, before it is collected.
	garbage = 56 << 20
	// minHeap is what the runtime collects at, at GOGC=100 (heapMinimum).
	minHeap = 4 << 20
	percent = 100
	// softLimit is the memory, in bytes, within which garbage is kept: with the
	// program's own pages that is some 126 MiB.
	softLimit = 112 << 20
)

// paceCollector has garbage collected when there is a fixed amount of it, or,
// where more than twice that amount is in use, half as much as is in use: the
// usual doubling would take more than the memory that is meant for large
// rulesets. A collection goes through all that is in use, so that few are wanted.
// Near softLimit it is collected sooner; where more is in use the limit follows,
// or the collector would run without an end for what cannot be freed. GOGC and
// GOMEMLIMIT in the environment go before it.
func paceCollector() {
	if os.Getenv("GOGC") != "" {
		return
	}
	debug.SetGCPercent(percent * garbage / minHeap)
	limited := os.Getenv("GOMEMLIMIT") == ""
	if limited {
		debug.SetMemoryLimit(softLimit)
	}
	afterCollection(func() {
		live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		metrics.Read(live)
		if n := live[0].Value.Uint64(); n > 0 {
			debug.SetGCPercent(int(min(percent*garbage/minHeap, max(percent*garbage/n, percent/2))))
			if limited {
				debug.SetMemoryLimit(limitFor(n))
			}
		}
	})
}

// limitFor is the limit where n bytes are in use: a quarter more at least.
func limitFor(n uint64) int64 { return max(softLimit, int64(n+n/4)) }

// afterCollection calls f after each collection.
func afterCollection(f func()) {
	type mark struct{ _ *byte } // a pointer: what has none shares its place with others
	runtime.SetFinalizer(&mark{}, func(*mark) {
		f()
		afterCollection(f)
	})
}
