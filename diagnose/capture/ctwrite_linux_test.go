package capture

import (
	"context"
	"errors"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/lab"
	"github.com/ntdiag/ntdiag/rules"
)

func entriesHere(t *testing.T, l *Live) *Entries {
	t.Helper()
	e, err := l.Entries()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

func TestDeleteAndInsert(t *testing.T) {
	newNetns(t)
	insertAll(t)
	l := openHere(t, "")
	e := entriesHere(t, l)
	ctx := context.Background()
	before, _ := flowsOf(t, l, Filter{})
	for i := range before {
		f := &before[i]
		if err := e.Insert(ctx, f); !errors.Is(err, ErrExists) {
			t.Errorf("insert of one that is there: %v", err)
		}
		if err := e.Delete(ctx, f); err != nil {
			t.Errorf("delete %+v: %v", f, err)
		}
		if err := e.Delete(ctx, f); !errors.Is(err, ErrNotFound) {
			t.Errorf("delete of one that is gone: %v", err)
		}
	}
	if left, _ := flowsOf(t, l, Filter{}); len(left) != 0 {
		t.Fatalf("%d entries are left", len(left))
	}
	for i := range before {
		if err := e.Insert(ctx, &before[i]); err != nil {
			t.Errorf("insert %+v: %v", before[i], err)
		}
	}
	after, _ := flowsOf(t, l, Filter{})
	if d := cmp.Diff(before, after, kept); d != "" {
		t.Errorf("before -, after +:\n%s", d)
	}
}

// kept compares a table with what a re-insert made of it.
var kept = cmp.Options{
	byAddr, cmpopts.SortSlices(byTuple),
	cmpopts.IgnoreFields(host.Flow{}, "ID", "Start", "Use"),
	cmp.FilterPath(func(p cmp.Path) bool { return p.String() == "Timeout" }, cmp.Comparer(about)),
}

// about: the kernel counts down, in whole seconds.
func about(a, b uint32) bool { return max(a, b)-min(a, b) <= 5 }

func byTuple(a, b host.Flow) bool {
	if a.Zone != b.Zone {
		return a.Zone < b.Zone
	}
	return tupleText(a.Original) < tupleText(b.Original)
}

func tupleText(t rules.Tuple) string {
	return t.Src.String() + " " + t.Dst.String() + string([]byte{t.Proto, byte(t.SrcPort >> 8), byte(t.SrcPort), byte(t.DstPort >> 8), byte(t.DstPort)})
}

func TestDeleteNeverFlushes(t *testing.T) {
	newNetns(t)
	insertAll(t)
	l := openHere(t, "")
	e := entriesHere(t, l)
	flows, _ := flowsOf(t, l, Filter{})
	damage := map[string]func(f *host.Flow){
		"nothing":         func(f *host.Flow) { *f = host.Flow{} },
		"an id alone":     func(f *host.Flow) { *f = host.Flow{ID: f.ID, Has: host.HasID} },
		"no reply tuple":  func(f *host.Flow) { f.Reply = rules.Tuple{} },
		"half of a tuple": func(f *host.Flow) { f.Reply.Dst = rules.Tuple{}.Dst },
		"no tuple before": func(f *host.Flow) { f.Original = rules.Tuple{} },
		"no id":           func(f *host.Flow) { f.Has &^= host.HasID },
		"another id":      func(f *host.Flow) { f.ID++ },
		"another zone":    func(f *host.Flow) { f.Zone += 99 },
	}
	for name, change := range damage {
		for _, f := range flows {
			change(&f)
			if err := e.Delete(context.Background(), &f); err == nil {
				t.Errorf("%s: deleted", name)
			}
		}
	}
	if left, _ := flowsOf(t, l, Filter{}); len(left) != len(flows) {
		t.Errorf("%d of %d entries are left", len(left), len(flows))
	}
}

// BenchmarkEntries inserts, reads and deletes one entry.
func BenchmarkEntries(b *testing.B) {
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		lab.LeaveOut(b, err)
	}
	l, err := Open("")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	e, err := l.Entries()
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	f := messageFlows["icmp"]
	for b.Loop() {
		if err := e.Insert(b.Context(), &f); err != nil {
			b.Fatal(err)
		}
		read, err := e.Get(b.Context(), &f)
		if err != nil {
			b.Fatal(err)
		}
		if err := e.Delete(b.Context(), read); err != nil {
			b.Fatal(err)
		}
	}
}
