package lab

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// GlobalTB is what Global needs of a test.
type GlobalTB interface {
	TB
	Errorf(format string, args ...any)
	Cleanup(func())
}

// globals are the settings that are one for all network namespaces, and that
// only the first one may write.
var globals = map[string]bool{
	maxKey:                                  true,
	"net.netfilter.nf_conntrack_buckets":    true,
	"net.netfilter.nf_conntrack_expect_max": true,
	"net.core.message_cost":                 true, // rate limit of what the kernel says of packets
	firstNetns:                              true,
}

// maxKey is the limit of the table, compared with the entries of each namespace.
const maxKey = "net.netfilter.nf_conntrack_max"

// firstNetns is there in the first network namespace only.
const firstNetns = "net.netfilter.nf_log_all_netns"

// Global sets "key=value" lines for the whole machine, until restore is called
// or the test is over. No other test that uses it runs meanwhile, in whatever
// process: change for a moment only. What was there before is written down
// first, so that a test that was killed is put right by the next one. Where
// this process may not set them the test is left out.
//
// Calls within one process nest; they must be restored in reverse order, as
// tests that end do.
func Global(t GlobalTB, lines ...string) (restore func()) {
	t.Helper()
	undo, err := SetGlobal(lines...)
	if errors.Is(err, ErrNoGlobal) {
		LeaveOut(t, err)
	}
	if err != nil {
		t.Fatalf("%v", err)
	}
	restore = sync.OnceFunc(func() {
		if err := undo(); err != nil {
			t.Errorf("%v", err)
		}
	})
	t.Cleanup(restore)
	return restore
}

// ErrNoGlobal: this process may not set them.
var ErrNoGlobal = errors.New("settings of the whole machine: only its root may change them, in its first network namespace")

// global is this process's hold on the machine's settings: the file is locked
// while depth is not 0, and lists what is to be put back, the oldest first.
var global struct {
	sync.Mutex
	depth int
	file  *os.File
}

// globalFile is locked, and is the record. As only root may do any of this,
// nobody else can have written it (openGlobal looks at its owner).
const globalFile = "/tmp/ntdiag-global.lock"

// SetGlobal is Global where there is no test at hand: undo is to be called
// whatever happens.
func SetGlobal(lines ...string) (undo func() error, err error) {
	keys := make([]string, len(lines))
	for i, line := range lines {
		key, value, ok := strings.Cut(line, "=")
		if !ok || !globals[key] {
			return nil, fmt.Errorf("sysctl %q: not a setting of the whole machine", line)
		}
		if n, err := strconv.Atoi(value); key == maxKey && (err != nil || n < Crowd) {
			return nil, fmt.Errorf("sysctl %q: other tests have up to %d entries in a namespace", line, Crowd)
		}
		keys[i] = key
	}
	if _, err := os.Stat(sysctlPath(firstNetns)); err != nil || os.Geteuid() != 0 || UserNamespace() {
		return nil, ErrNoGlobal
	}
	global.Lock()
	defer global.Unlock()
	if err := lockGlobal(true); err != nil {
		return nil, err
	}
	was, err := readGlobal(keys)
	if err == nil {
		err = record(global.file, was)
	}
	if err == nil {
		err = writeGlobal(lines)
	}
	if err != nil {
		return nil, errors.Join(err, unlockGlobal(was))
	}
	return func() error {
		global.Lock()
		defer global.Unlock()
		return unlockGlobal(was)
	}, nil
}

// lockGlobal takes the file for this process, the first time, and puts right
// what a process that was killed has left. With wait false a lock that
// somebody else holds is EWOULDBLOCK.
func lockGlobal(wait bool) error {
	if global.depth > 0 {
		global.depth++
		return nil
	}
	f, err := openGlobal()
	if err != nil {
		return err
	}
	how := unix.LOCK_EX
	if !wait {
		how |= unix.LOCK_NB
	}
	for {
		if err = unix.Flock(int(f.Fd()), how); !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err == nil {
		err = putRight(f)
	}
	if err != nil {
		f.Close()
		return fmt.Errorf("%s: %w", globalFile, err)
	}
	global.file, global.depth = f, 1
	return nil
}

func openGlobal() (*os.File, error) {
	f, err := os.OpenFile(globalFile, os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil || st.Uid != 0 || st.Mode&0o022 != 0 {
		f.Close()
		return nil, fmt.Errorf("%s: others than root can write it", globalFile)
	}
	return f, nil
}

// unlockGlobal puts back what was, and lets go when nobody holds on any more.
func unlockGlobal(was []string) error {
	err := writeGlobal(was)
	if global.depth--; global.depth > 0 {
		return err
	}
	if err == nil {
		err = global.file.Truncate(0) // else the next one tries again
	}
	return errors.Join(err, global.file.Close())
}

// record adds to the file what is to be put back, with the boot that it is of:
// a new one starts with the kernel's own.
func record(f *os.File, lines []string) error {
	boot, err := bootID()
	if err != nil {
		return err
	}
	if _, err := f.Seek(0, io.SeekEnd); err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "boot=%s\n%s\n", boot, strings.Join(lines, "\n"))
	return err
}

// putRight puts back what f lists, the newest first.
func putRight(f *os.File) error {
	b, err := io.ReadAll(f)
	if err != nil || len(b) == 0 {
		return err
	}
	boot, err := bootID()
	if err != nil {
		return err
	}
	var undo []string
	ours := false
	for line := range strings.Lines(string(b)) {
		key, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		switch {
		case key == "boot":
			ours = value == boot
		case ok && ours && globals[key] && strings.HasSuffix(line, "\n"): // else it was not written whole, and nothing was set
			undo = append([]string{key + "=" + value}, undo...)
		}
	}
	if err := writeGlobal(undo); err != nil {
		return err
	}
	return f.Truncate(0)
}

// mendGlobal puts right what a test that was killed has left, unless somebody is
// at it.
func mendGlobal() error {
	if st, err := os.Stat(globalFile); err != nil || st.Size() == 0 || os.Geteuid() != 0 || UserNamespace() {
		return nil
	}
	global.Lock()
	defer global.Unlock()
	err := lockGlobal(false)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil
	}
	if err != nil {
		return err
	}
	return unlockGlobal(nil)
}

func bootID() (string, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(b)), err
}

func sysctlPath(key string) string { return "/proc/sys/" + strings.ReplaceAll(key, ".", "/") }

func readGlobal(keys []string) ([]string, error) {
	var out []string
	for _, key := range keys {
		b, err := os.ReadFile(sysctlPath(key))
		if err != nil {
			return nil, fmt.Errorf("sysctl %s: %w", key, err)
		}
		out = append(out, key+"="+strings.TrimSpace(string(b)))
	}
	return out, nil
}

func writeGlobal(lines []string) error {
	for _, line := range lines {
		key, value, _ := strings.Cut(line, "=")
		err := os.WriteFile(sysctlPath(key), []byte(value), 0)
		if errors.Is(err, os.ErrPermission) { // a machine whose root is not all
			return fmt.Errorf("%w: sysctl %s: %w", ErrNoGlobal, key, err)
		}
		if err != nil {
			return fmt.Errorf("sysctl %s: %w", key, err)
		}
	}
	return nil
}
