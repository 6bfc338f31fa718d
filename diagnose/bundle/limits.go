package bundle

import "github.com/ntdiag/ntdiag/rules/jsonform"

// Bounds of what is written and of what is read. What is read comes from
// anybody: nothing of it is believed before it was counted.
const (
	// DefaultMaxBytes is how large the file becomes at most, MinMaxBytes the
	// least that can be asked for.
	DefaultMaxBytes = 100 << 20
	MinMaxBytes     = 1 << 20

	partBytes    = 4 << 20 // of flows, uncompressed
	minPartBytes = 64 << 10
	spoolMemory  = 4 << 20 // compressed; what is longer goes to a file without a name
	blockSize    = 512     // of tar

	maxLine   = 64 << 10 // of a flow
	maxName   = 256      // of a member
	maxDepth  = jsonform.MaxDepth
	maxStrata = 1 << 16   // told apart; flows of further ones are counted as one
	maxListed = 500       // strata that a manifest lists for a round
	maxText   = 1 << 30   // of one plain text
	maxDoc    = 128 << 20 // of one finding
	maxState  = 512 << 20
	maxValues = 10_000_000 // of a JSON document: memory goes by them
)

// What the manifest takes at most for one.
const (
	memberBound  = maxName + 200
	stratumBound = maxStratum + 100
	maxStratum   = 120 // of its name
)

// What is read at most of anybody's file.
const (
	maxMembers = 100_000
	maxListing = 1_000_000      // values of the manifest
	maxFrames  = 4 * maxMembers // of zstd
	maxInput   = 64 << 30       // from a pipe, compressed
	maxWindow  = 64 << 20       // that zstd may ask for
	// The archive may be maxRatio times as long as the file, and longer than that
	// by freeBytes: of honest ones only small members come near.
	maxRatio  = 200
	freeBytes = 64 << 20
)
