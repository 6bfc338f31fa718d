package capture

import (
	"context"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/counters"
	"github.com/ntdiag/ntdiag/diagnose/history"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/kernlog"
	"github.com/ntdiag/ntdiag/rules"
)

// Source is one network namespace to read: that of a running kernel (Live), or
// one that a file holds. What a file does not hold is an error that says so.
type Source interface {
	// Snapshot is everything but the flows.
	Snapshot(ctx context.Context) (*host.Snapshot, error)
	// Flows streams the conntrack table, as Live.Flows does.
	Flows(ctx context.Context, f Filter, fn func(*host.Flow) error) (FlowsInfo, error)
	// Get is one entry by one of its tuples, ErrNotFound when there is none.
	Get(ctx context.Context, t rules.Tuple, dir Direction, family rules.Family, zone uint16) (*host.Flow, error)
	Generation(ctx context.Context) (uint32, error)
	Stats(ctx context.Context) (*counters.Stats, error)
	Count() (n, max uint64, err error)
	Loggers() Loggers
	Sysctl(key string) host.Fact[string]
	Place() host.Place
	Identity() (host.NetnsID, error)
	// Enter is what a command line begins with to run inside the namespace.
	Enter() string
	// Now is the time that ages are counted to: of a file, when it was captured.
	Now() time.Time
	Close() error
}

// Whole is a Source with all that a bundle holds of a namespace.
type Whole interface {
	Source
	Expectations(ctx context.Context) ([]Expectation, error)
	Neighbours(ctx context.Context) ([]host.Neighbour, error)
	XfrmPolicies(ctx context.Context) ([]host.XfrmPolicy, error)
	// Log gives what the kernel's log holds of netfilter, oldest first; a record
	// is good until fn returns. It tells how many were lost.
	Log(ctx context.Context, fn func(*kernlog.Record) error) (lost uint64, err error)
	// History is what `record` kept of the namespace; ErrNoStore where it kept
	// nothing.
	History() (*history.History, error)
	// Uptime is how long the machine runs.
	Uptime() host.Fact[time.Duration]
}

var _ Whole = (*Live)(nil)

// Now is the time.
func (l *Live) Now() time.Time { return time.Now() }
