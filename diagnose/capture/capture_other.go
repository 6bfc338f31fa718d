//go:build !linux

package capture

import (
	"context"

	"github.com/ntdiag/ntdiag/diagnose/counters"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

// Live is an open network namespace; there is none here.
type Live struct{ StateDir string }

// Open fails: live capture needs Linux.
func Open(netns string) (*Live, error) { return nil, ErrLinux }

// Close does nothing.
func (l *Live) Close() error { return nil }

// Snapshot fails.
func (l *Live) Snapshot(context.Context) (*host.Snapshot, error) { return nil, ErrLinux }

// Generation fails.
func (l *Live) Generation(context.Context) (uint32, error) { return 0, ErrLinux }

// Flows fails.
func (l *Live) Flows(context.Context, Filter, func(*host.Flow) error) (FlowsInfo, error) {
	return FlowsInfo{}, ErrLinux
}

// Get fails.
func (l *Live) Get(context.Context, rules.Tuple, Direction, rules.Family, uint16) (*host.Flow, error) {
	return nil, ErrLinux
}

// Count fails.
func (l *Live) Count() (n, max uint64, err error) { return 0, 0, ErrLinux }

// Entries changes a conntrack table; there is none here.
type Entries struct{}

// Entries fails.
func (l *Live) Entries() (*Entries, error) { return nil, ErrLinux }

// Close does nothing.
func (e *Entries) Close() {}

// Get fails.
func (e *Entries) Get(context.Context, *host.Flow) (*host.Flow, error) { return nil, ErrLinux }

// Delete fails.
func (e *Entries) Delete(context.Context, *host.Flow) error { return ErrLinux }

// Insert fails.
func (e *Entries) Insert(context.Context, *host.Flow) error { return ErrLinux }

// Update fails.
func (e *Entries) Update(context.Context, *host.Flow, Change) error { return ErrLinux }

// Stats fails.
func (l *Live) Stats(context.Context) (*counters.Stats, error) { return nil, ErrLinux }

// Place is not known.
func (l *Live) Place() host.Place { return host.Place{} }

// Watch fails.
func (l *Live) Watch(context.Context, WatchOptions, func(*Event) error) error { return ErrLinux }

// WatchExpectations fails.
func (l *Live) WatchExpectations(context.Context, []EventKind, func(*Event) error) error {
	return ErrLinux
}

// Revisions fails.
func (l *Live) Revisions() (*Revisions, error) { return nil, ErrLinux }

// Revisions tells of changes; there is none here.
type Revisions struct{}

// Close does nothing.
func (r *Revisions) Close() {}

// Counted is false.
func (r *Revisions) Counted() bool { return false }

// Snapshot fails.
func (r *Revisions) Snapshot(context.Context, *Live) (*host.Snapshot, Revision, bool, error) {
	return nil, Revision{}, false, ErrLinux
}
