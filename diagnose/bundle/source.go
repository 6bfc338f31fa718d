package bundle

import (
	"context"
	"errors"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/counters"
	"github.com/ntdiag/ntdiag/diagnose/history"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/kernlog"
	"github.com/ntdiag/ntdiag/rules"
)

// Table is a conntrack table that is read.
type Table struct {
	// Each hands over the entries, in one struct that is used again for the next,
	// and ends with the first error of fn. Where of is not nil only entries with
	// that tuple are asked for: it may leave out others.
	Each func(ctx context.Context, of *rules.Tuple, fn func(*host.Flow) error) error
	// Lacks is how many entries the table had beside these, and Why.
	Lacks int
	Why   string
	// Turnover is how it changed while it was read, as far as that is known.
	Turnover capture.Turnover
	// At is when it was read; zero for not known.
	At time.Time
}

// Source is a network namespace that was read before, as commands take it.
type Source struct {
	state *State
	table Table
}

var _ capture.Whole = (*Source)(nil)

// NewSource makes a Source of a namespace and its flows. It takes the state
// over.
func NewSource(s *State, t Table) *Source {
	s.Snapshot.Ready()
	return &Source{s, t}
}

// State is what there is beside the flows. It is not to be changed.
func (s *Source) State() *State { return s.state }

// Snapshot is everything but the flows, the same one each time.
func (s *Source) Snapshot(ctx context.Context) (*host.Snapshot, error) {
	return s.state.Snapshot, ctx.Err()
}

// Flows streams the entries that pass f.
func (s *Source) Flows(ctx context.Context, f capture.Filter, fn func(*host.Flow) error) (capture.FlowsInfo, error) {
	info := capture.FlowsInfo{Filtered: !f.Empty(), Unparsed: s.table.Lacks, Why: s.table.Why, Turnover: s.table.Turnover}
	err := s.table.Each(ctx, nil, func(flow *host.Flow) error {
		if !f.Match(flow) {
			return nil
		}
		info.Count++
		return fn(flow)
	})
	if errors.Is(err, capture.ErrStop) {
		err = nil
	}
	return info, err
}

// Get looks an entry up as the kernel does (nf_conntrack_find_get): a tuple is
// in the zone that the entry has in that direction.
func (s *Source) Get(ctx context.Context, t rules.Tuple, _ capture.Direction, family rules.Family, zone uint16) (*host.Flow, error) {
	var found *host.Flow
	err := s.table.Each(ctx, &t, func(f *host.Flow) error {
		if family != rules.FamilyUnspec && f.Family != family {
			return nil
		}
		if f.Original == t && zoneOf(f, host.HasZoneReply) == zone || f.Reply == t && zoneOf(f, host.HasZoneOrig) == zone {
			one := *f
			found = &one
			return capture.ErrStop
		}
		return nil
	})
	switch {
	case found != nil:
		return found, nil
	case err != nil:
		return nil, err
	}
	return nil, &capture.OpError{What: "conntrack get", Why: capture.ErrNotFound.Error(), Err: capture.ErrNotFound}
}

// zoneOf is the zone in one direction (nf_ct_zone_id); other tells that the
// entry's zone is of the other direction alone.
func zoneOf(f *host.Flow, other host.Present) uint16 {
	if f.Has&other != 0 {
		return 0
	}
	return f.Zone
}

// Generation is that of the ruleset after everything was read.
func (s *Source) Generation(context.Context) (uint32, error) {
	return fact("generation of the rules", s.state.Generation)
}

// Stats are the last of the readings.
func (s *Source) Stats(context.Context) (*counters.Stats, error) {
	n := len(s.state.Readings)
	if n == 0 {
		return nil, s.lacks(PartCounters)
	}
	stats := *s.state.Readings[n-1].Stats
	return &stats, nil
}

// Readings are the counters, oldest first.
func (s *Source) Readings() []Reading { return s.state.Readings }

// Count is how many entries there were, and how many there may be, 0 where that
// is not known.
func (s *Source) Count() (n, most uint64, err error) {
	if n, err = fact("conntrack count", s.state.Count); err != nil {
		return 0, 0, err
	}
	return n, s.state.Max.Value, nil
}

