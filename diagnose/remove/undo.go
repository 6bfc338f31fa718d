package remove

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/journal"
)

// Undone is what came of putting one entry back.
type Undone struct {
	*journal.Entry
	Outcome journal.Outcome
	Why     string
	// Now is the entry that has one of its tuples, nil for none.
	Now *host.Flow
}

// Undo puts back every entry that j says was deleted, and those of which it
// does not say: after a kill they may have been. One that is there is left as
// it is, so that an undo can be repeated. w takes down what came of each; nil
// where the journal may not be written. The error is why it stopped before the
// end, or why not all could be noted.
func Undo(ctx context.Context, t Table, j *journal.Journal, w *journal.Writer) ([]Undone, error) {
	var out []Undone
	for i := range j.Entries {
		if j.Entries[i].Wanted() {
			out = append(out, Undone{Entry: &j.Entries[i]})
		}
	}
	// an entry that a helper expected needs its master
	slices.SortStableFunc(out, func(a, b Undone) int {
		return int(a.Flow.Has&host.HasMaster) - int(b.Flow.Has&host.HasMaster)
	})
	done := 0
	var stop, unnoted error
	for done < len(out) && stop == nil {
		from := done
		for done < min(from+batchSize, len(out)) && stop == nil {
			if stop = out[done].put(ctx, t); out[done].Outcome != "" {
				done++
			}
		}
		// to put them back is worth more than to note it
		if err := note(w, out[from:done]); unnoted == nil {
			unnoted = err
		}
	}
	return out[:done], join(stop, unnoted)
}

// put brings one entry back.
func (u *Undone) put(ctx context.Context, t Table) error {
	err := t.Insert(ctx, &u.Flow)
	switch {
	case err == nil:
		u.Outcome = journal.Restored
	case ctx.Err() != nil:
		return fmt.Errorf("stopped: %w", context.Cause(ctx))
	case errors.Is(err, capture.ErrExists):
		return u.meet(ctx, t)
	default:
		u.Outcome, u.Why = journal.NotBack, err.Error()
		if errors.Is(err, fs.ErrPermission) {
			return err
		}
	}
	return nil
}

// meet tells what is there in its place.
func (u *Undone) meet(ctx context.Context, t Table) error {
	now, err := t.Get(ctx, &u.Flow)
	switch {
	case errors.Is(err, capture.ErrNotFound):
		u.Outcome, u.Why = journal.Taken, "an entry with another original tuple has its reply tuple"
	case err != nil:
		return err
	case now.Reply == u.Flow.Reply:
		u.Outcome, u.Now = journal.There, now
	default:
		u.Outcome, u.Why, u.Now = journal.Taken, "it began anew with another mapping", now
	}
	return nil
}

func note(w *journal.Writer, batch []Undone) error {
	if w == nil {
		return nil
	}
	var out []journal.Restore
	for i := range batch {
		out = append(out, journal.Restore{N: batch[i].N, Outcome: batch[i].Outcome, Why: batch[i].Why})
	}
	return w.Restored(out)
}
