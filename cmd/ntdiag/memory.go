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
	garbage = 24 << 20
	// minHeap is what the runtime collects at, at GOGC=100 (heapMinimum).
	minHeap = 4 << 20
	percent = 100
)

// paceCollector has garbage collected when there is a fixed amount of it, or,
// where more than twice that amount is in use, half as much as is in use: the
// usual doubling would take most of the memory that is meant for large rulesets.
// GOGC in the environment goes before it.
func paceCollector() {
	if os.Getenv("GOGC") != "" {
		return
	}
	debug.SetGCPercent(percent * garbage / minHeap)
	afterCollection(func() {
		live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		metrics.Read(live)
		if n := live[0].Value.Uint64(); n > 0 {
			debug.SetGCPercent(int(min(percent*garbage/minHeap, max(percent*garbage/n, percent/2))))
		}
	})
}

// afterCollection calls f after each collection.
func afterCollection(f func()) {
	type mark struct{ next *mark } // a pointer: what has none shares its place with others
	runtime.SetFinalizer(&mark{}, func(*mark) {
		f()
		afterCollection(f)
	})
}
