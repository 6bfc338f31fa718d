package settings

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/lab"
)

func machine(t *testing.T) (*lab.Host, *capture.Live) {
	t.Helper()
	l, err := lab.New()
	if err != nil {
		lab.LeaveOut(t, err)
	}
	t.Cleanup(func() { l.Close() })
	h, err := l.Host("held")
	if err != nil {
		t.Fatal(err)
	}
	live, err := capture.Open(h.Path())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { live.Close() })
	// known values, whatever this machine gives to a new namespace
	set(t, live, capture.KeyLogInvalid, "17")
	set(t, live, capture.KeyLoggerBr, capture.LoggerNone)
	return h, live
}

func set(t *testing.T, live *capture.Live, key, value string) {
	t.Helper()
	if err := live.SetSysctl(key, value); err != nil {
		t.Fatal(err)
	}
}

// values are those that are set now.
func values(t *testing.T, live *capture.Live) []Setting {
	t.Helper()
	var out []Setting
	for _, key := range keys {
		v := live.Sysctl(key)
		if !v.OK {
			t.Fatalf("%s: %s", key, v.Why)
		}
		out = append(out, Setting{key, v.Value})
	}
	return out
}

func expect(t *testing.T, live *capture.Live, want []Setting) {
	t.Helper()
	for _, s := range want {
		if v := live.Sysctl(s.Key); v.Value != s.Value {
			t.Errorf("%s is %q %s, want %q", s.Key, v.Value, v.Why, s.Value)
		}
	}
}

func empty(t *testing.T, dir string) {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil || len(files) > 0 {
		t.Errorf("left in the directory: %v %v", files, err)
	}
}

// fates compares what became of settings, in order.
func fates(t *testing.T, got []Change, want Fate, keys ...string) {
	t.Helper()
	var have []string
	for _, c := range got {
		have = append(have, c.Key)
		if c.Fate != want {
			t.Errorf("%s: %s", c.Key, c)
		}
	}
	if !slices.Equal(have, keys) {
		t.Errorf("settings %q, want %q", have, keys)
	}
}

