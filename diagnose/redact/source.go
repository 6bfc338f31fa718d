package redact

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/counters"
	"github.com/ntdiag/ntdiag/diagnose/history"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/kernlog"
	"github.com/ntdiag/ntdiag/rules"
)

// Options are what Wrap can be given.
type Options struct {
	// Mapper is that of several namespaces, whose addresses map alike; it was
	// made with what Collect says of each. nil makes one for this namespace.
	Mapper *Mapper
	// Snapshot and History are those of the namespace where they were read
	// already; nil reads them.
	Snapshot *host.Snapshot
	History  *history.History
}

// Source is a namespace of which everything is redacted. What it is asked by,
// addresses and names of devices, is redacted too. Its methods may be used from
// several goroutines.
type Source struct {
	src      capture.Whole
	snapshot *host.Snapshot
	history  *history.History
	noStore  error

	mu sync.Mutex // the Mapper is for one goroutine
	r  *model
}

var _ capture.Whole = (*Source)(nil)

// Wrap redacts src: it reads its snapshot and what was recorded of it, and keeps
// both.
func Wrap(ctx context.Context, src capture.Whole, key Key, opt Options) (*Source, error) {
	s := &Source{src: src}
	snapshot, recorded := opt.Snapshot, opt.History
	var err error
	if snapshot == nil {
		if snapshot, err = src.Snapshot(ctx); err != nil {
			return nil, err
		}
	}
	if recorded == nil {
		if recorded, err = src.History(); err != nil {
			recorded, s.noStore = nil, err
		}
	}
	m := opt.Mapper
	if m == nil {
		m = New(key, Collect(snapshot, recorded))
	}
	s.r = &model{m: m, key: key, notes: map[string]bool{}}
	s.snapshot = s.r.snapshot(snapshot)
	s.history = redacted(s.r, recorded)
	s.noStore = s.failed(s.noStore)
	return s, nil
}

// Mapper is what redacts. It is for one goroutine, and not while the source is
// read.
func (s *Source) Mapper() *Mapper { return s.r.m }

// Kept is what of the addresses had to stay for the rules' sake.
func (s *Source) Kept() []Kept {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.r.m.Kept()
}

// Differs is what the redacted rules leave open, or have otherwise, that the
// rules do not; sorted.
func (s *Source) Differs() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.r.notes))
}

// redactedBy is redacted, for one goroutine at a time.
func redactedBy[T any](s *Source, v T) T {
	s.mu.Lock()
	defer s.mu.Unlock()
	return redacted(s.r, v)
}

// failed is an error without names and addresses; errors.Is finds what it was.
func (s *Source) failed(err error) error {
	if err == nil || errors.Is(err, capture.ErrStop) || errors.Is(err, context.Canceled) {
		return err
	}
	return &hidden{s.text(err.Error()), err}
}

type hidden struct {
	text string
	err  error
}

func (e *hidden) Error() string        { return e.text }
func (e *hidden) Is(target error) bool { return errors.Is(e.err, target) }

func (s *Source) text(t string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.r.m.Text(t)
}

// Snapshot is the one that was read when the source was wrapped.
func (s *Source) Snapshot(context.Context) (*host.Snapshot, error) { return s.snapshot, nil }

// Flows streams the redacted table.
func (s *Source) Flows(ctx context.Context, f capture.Filter, fn func(*host.Flow) error) (capture.FlowsInfo, error) {
	s.mu.Lock()
	for _, part := range []*capture.TuplePart{&f.Orig, &f.Reply} {
		part.Src, part.Dst = s.r.m.Original(part.Src), s.r.m.Original(part.Dst)
	}
	s.mu.Unlock()
	var out host.Flow
	var own error // of fn: it speaks of what is redacted already
	info, err := s.src.Flows(ctx, f, func(flow *host.Flow) error {
		out = *flow
		s.mu.Lock()
		s.r.m.Flow(&out)
		s.mu.Unlock()
		own = fn(&out)
		return own
	})
	info.Why = s.text(info.Why)
	if own != nil && errors.Is(err, own) {
		return info, err
	}
	return info, s.failed(err)
}

// Get asks by a redacted tuple.
func (s *Source) Get(ctx context.Context, t rules.Tuple, dir capture.Direction, family rules.Family, zone uint16) (*host.Flow, error) {
	s.mu.Lock()
	t.Src, t.Dst = s.r.m.Original(t.Src), s.r.m.Original(t.Dst)
	s.mu.Unlock()
	f, err := s.src.Get(ctx, t, dir, family, zone)
	if err != nil {
		return nil, s.failed(err)
	}
	out := *f
	s.mu.Lock()
	defer s.mu.Unlock()
	s.r.m.Flow(&out)
	return &out, nil
}

func (s *Source) Generation(ctx context.Context) (uint32, error) {
	n, err := s.src.Generation(ctx)
	return n, s.failed(err)
}

func (s *Source) Stats(ctx context.Context) (*counters.Stats, error) {
	st, err := s.src.Stats(ctx)
	if err != nil {
		return nil, s.failed(err)
	}
	return redactedBy(s, st), nil
}

func (s *Source) Count() (n, max uint64, err error) {
	n, max, err = s.src.Count()
	return n, max, s.failed(err)
}

func (s *Source) Loggers() capture.Loggers { return redactedBy(s, s.src.Loggers()) }

// Sysctl asks by a key in which the name of a device is redacted.
func (s *Source) Sysctl(key string) host.Fact[string] {
	if f, has := s.snapshot.Sysctls[key]; has {
		return f
	}
	s.mu.Lock()
	original := s.r.m.sysctlKey(key, s.r.m.names.reveal)
	s.mu.Unlock()
	f := s.src.Sysctl(original)
	s.mu.Lock()
	defer s.mu.Unlock()
	f.Why, f.Value = s.r.m.Text(f.Why), s.r.sysctlValue(key, f.Value)
	return f
}

func (s *Source) Place() host.Place { return s.src.Place() }

func (s *Source) Identity() (host.NetnsID, error) {
	id, err := s.src.Identity()
	return id, s.failed(err)
}

func (s *Source) Enter() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.r.enter(s.src.Enter())
}

func (s *Source) Now() time.Time { return s.src.Now() }

func (s *Source) Close() error { return s.src.Close() }

func (s *Source) Expectations(ctx context.Context) ([]capture.Expectation, error) {
	return hide(s, ctx, s.src.Expectations)
}

func (s *Source) Neighbours(ctx context.Context) ([]host.Neighbour, error) {
	return hide(s, ctx, s.src.Neighbours)
}

func (s *Source) XfrmPolicies(ctx context.Context) ([]host.XfrmPolicy, error) {
	return hide(s, ctx, s.src.XfrmPolicies)
}

// hide reads a list and redacts it.
func hide[T any](s *Source, ctx context.Context, read func(context.Context) ([]T, error)) ([]T, error) {
	list, err := read(ctx)
	return redactedBy(s, list), s.failed(err)
}

func (s *Source) Log(ctx context.Context, fn func(*kernlog.Record) error) (lost uint64, err error) {
	var own error
	lost, err = s.src.Log(ctx, func(r *kernlog.Record) error {
		out := *r
		s.mu.Lock()
		out.Text = []byte(s.r.m.LogLine(string(r.Text)))
		s.mu.Unlock()
		own = fn(&out)
		return own
	})
	if own != nil && errors.Is(err, own) {
		return lost, err
	}
	return lost, s.failed(err)
}

func (s *Source) History() (*history.History, error) { return s.history, s.noStore }

func (s *Source) Uptime() host.Fact[time.Duration] { return redactedBy(s, s.src.Uptime()) }
