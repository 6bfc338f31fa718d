package collect

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/bundle"
	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/plain"
	"github.com/ntdiag/ntdiag/rules"
)

// Space is one network namespace that is collected.
type Space struct {
	Name, Path string // as the bundle has it: Bundle.Namespace
	Source     capture.Whole
	// Snapshot was read already, so that what redacts could look at it; nil is
	// read.
	Snapshot *host.Snapshot

	n        *bundle.NamespaceWriter
	readings []bundle.Reading
	missing  []host.Missing
	samples  []host.Flow
	zones    bool            // some entry has one
	rewrites map[string]bool // that samples has one of
	read     [2]int          // entries of each round
	at       time.Time       // of the last
	failed   error           // of reading the flows
}

// Options are how it is done.
type Options struct {
	Interval time.Duration // between the two readings of one table, at least
	// Findings writes what commands say of a namespace: doc is JSON, text is for
	// people. What was not done is returned. nil writes none.
	Findings func(ctx context.Context, f *Frozen, put func(name string, doc, text []byte) error) ([]host.Missing, error)
	// Progress is told what is done now; nil for nobody.
	Progress func(what string)
}

// Frozen is a namespace as it was collected.
type Frozen struct {
	*bundle.Source
	Entries int // of the table
	// Samples are flows that are rewritten each in another way, and a few that
	// are not.
	Samples []host.Flow
}

// partFlows is what is missing where the table could not be read.
const partFlows = "conntrack entries"

// maxSamples is how many flows are explained.
const maxSamples = 24

// Result is what came of one namespace.
type Result struct {
	Flows   [2]int
	Missing []host.Missing // what could not be read of it
	Undone  []host.Missing // what Findings did not do
}

// Run collects the namespaces: first the tables of all, once, then the rest of
// each. An error is one of writing, or the end of ctx.
func Run(ctx context.Context, w *bundle.Writer, spaces []*Space, opt Options) ([]Result, error) {
	say := opt.Progress
	if say == nil {
		say = func(string) {}
	}
	for i, s := range spaces {
		say(fmt.Sprintf("namespace %d of %d: flows", i+1, len(spaces)))
		if err := s.begin(ctx, w); err != nil {
			return nil, err
		}
	}
	var results []Result
	for i, s := range spaces {
		say(fmt.Sprintf("namespace %d of %d: waiting for %v", i+1, len(spaces), opt.Interval))
		if err := s.wait(ctx, opt.Interval); err != nil {
			return nil, err
		}
		say(fmt.Sprintf("namespace %d of %d: flows again", i+1, len(spaces)))
		r, err := s.finish(ctx, opt, func(what string) { say(fmt.Sprintf("namespace %d of %d: %s", i+1, len(spaces), what)) })
		if err != nil {
			return nil, err
		}
		results = append(results, r)
	}
	return results, nil
}

// begin reads what is read first.
func (s *Space) begin(ctx context.Context, w *bundle.Writer) error {
	s.n = w.Namespace(s.Name, s.Path, s.Source.Place())
	s.rewrites = map[string]bool{}
	if s.Snapshot == nil {
		var err error
		if s.Snapshot, err = Snapshot(ctx, s.Source); err != nil {
			return err
		}
	}
	return s.round(ctx, 1)
}

// round writes the table once, and reads the counters.
func (s *Space) round(ctx context.Context, number int) error {
	r, err := reading(ctx, s.Source)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		s.miss(bundle.PartCounters, err)
	default:
		s.readings = append(s.readings, r)
	}
	if s.failed != nil {
		return nil // it was said
	}
	return s.flows(ctx, number)
}

func (s *Space) miss(what string, err error) {
	for _, m := range s.missing {
		if m.What == what {
			return
		}
	}
	s.missing = append(s.missing, host.Missing{What: what, Why: why(err)})
}

