// Package bundle is a support bundle: what one or more network namespaces of a
// machine were at one moment, in a file that every reading command works on.
//
// A bundle is a tar archive, compressed with zstd: `tar --zstd -xf` unpacks
// it. Its members:
//
//	format.json                the first: Format, and what wrote it
//	text/NAME                  for people, of the machine
//	netns-0/state.json         all of a namespace but its flows (State)
//	netns-0/flows-1/0001.jsonl its flows, an object of package flowjson a line
//	netns-0/flows-2/0001.jsonl and again, some seconds later
//	netns-0/text/ruleset.nft   the same for people: rules, routes, counters, …
//	netns-0/text/conntrack-1/0001.txt  the flows of flows-1/0001.jsonl
//	netns-0/findings/stale.json what a command said, as -o json has it
//	manifest.json              the last (Manifest): what was asked, what is
//	                           missing and why, a sum of every member
//
// There is a directory for each namespace, netns-0, netns-1, …; the manifest
// tells which is which. Between the first and the last, members come in any
// order. A part of the flows takes about 4 MiB.
//
// Writer writes one, in constant memory and within a size. Reader reads one,
// of anybody: nothing is unpacked, and nothing is believed.
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
	At     time.Time
	Text   string
	Seq    uint64
	HasSeq bool
	// Continues, Foreign and Repeats are those of kernlog.Record.
	Continues bool
	Foreign   bool
	Repeats   uint32
}