func hold(t *testing.T, dir string, live *capture.Live, want []Setting) *Held {
	t.Helper()
	h, err := Hold(dir, live, want)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestHold(t *testing.T) {
	_, live := machine(t)
	before := values(t, live)
	dir := filepath.Join(t.TempDir(), "new")
	h := hold(t, dir, live, ToNFLog(6))
	expect(t, live, ToNFLog(6))
	if n := len(h.Changes()); n != 3 || len(h.Recovered()) != 0 {
		t.Errorf("%d changes, recovered %v", n, h.Recovered())
	}
	st, err := os.Stat(dir)
	if err != nil || st.Mode().Perm() != dirMode {
		t.Errorf("directory: %v %v", st.Mode(), err)
	}
	got, err := h.Restore()
	if err != nil {
		t.Fatal(err)
	}
	fates(t, got, Restored, capture.KeyLogInvalid, capture.KeyLoggerIPv6, capture.KeyLoggerIPv4)
	expect(t, live, before)
	empty(t, dir)
	again, err := h.Restore()
	if err != nil || !slices.Equal(again, got) {
		t.Errorf("again: %v %v", again, err)
	}
}

// TestShared: of several that hold a setting the last puts it back, and to what
// it was before the first.
func TestShared(t *testing.T) {
	_, live := machine(t)
	before := values(t, live)
	dir := t.TempDir()
	first := hold(t, dir, live, ToNFLog(255))
	second := hold(t, dir, live, []Setting{{capture.KeyLogInvalid, "255"}})
	got, err := first.Restore()
	if err != nil {
		t.Fatal(err)
	}
	if got[0].Fate != Shared {
		t.Errorf("%s", got[0])
	}
	fates(t, got[1:], Restored, capture.KeyLoggerIPv6, capture.KeyLoggerIPv4)
	expect(t, live, []Setting{{capture.KeyLogInvalid, "255"}, before[0], before[1]})
	if got, err = second.Restore(); err != nil {
		t.Fatal(err)
	}
	fates(t, got, Restored, capture.KeyLogInvalid)
	expect(t, live, before)
	empty(t, dir)
}

// TestAtOnce: however many come and go at once, each setting is put back by one
// of them, and the file of none is left.
func TestAtOnce(t *testing.T) {
	_, live := machine(t)
	before := values(t, live)
	dir := t.TempDir()
	const holders, rounds = 4, 50
	for round := range rounds {
		var all []*Held
		for range holders {
			all = append(all, hold(t, dir, live, everything()))
		}
		var wg sync.WaitGroup
		results := make([][]Change, holders)
		for i, h := range all {
			wg.Go(func() {
				var err error
				if results[i], err = h.Restore(); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		restored := map[string]int{}
		for _, r := range results {
			for _, c := range r {
				if c.Fate == Restored {
					restored[c.Key]++
				} else if c.Fate != Shared {
					t.Errorf("round %d: %s", round, c)
				}
			}
		}
		for _, key := range keys {
			if restored[key] != 1 {
				t.Errorf("round %d: %s was put back %d times", round, key, restored[key])
			}
		}
		expect(t, live, before)
		empty(t, dir)
	}
}

// TestComeAndGo: those that come while others leave find what is set, or what
// was before.
func TestComeAndGo(t *testing.T) {
	_, live := machine(t)
	before := values(t, live)
	dir := t.TempDir()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				h, err := Hold(dir, live, everything())
				if err != nil {
					t.Error(err)
					return
				}
				expect(t, live, everything())
				if _, err := h.Restore(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	expect(t, live, before)
	empty(t, dir)
}

func TestForeign(t *testing.T) {
	_, live := machine(t)
	before := values(t, live)
	dir := t.TempDir()
	h := hold(t, dir, live, ToNFLog(255))
	set(t, live, capture.KeyLogInvalid, "1")             // a third value
	set(t, live, capture.KeyLoggerIPv6, before[1].Value) // what was
	_, err := Hold(dir, live, []Setting{{capture.KeyLogInvalid, "255"}})
	if err == nil || !strings.Contains(err.Error(), "somebody else has set it to 1") {
		t.Errorf("joined what is no longer held: %v", err)
	}
	got, err := h.Restore()
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 3 || got[0].Fate != Foreign || got[0].Now != "1" || got[1].Fate != Unchanged || got[2].Fate != Restored {
		t.Errorf("%v", got)
	}
	expect(t, live, []Setting{{capture.KeyLogInvalid, "1"}, before[0], before[1]})
	empty(t, dir)
}

// TestRefused: what cannot be held whole is not held at all.
func TestRefused(t *testing.T) {
	_, live := machine(t)
	before := values(t, live)
	dir := t.TempDir()
	other := hold(t, dir, live, []Setting{{capture.KeyLoggerBr, capture.LoggerNFLog}})
	tests := []struct {
		name string
		want []Setting
		err  string
	}{
		{"nothing", nil, "no setting"},
		{"of all namespaces", []Setting{{capture.KeyLogAllNetns, "1"}}, "not a setting that is held"},
		{"of all namespaces, too", []Setting{{"net.netfilter.nf_conntrack_max", "1"}}, "not a setting that is held"},
		{"twice", []Setting{{capture.KeyLogInvalid, "1"}, {capture.KeyLogInvalid, "1"}}, "wanted twice"},
		{"no such logger", append(ToNFLog(255)[:2:2], Setting{capture.KeyLogInvalid, "255"}, Setting{capture.KeyLoggerBr, "nobody"}), "another ntdiag holds it at nfnetlink_log, wanted is nobody"},
		{"bad value", append(ToNFLog(255)[:2:2], Setting{capture.KeyLogInvalid, "256"}), `refused the value "256"`},
		{"unknown logger", []Setting{{capture.KeyLogInvalid, "255"}, {capture.KeyLoggerIPv4, "nobody"}}, `no logger "nobody"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Hold(dir, live, tt.want)
			if err == nil || !strings.Contains(err.Error(), tt.err) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %v, want %q in one line", err, tt.err)
			}
			expect(t, live, before[:2])
			expect(t, live, before[3:])
		})
	}
	if _, err := other.Restore(); err != nil {
		t.Fatal(err)
	}
	expect(t, live, before)
	empty(t, dir)
}

// TestOthersFiles: what another boot, or a namespace that is no more, has left
// is removed; what belongs to another namespace stays.
func TestOthersFiles(t *testing.T) {
	_, live := machine(t)
	_, alive := machine(t)
	before := values(t, live)
	dir := t.TempDir()
	here := live.Place()
	stays := put(t, dir, alive.Place())
	put(t, dir, host.Place{BootID: "another", Cookie: here.Cookie, Inode: here.Inode})
	put(t, dir, host.Place{BootID: here.BootID, Cookie: here.Cookie + 1<<40, Inode: here.Inode})
	if err := os.WriteFile(filepath.Join(dir, tempBegin+"1"), []byte("{"), fileMode); err != nil {
		t.Fatal(err)
	}
	got, err := Recover(dir, live)
	if err != nil || len(got) != 0 {
		t.Errorf("%v %v", got, err)
	}
	expect(t, live, before)
	if err := os.Remove(filepath.Join(dir, stays)); err != nil {
		t.Error(err)
	}
	empty(t, dir)
}

// TestNothingToRecover: looking makes no directory.
func TestNothingToRecover(t *testing.T) {
	_, live := machine(t)
	dir := filepath.Join(t.TempDir(), "none")
	if got, err := Recover(dir, live); err != nil || len(got) != 0 {
		t.Errorf("%v %v", got, err)
	}
	if _, err := os.Lstat(dir); !os.IsNotExist(err) {
		t.Errorf("the directory is there: %v", err)
	}
}

func TestDefaultDir(t *testing.T) {
	run, temp := t.TempDir(), t.TempDir()
	t.Setenv("XDG_RUNTIME_DIR", run)
	t.Setenv("TMPDIR", temp)
	if os.Geteuid() == 0 && !lab.UserNamespace() {
		if got := DefaultDir(); got != "/run/ntdiag" {
			t.Errorf("root of the machine: %s", got)
		}
		return
	}
	if got := DefaultDir(); got != filepath.Join(run, "ntdiag") {
		t.Errorf("%s", got)
	}
	t.Setenv("XDG_RUNTIME_DIR", "relative")
	if got := DefaultDir(); filepath.Dir(got) != temp || !strings.HasPrefix(filepath.Base(got), "ntdiag-") || got == filepath.Join(temp, "ntdiag-0") {
		t.Errorf("%s", got)
	}
}

// put writes the file that a run leaves which is killed.
func put(t *testing.T, dir string, p host.Place) string {
	t.Helper()
	name, err := noteName(p, capture.KeyLogInvalid)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(note{schema, p, capture.KeyLogInvalid, "99", "17"})
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, name), b, fileMode)
	}
	if err != nil {
		t.Fatal(err)
	}
	return name
}

func TestDirectory(t *testing.T) {
	_, live := machine(t)
	before := values(t, live)
	tests := []struct {
		name string
		make func(dir string) error
		err  string
	}{
		{"nowhere", func(dir string) error { return os.RemoveAll(filepath.Dir(dir)) }, "no such file or directory"},
		{"a file", func(dir string) error { return os.WriteFile(dir, nil, fileMode) }, "not a directory"},
		{"a link", func(dir string) error { return os.Symlink(t.TempDir(), dir) }, "not a directory, and links are not followed"},
		{"open to all", func(dir string) error {
			if err := os.Mkdir(dir, dirMode); err != nil {
				return err
			}
			return os.Chmod(dir, 0o777)
		}, "others may write to it (mode 777)"},
		{"another user's", func(dir string) error {
			if err := os.Mkdir(dir, dirMode); err != nil {
				return err
			}
			return os.Chown(dir, 65534, 65534)
		}, "belongs to another user (uid 65534)"},
		{"a link as a file", func(dir string) error {
			if err := os.Mkdir(dir, dirMode); err != nil {
				return err
			}
			return os.Symlink("/etc/hostname", filepath.Join(dir, noteBegin+"x"+noteEnd))
		}, "too many levels of symbolic links"},
		{"a file of another version", func(dir string) error {
			if err := os.Mkdir(dir, dirMode); err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(dir, noteBegin+"x"+noteEnd), []byte(`{"schema":"ntdiag.held/2"}`), fileMode)
		}, "not a file of this version of ntdiag"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "parent", "dir")
			if err := os.Mkdir(filepath.Dir(dir), dirMode); err != nil {
				t.Fatal(err)
			}
			if err := tt.make(dir); err != nil {
				if tt.name == "another user's" && lab.UserNamespace() {
					t.Skip("a user namespace with one user")
				}
				t.Fatal(err)
			}
			_, err := Hold(dir, live, ToNFLog(255))
			if err == nil || !strings.Contains(err.Error(), tt.err) || !strings.Contains(err.Error(), dir) {
				t.Errorf("error %v, want %q and the path", err, tt.err)
			}
			expect(t, live, before)
		})
	}
}

// TestCannotPutBack: what cannot be put back says how, and is tried again.
func TestCannotPutBack(t *testing.T) {
	h, live := machine(t)
	before := values(t, live)
	dir := t.TempDir()
	held := hold(t, dir, live, ToNFLog(255))
	// the value that was there is one that the kernel refuses now
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 3 {
		t.Fatalf("%v %v", files, err)
	}
	held.held[2].note.Was = "999"
	got, err := held.Restore()
	by := "nsenter --net=" + h.Path() + " sysctl -w " + capture.KeyLogInvalid + "=999"
	if err == nil || got[0].Fate != Failed || !strings.HasSuffix(err.Error(), by) {
		t.Errorf("%v: %v, want the command %q", got, err, by)
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("left for the next run: %v", left)
	}
	got, err = Recover(dir, live)
	if err != nil {
		t.Fatal(err)
	}
	fates(t, got, Restored, capture.KeyLogInvalid)
	expect(t, live, before)
	empty(t, dir)
}

// TestDirectoryMoves: the directory that was opened is the one that is used.
func TestDirectoryMoves(t *testing.T) {
	_, live := machine(t)
	dir := t.TempDir()
	h := hold(t, dir, live, ToNFLog(255))
	moved := dir + "-moved"
	if err := os.Rename(dir, moved); err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(moved)
	if err := unix.Mkdir(dir, dirMode); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Restore(); err != nil {
		t.Fatal(err)
	}
	empty(t, moved)
}
