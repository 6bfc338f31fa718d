package collect

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/bundle"
	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/history"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/kernlog"
)

// tries is how often a snapshot is taken because the rules changed meanwhile.
const tries = 4

// partRules is what is missing when rules changed while they were read.
const partRules = "one state of the rules"

// Snapshot reads everything but the flows, anew while the rules change: those
// of the backends, sets and ipsets are read one after the other. Where it does
// not come to rest the snapshot says so.
func Snapshot(ctx context.Context, src capture.Source) (*host.Snapshot, error) {
	for try := 1; ; try++ {
		before, errBefore := src.Generation(ctx)
		s, err := src.Snapshot(ctx)
		if err != nil {
			return nil, err
		}
		after, errAfter := src.Generation(ctx)
		// without nf_tables nothing counts changes
		if errBefore != nil || errAfter != nil || before == after {
			return s, nil
		}
		if try == tries {
			why := fmt.Sprintf("they changed each time that they were read (generation %d, then %d)", before, after)
			s.Missing = append(s.Missing, host.Missing{What: partRules, Why: why})
			return s, nil
		}
	}
}

// state reads all of a namespace but its snapshot, which is given, and its flows.
func state(ctx context.Context, src capture.Whole, s *host.Snapshot, readings []bundle.Reading) (*bundle.State, error) {
	out := &bundle.State{
		Snapshot: s, Place: src.Place(), Loggers: src.Loggers(), Readings: readings, Uptime: src.Uptime(), Enter: src.Enter(),
	}
	out.ID = fact(src.Identity())
	out.Generation = fact(src.Generation(ctx))
	n, most, err := src.Count()
	out.Count, out.Max = fact(n, err), fact(most, err)

	out.Expectations = list(ctx, out, bundle.PartExpectations, src.Expectations)
	out.Neighbours = list(ctx, out, bundle.PartNeighbours, src.Neighbours)
	out.Xfrm = list(ctx, out, bundle.PartXfrm, src.XfrmPolicies)
	logged(ctx, src, out)
	if out.History, err = src.History(); err != nil {
		out.History = nil
		if !errors.Is(err, history.ErrNoStore) {
			miss(out, bundle.PartHistory, err)
		}
	}
	if g := out.Generation; g.OK && s.Rules.Generation != 0 && g.Value != s.Rules.Generation {
		miss(out, "rules as they were when the flows were read", fmt.Errorf("they changed from generation %d to %d; those of the former are here", s.Rules.Generation, g.Value))
	}
	return out, ctx.Err()
}

func fact[T any](v T, err error) host.Fact[T] {
	if err != nil {
		return host.Absent[T](why(err))
	}
	return host.Known(v)
}

// why is the reason alone.
func why(err error) string {
	var op *capture.OpError
	if errors.As(err, &op) {
		return op.Why
	}
	return err.Error()
}

func miss(s *bundle.State, what string, err error) {
	s.Missing = append(s.Missing, host.Missing{What: what, Why: strings.TrimPrefix(why(err), what+": ")})
}

// list reads a list; what came before an error is kept.
func list[T any](ctx context.Context, s *bundle.State, what string, read func(context.Context) ([]T, error)) []T {
	v, err := read(ctx)
	if err != nil {
		miss(s, what, err)
	}
	return v
}

// logged reads the kernel's log.
func logged(ctx context.Context, src capture.Whole, s *bundle.State) {
	var err error
	s.LogLost, err = src.Log(ctx, func(r *kernlog.Record) error {
		s.Log = append(s.Log, bundle.LogLine{At: r.Time(), Text: string(r.Text), Seq: r.Seq, HasSeq: r.HasSeq, Continues: r.Continues, Foreign: r.Foreign, Repeats: r.Repeats})
		return nil
	})
	if err != nil {
		miss(s, bundle.PartLog, err)
	}
}

// reading reads the counters.
func reading(ctx context.Context, src capture.Source) (bundle.Reading, error) {
	stats, err := src.Stats(ctx)
	return bundle.Reading{At: time.Now(), Stats: stats}, err
}
