package record

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ntdiag/ntdiag/diagnose/history"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/lab"
)

// onSmallDisk is a recorder whose store is on a disk of 1 MiB, with a file in
// it that can make room.
func onSmallDisk(t *testing.T) (r *Recorder, other string, failed *int, stored *[]*history.Change) {
	t.Helper()
	// mounts of this thread alone, which ends with the test
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
		lab.LeaveOut(t, err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := unix.Mount("small", dir, "tmpfs", 0, "size=1m"); err != nil {
		lab.LeaveOut(t, err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	other = filepath.Join(dir, "other")
	if err := os.WriteFile(other, make([]byte, 500000), 0o600); err != nil {
		t.Fatal(err)
	}
	id := host.NetnsID{Inode: 7}
	s, err := history.Create(dir, id)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	failed, stored = new(int), new([]*history.Change)
	return &Recorder{Store: s, Netns: id, Stored: func(c *history.Change) { *stored = append(*stored, c) }, Failed: func(error) { *failed++ }}, other, failed, stored
}

func named(name string, bytes int) *history.Change {
	return &history.Change{Kind: history.KindRules, At: time.Now(), Note: name + strings.Repeat(".", bytes), Rules: &history.RulesDiff{}}
}

// full takes the room that is left.
func full(t *testing.T, beside string) {
	t.Helper()
	f, err := os.Create(beside + "-too")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
}

// While the disk is full changes wait; once there is room they are written, and
// with them that there was a time when nothing was.
func TestFullDisk(t *testing.T) {
	r, other, failed, stored := onSmallDisk(t)
	n := 0
	for ; r.queue.why == nil; n++ {
		r.keep(named("a", 30000))
	}
	full(t, other)
	// the write that failed may have left pages that it had got: not enough for this
	r.keep(named("b", 100000), named("c", 0))
	r.keep()
	if *failed != 1 || len(*stored) != n-1 || len(r.queue.waiting) != 3 {
		t.Fatalf("failed %d times, %d stored of %d, %d wait", *failed, len(*stored), n, len(r.queue.waiting))
	}
	if err := os.Remove(other); err != nil {
		t.Fatal(err)
	}
	r.keep()
	h, err := history.Read(filepath.Dir(other), r.Netns)
	if err != nil || len(h.Changes) != n+3 {
		t.Fatalf("%d records, want %d: %v", len(h.Changes), n+3, err)
	}
	last := h.Changes[len(h.Changes)-1]
	if last.Kind != history.KindGap || last.Gap.Lost != 0 || !last.Gap.From.Before(last.Gap.To) || !strings.Contains(last.Gap.Why, "no space left on device") {
		t.Errorf("%+v", last.Gap)
	}
	if c := h.Changes[len(h.Changes)-2]; c.Note != "c" || c.Seq != uint64(n+2) {
		t.Errorf("%+v", c)
	}
	r.keep()
	if h, err := history.Read(filepath.Dir(other), r.Netns); err != nil || len(h.Changes) != n+3 {
		t.Errorf("the gap was told again: %d records, %v", len(h.Changes), err)
	}
}

// What waits is bounded, and what does not fit is counted.
func TestFullDiskForLong(t *testing.T) {
	r, other, _, _ := onSmallDisk(t)
	for r.queue.why == nil {
		r.keep(named("a", 30000))
	}
	full(t, other)
	var many []*history.Change
	for range maxWaiting + 20 {
		many = append(many, named("b", 0))
	}
	r.keep(many...)
	heavy := named("c", 0)
	heavy.Rules.Rules = make([]history.RuleChange, 100)
	r.keep(heavy)
	if len(r.queue.waiting) != maxWaiting || r.queue.lost != 22 {
		t.Errorf("%d wait, %d lost", len(r.queue.waiting), r.queue.lost)
	}
	heavy.Rules.Rules = make([]history.RuleChange, maxWeight)
	r.queue.weight += maxWeight - 100
	r.wait([]*history.Change{named("d", 0)})
	if w := r.queue.waiting; len(w) != 1 || w[0].Note != "d" || r.queue.weight != 1 {
		t.Errorf("%d wait, %d heavy", len(w), r.queue.weight)
	}
	if err := os.Remove(other); err != nil {
		t.Fatal(err)
	}
	r.keep()
	h, err := history.Read(filepath.Dir(other), r.Netns)
	if err != nil {
		t.Fatal(err)
	}
	if g := h.Changes[len(h.Changes)-1].Gap; g == nil || g.Lost != maxWaiting+22 {
		t.Errorf("%+v", g)
	}
}
