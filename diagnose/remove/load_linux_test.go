package remove

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/journal"
	"github.com/ntdiag/ntdiag/diagnose/lab"
)

// flowsEnv is how many entries the table holds; chosen of them are deleted.
const flowsEnv = "NTDIAG_REMOVE_FLOWS"

func size(t testing.TB) (total, chosen int) {
	total = 100_000
	if s := os.Getenv(flowsEnv); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 20 {
			t.Fatalf("%s=%s: want a number, 20 or more", flowsEnv, s)
		}
		total = n
	}
	return total, total / 20
}

// room leaves a test out where the machine's table is too small.
func (tb *table) room(n int) {
	tb.t.Helper()
	_, most, err := tb.live.Count()
	if err != nil {
		tb.t.Fatal(err)
	}
	if most < uint64(n) {
		lab.LeaveOut(tb.t, errors.New("nf_conntrack_max is smaller than the table that this needs"))
	}
}

// traffic makes entries as long as the test lets it: new ones of its own, and
// chosen ones anew with the same original tuple and another mapping.
type traffic struct {
	e      *capture.Entries
	chosen []Planned
	order  []int // in which chosen ones are made anew
	every  int   // how many new ones come for each
	quit   chan struct{}
	done   sync.WaitGroup

	new, anew map[string]host.Flow
	err       error
}

func (x *traffic) start(total int) {
	x.order = rand.New(rand.NewPCG(1, 2)).Perm(len(x.chosen))
	x.new, x.anew, x.quit = map[string]host.Flow{}, map[string]host.Flow{}, make(chan struct{})
	x.done.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-x.quit:
				return
			default:
			}
			if x.err = x.step(total, i); x.err != nil {
				return
			}
		}
	})
}

func (x *traffic) stop(t *testing.T) {
	t.Helper()
	close(x.quit)
	x.done.Wait()
	if x.err != nil {
		t.Fatal(x.err)
	}
}

func (x *traffic) step(total, i int) error {
	ctx := context.Background()
	fresh := tcp(total + i)
	if err := x.e.Insert(ctx, &fresh); err != nil {
		return err
	}
	x.new[key(&fresh)] = fresh
	// every tenth of the chosen ones, in any order
	if i%x.every == 0 && i/x.every < len(x.order)/10 {
		old := x.chosen[x.order[i/x.every]].Flow
		if err := x.e.Delete(ctx, &old); err != nil && !errors.Is(err, capture.ErrNotFound) {
			return err
		}
		other := old
		other.Reply.Dst = netip.AddrFrom4([4]byte{172, 16, byte(i >> 8), byte(i)})
		if err := x.e.Insert(ctx, &other); err != nil {
			return err
		}
		x.anew[key(&other)] = other
	}
	return nil
}

// TestUnderLoad: of a large table, to which entries come all the time, exactly
// the chosen ones go; those that were made anew in between stay.
func TestUnderLoad(t *testing.T) {
	tb := newTable(t)
	total, chosen := size(t)
	tb.room(2 * total)
	for i := range total {
		f := tcp(i)
		tb.insert(f)
	}
	before := tb.dump()
	n := 0
	todo := plan(before, func(*host.Flow) bool { n++; return n%(total/chosen) == 0 })
	w := newJournal(t, t.TempDir())
	x := &traffic{e: tb.open(), chosen: todo, every: 2}
	x.start(total)
	began := time.Now()
	results, err := Run(context.Background(), tb, w, todo, Options{})
	took := time.Since(began)
	x.stop(t)
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d of %d entries deleted in %v, %d new ones and %d made anew meanwhile: %v", chosen, total, took, len(x.new), len(x.anew), actions(results))

	want := map[string]host.Flow{}
	for i := range before {
		want[key(&before[i])] = before[i]
	}
	for i := range todo {
		delete(want, key(&todo[i].Flow))
	}
	for _, more := range []map[string]host.Flow{x.new, x.anew} {
		for k, f := range more {
			want[k] = f
		}
	}
	for _, f := range tb.dump() {
		f := f
		k := key(&f)
		if w, ok := want[k]; !ok {
			t.Errorf("was not deleted: %+v", f)
		} else if w.Reply != f.Reply {
			t.Errorf("another one than there was: %+v", f)
		}
		delete(want, k)
	}
	if len(want) > 0 {
		t.Errorf("%d entries went that were not chosen", len(want))
	}
	got := actions(results)
	if got[journal.Deleted]+got[journal.Gone]+got[journal.Changed] != chosen || got[journal.Deleted] < chosen/2 {
		t.Errorf("of %d chosen: %v", chosen, got)
	}
	for _, r := range results {
		if _, made := x.anew[key(&r.Flow)]; !made && (r.Action != journal.Deleted || r.Back != BackNone) {
			t.Errorf("%s, %s %s: %+v", r.Action, r.Said, r.Back, r.Flow)
		}
	}
}

