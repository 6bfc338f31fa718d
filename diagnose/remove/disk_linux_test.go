package remove

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/ntdiag/ntdiag/diagnose/journal"
	"github.com/ntdiag/ntdiag/diagnose/lab"
)

// ownMount mounts a tmpfs on a directory that only the test's thread sees; the
// thread ends with the test.
func ownMount(t *testing.T, flags uintptr, options string) string {
	t.Helper()
	runtime.LockOSThread()
	dir := t.TempDir()
	err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS)
	if err == nil {
		err = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
	}
	if err == nil {
		err = unix.Mount("disk", dir, "tmpfs", flags, options)
	}
	if err != nil {
		lab.LeaveOut(t, err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// TestDiskFull: what cannot be written down is not deleted, and what was can be
// put back.
func TestDiskFull(t *testing.T) {
	for _, tt := range []struct {
		name, size string
		most       int // that may go
	}{
		{"at once", "64k", 0},
		{"later", "256k", 2 * batchSize},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tb := newTable(t)
			const n = 4 * batchSize
			tb.insert(kinds(n)...)
			began, before := time.Now(), tb.dump()
			w := newJournal(t, ownMount(t, 0, "size="+tt.size))
			results, err := Run(context.Background(), tb, w, plan(before, all), Options{})
			if !errors.Is(err, unix.ENOSPC) || !strings.HasSuffix(err.Error(), "no space left on device: nothing further is deleted") {
				t.Errorf("error: %v", err)
			}
			deleted := actions(results)[journal.Deleted]
			if left := len(tb.dump()); left != n-deleted || deleted > tt.most || tt.most > 0 && deleted == 0 {
				t.Errorf("%d deleted, %d of %d left, want at most %d deleted", deleted, left, n, tt.most)
			}
			path := w.Path()
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			if deleted == 0 {
				if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
					t.Errorf("a journal that names nothing: %v", err)
				}
				return
			}
			j, jw, err := journal.Open(path)
			if err != nil || j.Torn != 0 || len(j.Entries) < deleted {
				t.Fatalf("journal: %v, %+v", err, j)
			}
			// what is put back may find no room to be noted
			undone, err := Undo(context.Background(), tb, j, jw)
			if err != nil && !errors.Is(err, unix.ENOSPC) {
				t.Error(err)
			}
			jw.Close()
			if len(undone) < deleted {
				t.Errorf("%d of %d put back", len(undone), deleted)
			}
			if d := cmp.Diff(before, tb.dump(), kept(began)); d != "" {
				t.Errorf("before -, after +:\n%s", d)
			}
		})
	}
}

// TestReadOnly: where no journal can be made there is no removal; one that may
// only be read can be undone.
func TestReadOnly(t *testing.T) {
	dir := ownMount(t, 0, "")
	w := newJournal(t, dir)
	if err := errors.Join(w.Intend([]journal.Intent{{Flow: tcp(1)}}), w.Close()); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	j, none, err := journal.Open(w.Path())
	if err != nil || none != nil || len(j.Entries) != 1 {
		t.Errorf("%+v, %v: %v", j, none, err)
	}
	for _, d := range []string{dir, filepath.Join(dir, "journal")} {
		if w, err := journal.Create(d, journal.Header{Created: time.Now()}); !errors.Is(err, unix.EROFS) {
			t.Errorf("%v: %v", w, err)
		}
	}
}