// Loggers are those of then.
func (s *Source) Loggers() capture.Loggers { return s.state.Loggers }

// Sysctl is a setting of the snapshot.
func (s *Source) Sysctl(key string) host.Fact[string] {
	if f, ok := s.state.Snapshot.Sysctls[key]; ok {
		return f
	}
	return host.Absent[string]("it was not captured")
}

// Place tells the namespace from others.
func (s *Source) Place() host.Place { return s.state.Place }

// Identity tells the namespace apart.
func (s *Source) Identity() (host.NetnsID, error) { return fact("network namespace", s.state.ID) }

// Enter is what a command line begins with on the machine.
func (s *Source) Enter() string { return s.state.Enter }

// Now is when the flows were read, or else the rest.
func (s *Source) Now() time.Time {
	if s.table.At.After(s.state.Snapshot.CapturedAt) {
		return s.table.At
	}
	return s.state.Snapshot.CapturedAt
}

// Close does nothing: what the table reads from is another's.
func (s *Source) Close() error { return nil }

// Expectations are those that were there.
func (s *Source) Expectations(context.Context) ([]capture.Expectation, error) {
	return list(s, PartExpectations, s.state.Expectations)
}

// Neighbours are those that were known.
func (s *Source) Neighbours(context.Context) ([]host.Neighbour, error) {
	return list(s, PartNeighbours, s.state.Neighbours)
}

// XfrmPolicies are those that were in force.
func (s *Source) XfrmPolicies(context.Context) ([]host.XfrmPolicy, error) {
	return list(s, PartXfrm, s.state.Xfrm)
}

// Log gives the records of the kernel's log.
func (s *Source) Log(ctx context.Context, fn func(*kernlog.Record) error) (lost uint64, err error) {
	if _, err := list(s, PartLog, s.state.Log); err != nil {
		return 0, err
	}
	for i := range s.state.Log {
		l := &s.state.Log[i]
		r := kernlog.Record{Text: []byte(l.Text), Seq: l.Seq, HasSeq: l.HasSeq, Continues: l.Continues, Foreign: l.Foreign, Repeats: l.Repeats}
		r.SetTime(l.At)
		if err := errors.Join(ctx.Err(), fn(&r)); err != nil {
			return s.state.LogLost, err
		}
	}
	return s.state.LogLost, nil
}

// History is what was recorded of the namespace until then.
func (s *Source) History() (*history.History, error) {
	if s.state.History == nil {
		if err := s.why(PartHistory); err != nil {
			return nil, err
		}
		return nil, history.ErrNoStore
	}
	return s.state.History, nil
}

// Uptime is how long the machine had been running.
func (s *Source) Uptime() host.Fact[time.Duration] { return s.state.Uptime }

// Parts of a namespace by their names in State.Missing.
const (
	PartFlows        = "conntrack entries"
	PartCounters     = "conntrack statistics"
	PartExpectations = "expectations"
	PartNeighbours   = "neighbours"
	PartXfrm         = "xfrm policies"
	PartLog          = "kernel log"
	PartHistory      = "history"
)

// why is the reason for which a part is missing, nil where none is told.
func (s *Source) why(part string) error {
	for _, m := range s.state.Missing {
		if m.What == part {
			return &capture.OpError{What: m.What, Why: m.Why}
		}
	}
	return nil
}

// lacks is the reason, or that there is none.
func (s *Source) lacks(part string) error {
	if err := s.why(part); err != nil {
		return err
	}
	return &capture.OpError{What: part, Why: "not captured"}
}

func fact[T any](what string, f host.Fact[T]) (T, error) {
	if !f.OK {
		why := f.Why
		if why == "" {
			why = "not captured"
		}
		return f.Value, &capture.OpError{What: what, Why: why}
	}
	return f.Value, nil
}

// list is what there is of a part; an error where it is missing as a whole.
func list[T any](s *Source, part string, all []T) ([]T, error) {
	if len(all) > 0 {
		return all, nil
	}
	return nil, s.why(part)
}