// flows writes the table as one round. A table that cannot be read at all has
// none.
func (s *Space) flows(ctx context.Context, number int) error {
	opt := bundle.FlowOptions{At: time.Now()}
	s.at = opt.At
	if n, _, err := s.Source.Count(); err == nil {
		opt.Expect = n
	}
	opt.Line = func(b []byte, f *host.Flow) []byte { return plain.AppendFlow(b, f, opt.At) }
	opt.Stratum = func(b []byte, f *host.Flow) []byte {
		b = bundle.AppendStratum(b, f)
		s.sample(b, f)
		s.zones = s.zones || f.Zone != 0
		return b
	}
	var fw *bundle.FlowWriter
	var failed error // of writing
	begin := func() error {
		if fw == nil {
			fw, failed = s.n.Flows(number, opt)
		}
		return failed
	}
	info, err := s.Source.Flows(ctx, capture.Filter{}, func(f *host.Flow) error {
		if begin() == nil {
			failed = fw.Add(f)
		}
		return failed
	})
	s.read[number-1] = info.Count
	switch {
	case ctx.Err() != nil:
		failed = context.Cause(ctx)
	case failed == nil && err == nil:
		_ = begin()
	case failed == nil:
		s.miss(partFlows, err)
		s.failed = err
	}
	if fw != nil {
		if e := fw.Close(info); failed == nil {
			failed = e
		}
	}
	return failed
}

// one asks for the entry of a tuple.
func (s *Space) one(ctx context.Context, of *rules.Tuple, fn func(*host.Flow) error) error {
	f, err := s.Source.Get(ctx, *of, capture.Original, rules.FamilyUnspec, 0)
	switch {
	case errors.Is(err, capture.ErrNotFound):
		return nil
	case err != nil:
		return err
	}
	return fn(f)
}

// sample keeps the first flow of each way to be rewritten.
func (s *Space) sample(stratum []byte, f *host.Flow) {
	if len(s.samples) < maxSamples && !s.rewrites[string(stratum)] {
		s.rewrites[string(stratum)] = true
		s.samples = append(s.samples, *f)
	}
}

func (s *Space) wait(ctx context.Context, interval time.Duration) error {
	if len(s.readings) == 0 && s.failed != nil {
		return nil // there is nothing that could change
	}
	since := time.Now()
	if len(s.readings) > 0 {
		since = s.readings[0].At
	}
	t := time.NewTimer(time.Until(since.Add(interval)))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

// finish reads the rest of a namespace, and writes it.
func (s *Space) finish(ctx context.Context, opt Options, say func(string)) (Result, error) {
	s.samples, s.rewrites = nil, map[string]bool{}
	if err := s.round(ctx, 2); err != nil {
		return Result{}, err
	}
	say("the rest")
	st, err := state(ctx, s.Source, s.Snapshot, s.readings)
	if err != nil {
		return Result{}, context.Cause(ctx)
	}
	st.Missing = append(s.missing, st.Missing...)
	if err := s.n.State(st); err != nil {
		return Result{}, err
	}
	if err := s.texts(st); err != nil {
		return Result{}, err
	}
	res := Result{Flows: s.read, Missing: append(append([]host.Missing(nil), st.Snapshot.Missing...), st.Missing...)}
	if opt.Findings == nil {
		return res, nil
	}
	say("what commands say of it")
	undone, err := opt.Findings(ctx, s.frozen(st), func(name string, doc, text []byte) error {
		return s.finding(name, doc, text)
	})
	s.n.Missing(undone...)
	res.Undone = undone
	return res, err
}

func (s *Space) finding(name string, doc, text []byte) error {
	if doc != nil {
		if err := s.n.Finding(name, doc); err != nil {
			return err
		}
	}
	if len(text) == 0 {
		return nil
	}
	return s.n.Text(name+".txt", writes(text))
}

// texts writes what there is for people.
func (s *Space) texts(st *bundle.State) error {
	var b bytes.Buffer
	for _, t := range plain.Texts {
		b.Reset()
		if err := t.Write(&b, st); err != nil {
			return fmt.Errorf("%s: %w", t.Name, err)
		}
		if b.Len() == 0 {
			continue
		}
		if err := s.n.Text(t.Name, writes(b.Bytes())); err != nil {
			return err
		}
	}
	return nil
}

// frozen answers from what was collected; its flows are read again.
func (s *Space) frozen(st *bundle.State) *Frozen {
	each := func(ctx context.Context, of *rules.Tuple, fn func(*host.Flow) error) error {
		if of != nil && !s.zones {
			return s.one(ctx, of, fn)
		}
		_, err := s.Source.Flows(ctx, capture.Filter{}, fn)
		return err
	}
	if s.failed != nil {
		each = func(context.Context, *rules.Tuple, func(*host.Flow) error) error { return s.failed }
	}
	src := bundle.NewSource(st, bundle.Table{Each: each, At: s.at})
	return &Frozen{Source: src, Entries: s.read[1], Samples: s.samples}
}

func writes(b []byte) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	}
}
