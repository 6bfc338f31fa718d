package history

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ntdiag/ntdiag/diagnose/lab"
)

// A full disk: the write fails and says so, what is there stays readable, and
// writing goes on once there is room.
func TestFullDisk(t *testing.T) {
	// mounts of this thread alone, which ends with the test
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
		lab.LeaveOut(t, err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := unix.Mount("full", dir, "tmpfs", 0, "size=1m"); err != nil {
		lab.LeaveOut(t, err)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	other := filepath.Join(dir, "other")
	if err := os.WriteFile(other, make([]byte, 300000), 0o600); err != nil {
		t.Fatal(err)
	}
	s := create(t, dir)
	var err error
	n := 0
	for ; err == nil; n++ {
		err = s.Append(sized(30000))
	}
	if n < 10 || !strings.Contains(err.Error(), "no space left on device") {
		t.Fatalf("after %d records: %v", n, err)
	}
	if err := s.Append(sized(30000)); err == nil {
		t.Error("written on a full disk")
	}
	if h := read(t, dir); len(h.Changes) != n-1 || h.Damaged != 0 {
		t.Fatalf("%d records, want %d", len(h.Changes), n-1)
	}
	if err := os.Remove(other); err != nil {
		t.Fatal(err)
	}
	if err := s.Append(sized(30000)); err != nil {
		t.Fatal(err)
	}
	h := read(t, dir)
	if last := h.Changes[len(h.Changes)-1]; len(h.Changes) != n || last.Seq != uint64(n) {
		t.Errorf("%d records, the last is %d, want %d", len(h.Changes), last.Seq, n)
	}
}
