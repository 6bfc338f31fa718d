// Package bundle is a support bundle: what one or more network namespaces of a
// machine were at one moment, in a file that every reading command works on.
//
// A bundle is a tar archive, compressed with zstd. Its members, in order:
//
//	format.json             Format and what wrote it: enough to refuse a newer one
//	NAME/state.json         all of a namespace but its flows
//	NAME/flows-1/0001.jsonl its flows, an object of package flowjson a line
//	NAME/flows-2/0001.jsonl and again, some seconds later
//	NAME/text/…             the same for people: ruleset.nft, conntrack.txt, …
//	NAME/findings/…         what each command said: explain.json, …
//	manifest.json           what was asked, what is missing, a sum of each file
//
// NAME is a directory for each namespace: "netns-0", "netns-1", …; the
// manifest tells which is which.
package bundle

import (
	"time"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/counters"
	"github.com/ntdiag/ntdiag/diagnose/history"
	"github.com/ntdiag/ntdiag/diagnose/host"
)

// Format is the version of bundles that are written. Older ones are read.
const Format = 1

// State is one network namespace at one moment, all but its flows.
type State struct {
	Snapshot     *host.Snapshot
	Place        host.Place
	ID           host.Fact[host.NetnsID]
	Generation   host.Fact[uint32] // after everything was read; before: Snapshot.Rules.Generation
	Count, Max   host.Fact[uint64] // entries, and how many there may be
	Loggers      capture.Loggers
	Readings     []Reading // of the counters, oldest first
	Expectations []capture.Expectation
	Neighbours   []host.Neighbour
	Xfrm         []host.XfrmPolicy
	Log          []LogLine
	LogLost      uint64           // records known to be lost before or among Log
	History      *history.History // nil when nothing was recorded
	Uptime       host.Fact[time.Duration]
	Enter        string         // what a command line begins with to run inside it
	Missing      []host.Missing // what could not be read beside Snapshot.Missing
}

// Reading is the counters at one time.
type Reading struct {
	At    time.Time
	Stats *counters.Stats
}

// LogLine is one record of the kernel's log.
type LogLine struct {
	At      time.Time
	Text    string
	Seq     uint64
	HasSeq  bool
	Foreign bool
	Repeats uint32
}
