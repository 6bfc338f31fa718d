// Package remove deletes flows from the conntrack table one by one, looks
// whether they stay away, and puts them back.
//
// Each entry is read again and compared with the one that was judged, written
// into a journal as it is now, and deleted by one message that names it and no
// other: an entry that ended or changed meanwhile is told, not touched.
package remove

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/journal"
	"github.com/ntdiag/ntdiag/diagnose/stale"
)

// Table is the conntrack table of one namespace, as capture.Entries changes it.
type Table interface {
	// Get answers capture.ErrNotFound where no entry has the original tuple.
	Get(context.Context, *host.Flow) (*host.Flow, error)
	// Delete answers capture.ErrNotFound where the entry is not that one.
	Delete(context.Context, *host.Flow) error
	// Insert answers capture.ErrExists where an entry has one of the tuples.
	Insert(context.Context, *host.Flow) error
}

// Planned is a flow that is to go, as it was judged.
type Planned struct {
	Flow  host.Flow
	Why   journal.Why
	Risks []stale.Risk
}

// Result is what became of a planned flow.
type Result struct {
	*Planned
	Action journal.Action
	// Said is why, empty for what was deleted.
	Said string
	// Back is what stands there after a delete, Now its entry.
	Back Back
	Now  *host.Flow
}

// Options are what a removal may be told.
type Options struct {
	// Judge says what the rules make of an entry that came back; nil where
	// nobody can.
	Judge *stale.Judge
}

// batchSize is how many entries are read, written to the disk and deleted at a
// time: more make fewer writes, and a longer time between reading and deleting.
const batchSize = 256

// Run removes the planned flows. The error is why it stopped before the end:
// the results are complete all the same, with None for those whose turn did
// not come.
func Run(ctx context.Context, t Table, w *journal.Writer, plan []Planned, o Options) ([]Result, error) {
	r := &run{ctx: ctx, t: t, w: w, results: Untouched(plan)}
	var err error
	for at := 0; at < len(plan) && err == nil; at += batchSize {
		err = r.batch(r.results[at:min(at+batchSize, len(plan))])
	}
	return r.results, join(err, r.verify(o.Judge))
}

// Untouched are the results of a plan of which nothing is done yet.
func Untouched(plan []Planned) []Result {
	out := make([]Result, len(plan))
	for i := range plan {
		out[i] = Result{Planned: &plan[i], Action: journal.None}
	}
	return out
}

// join is errors.Join in one line.
func join(a, b error) error {
	if a == nil || b == nil {
		return errors.Join(a, b)
	}
	return fmt.Errorf("%w; %w", a, b)
}

type run struct {
	ctx     context.Context
	t       Table
	w       *journal.Writer
	results []Result
}

// batch removes a few flows.
func (r *run) batch(batch []Result) error {
	var todo []*Result
	var intents []journal.Intent
	for i := range batch {
		now, err := r.read(&batch[i])
		if err != nil {
			return err
		}
		if now != nil {
			todo = append(todo, &batch[i])
			intents = append(intents, journal.Intent{Flow: *now, Why: batch[i].Why})
		}
	}
	if len(todo) == 0 {
		return nil
	}
	if err := r.w.Intend(intents); err != nil {
		return fmt.Errorf("%w: nothing further is deleted", err)
	}
	var results []journal.Result
	var err error
	for i, res := range todo {
		known := true
		if err == nil {
			known, err = r.delete(res, &intents[i].Flow)
		}
		if known {
			results = append(results, journal.Result{N: intents[i].N, Action: res.Action, Why: res.Said})
		}
	}
	if werr := r.w.Results(results); werr != nil {
		err = join(err, fmt.Errorf("%w: nothing further is deleted", werr))
	}
	return err
}

// read is the entry as it is now, nil where it is not to be touched.
func (r *run) read(res *Result) (*host.Flow, error) {
	now, err := r.t.Get(r.ctx, &res.Flow)
	switch {
	case errors.Is(err, capture.ErrNotFound):
		res.Action, res.Said = journal.Gone, "it ended before"
	case err != nil:
		return nil, r.failed(res, err)
	default:
		if said := differs(&res.Flow, now); said != "" {
			res.Action, res.Said, res.Now = journal.Changed, said, now
			return nil, nil
		}
		return now, nil
	}
	return nil, nil
}

// failed notes an error; one that every further entry would meet ends it all,
// and so does the end of the context, which is nobody's failure.
func (r *run) failed(res *Result, err error) error {
	if r.ctx.Err() != nil {
		return fmt.Errorf("stopped: %w", context.Cause(r.ctx))
	}
	res.Action, res.Said = journal.Failed, err.Error()
	if errors.Is(err, fs.ErrPermission) {
		return err
	}
	return nil
}

// delete removes the entry that was just read and written down. It is not known
// to be there or gone when neither the delete nor a look at it was answered.
func (r *run) delete(res *Result, f *host.Flow) (known bool, err error) {
	err = r.t.Delete(r.ctx, f)
	switch {
	case err == nil:
		res.Action = journal.Deleted
		return true, nil
	case r.ctx.Err() != nil:
		return true, r.failed(res, err) // it was not sent
	}
	now, look := r.t.Get(r.ctx, f)
	switch {
	case errors.Is(err, capture.ErrNotFound):
		// it went, or changed, since it was read
		res.Action, res.Said = journal.Gone, "it ended before"
		if look == nil {
			res.Action, res.Said, res.Now = journal.Changed, differs(f, now), now
		}
		return true, nil
	case look == nil && differs(f, now) == "":
		return true, r.failed(res, err)
	case look == nil || errors.Is(look, capture.ErrNotFound):
		res.Action, res.Said = journal.Deleted, "the kernel did not confirm it: "+err.Error()
		return true, nil
	}
	return false, r.failed(res, err)
}

// natBits are those of the status that say what NAT did.
const natBits = host.StatusSrcNAT | host.StatusDstNAT | host.StatusSrcNATDone | host.StatusDstNATDone

// differs says in what way now is another entry than was, "" for in none: what
// a packet changes (state, timeout, counters, mark) does not count.
func differs(was, now *host.Flow) string {
	both := was.Has & now.Has
	switch {
	case was.Original != now.Original:
		return "another original tuple"
	case was.Reply != now.Reply:
		return "another reply tuple"
	case zoneOf(was) != zoneOf(now):
		return "another zone"
	case both&host.HasStart != 0 && was.Start != now.Start:
		return "an entry made later with the same tuples"
	case both&host.HasID != 0 && was.ID != now.ID:
		return "another entry with the same tuples"
	case (was.Status^now.Status)&natBits != 0:
		return "its NAT status changed"
	}
	return ""
}

type zoneKey struct {
	zone uint16
	of   host.Present
}

func zoneOf(f *host.Flow) zoneKey {
	return zoneKey{f.Zone, f.Has & (host.HasZoneOrig | host.HasZoneReply)}
}
