package remove

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/journal"
)

var errLost = errors.New("no answer in 5s")

// deaf is a table whose answers are lost.
type deaf struct {
	*table
	does  bool // the delete is carried out all the same
	blind bool // nor is the look at the entry answered that follows
	lost  int
}

func (d *deaf) Delete(ctx context.Context, f *host.Flow) error {
	d.lost++
	if d.does {
		if err := d.table.Delete(ctx, f); err != nil {
			return err
		}
	}
	return errLost
}

func (d *deaf) Get(ctx context.Context, f *host.Flow) (*host.Flow, error) {
	if d.blind && d.lost > 0 {
		return nil, errLost
	}
	return d.table.Get(ctx, f)
}

// TestLostAnswers: what is not known to be there can be put back.
func TestLostAnswers(t *testing.T) {
	for _, tt := range []struct {
		name        string
		does, blind bool
		action      journal.Action
		said        string
		recorded    bool
		undone      map[journal.Outcome]int
	}{
		{"not carried out", false, false, journal.Failed, "no answer in 5s", true, map[journal.Outcome]int{}},
		{"carried out", true, false, journal.Deleted, "the kernel did not confirm it: no answer in 5s", true, map[journal.Outcome]int{journal.Restored: 1}},
		{"not carried out, not known", false, true, journal.Failed, "no answer in 5s", false, map[journal.Outcome]int{journal.There: 1}},
		{"carried out, not known", true, true, journal.Failed, "no answer in 5s", false, map[journal.Outcome]int{journal.Restored: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tb := newTable(t)
			tb.insert(tcp(1))
			began, before := time.Now(), tb.dump()
			w := newJournal(t, t.TempDir())
			results, err := Run(context.Background(), &deaf{tb, tt.does, tt.blind, 0}, w, plan(before, all), Options{})
			if err := errors.Join(err, w.Close()); err != nil {
				t.Fatal(err)
			}
			if r := results[0]; r.Action != tt.action || r.Said != tt.said {
				t.Errorf("%s: %s, want %s: %s", r.Action, r.Said, tt.action, tt.said)
			}
			j, jw, err := journal.Open(w.Path())
			if err != nil {
				t.Fatal(err)
			}
			if (j.Entries[0].Result != nil) != tt.recorded {
				t.Errorf("recorded: %+v", j.Entries[0].Result)
			}
			if err := jw.Close(); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.undone, tb.undo(w.Path())); d != "" {
				t.Errorf("undone:\n%s", d)
			}
			if d := cmp.Diff(before, tb.dump(), kept(began)); d != "" {
				t.Errorf("before -, after +:\n%s", d)
			}
		})
	}
}

// TestInterrupted: what was deleted until then is told, and the rest stays.
func TestInterrupted(t *testing.T) {
	tb := newTable(t)
	const n, until = 2 * batchSize, 100
	for i := range n {
		tb.insert(tcp(i))
	}
	began, before := time.Now(), tb.dump()
	ctx, cancel := context.WithCancel(context.Background())
	deletes := 0
	stopping := &hooked{tb, func() error {
		if deletes++; deletes == until {
			cancel()
		}
		return nil
	}}
	w := newJournal(t, t.TempDir())
	results, err := Run(ctx, stopping, w, plan(before, all), Options{})
	if !errors.Is(err, context.Canceled) || err.Error() != "stopped: context canceled" {
		t.Errorf("error: %v", err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[journal.Action]int{journal.Deleted: until, journal.None: n - until}, actions(results)); d != "" {
		t.Error(d)
	}
	if left := len(tb.dump()); left != n-until {
		t.Errorf("%d entries are left, want %d", left, n-until)
	}
	if d := cmp.Diff(map[journal.Outcome]int{journal.Restored: until}, tb.undo(w.Path())); d != "" {
		t.Errorf("undone:\n%s", d)
	}
	if d := cmp.Diff(before, tb.dump(), kept(began)); d != "" {
		t.Errorf("before -, after +:\n%s", d)
	}
}