// meddling makes chosen entries anew at the moments that matter most: between
// the dump and the reading, and between the reading and the delete.
type meddling struct {
	*table
	before, between map[string]host.Flow // what the entry with that key becomes
}

func (m *meddling) Get(ctx context.Context, f *host.Flow) (*host.Flow, error) {
	m.make(ctx, m.before, f)
	got, err := m.table.Get(ctx, f)
	m.make(ctx, m.between, f)
	return got, err
}

func (m *meddling) make(ctx context.Context, of map[string]host.Flow, f *host.Flow) {
	other, ok := of[key(f)]
	if !ok {
		return
	}
	delete(of, key(f))
	old, err := m.table.Get(ctx, f)
	if err == nil {
		err = m.table.Delete(ctx, old)
	}
	if err == nil && other.Reply.Proto != 0 {
		err = m.table.Insert(ctx, &other)
	}
	if err != nil {
		m.t.Errorf("made anew: %v", err)
	}
}

// TestChangedMeanwhile: an entry that ended, or became another one, is told and
// not touched.
func TestChangedMeanwhile(t *testing.T) {
	tb := newTable(t)
	for i := range 7 {
		tb.insert(tcp(i))
	}
	todo := plan(tb.dump(), all)
	moved := func(i int) host.Flow {
		f := tcp(i)
		f.Reply.DstPort = 7
		return f
	}
	m := &meddling{
		table:   tb,
		before:  map[string]host.Flow{keyOf(1): moved(1), keyOf(2): tcp(2), keyOf(3): {}},
		between: map[string]host.Flow{keyOf(4): moved(4), keyOf(5): {}},
	}
	w := newJournal(t, t.TempDir())
	results, err := Run(context.Background(), m, w, todo, Options{})
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		keyOf(0): "deleted: ",
		keyOf(1): "changed: another reply tuple",
		keyOf(3): "gone: it ended before",
		keyOf(4): "changed: another reply tuple",
		keyOf(5): "gone: it ended before",
		keyOf(6): "deleted: ",
	}
	got := map[string]string{}
	for _, r := range results {
		if key(&r.Flow) == keyOf(2) {
			// the kernel may give the id of the old entry to one in its memory
			if r.Action != journal.Deleted && r.Said != "another entry with the same tuples" {
				t.Errorf("the same mapping anew: %s, %s", r.Action, r.Said)
			}
			continue
		}
		got[key(&r.Flow)] = string(r.Action) + ": " + r.Said
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	left := map[string]uint16{}
	for _, f := range tb.dump() {
		if k := key(&f); k != keyOf(2) {
			left[k] = f.Reply.DstPort
		}
	}
	if d := cmp.Diff(map[string]uint16{keyOf(1): 7, keyOf(4): 7}, left); d != "" {
		t.Errorf("left:\n%s", d)
	}
}

func keyOf(i int) string {
	f := tcp(i)
	return key(&f)
}

// TestZones: of two entries with one tuple in two zones only the chosen one
// goes.
func TestZones(t *testing.T) {
	for _, kind := range []struct {
		name string
		has  host.Present
	}{{"both directions", 0}, {"original", host.HasZoneOrig}, {"reply", host.HasZoneReply}} {
		t.Run(kind.name, func(t *testing.T) {
			tb := newTable(t)
			for zone := range uint16(3) {
				f := tcp(1)
				if zone > 0 {
					f.Zone, f.Has = zone, f.Has|kind.has
				}
				if kind.has == host.HasZoneReply {
					f.Original.SrcPort += zone // one zone looks at both
				}
				if kind.has == host.HasZoneOrig {
					f.Reply.DstPort += zone
				}
				tb.insert(f)
			}
			began, before := time.Now(), tb.dump()
			w := newJournal(t, t.TempDir())
			chosen := func(f *host.Flow) bool { return f.Zone == 2 }
			results, err := Run(context.Background(), tb, w, plan(before, chosen), Options{})
			if err := errors.Join(err, w.Close()); err != nil {
				t.Fatal(err)
			}
			if len(results) != 1 || results[0].Action != journal.Deleted || results[0].Back != BackNone {
				t.Errorf("%+v", results)
			}
			var want []host.Flow
			for _, f := range before {
				if !chosen(&f) {
					want = append(want, f)
				}
			}
			if d := cmp.Diff(want, tb.dump(), kept(began)); d != "" {
				t.Errorf("want -, left +:\n%s", d)
			}
			tb.undo(w.Path())
			if d := cmp.Diff(before, tb.dump(), kept(began)); d != "" {
				t.Errorf("before -, after +:\n%s", d)
			}
		})
	}
}
