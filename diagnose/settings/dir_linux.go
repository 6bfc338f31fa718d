package settings

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// dir is the directory of the files, by descriptor: whatever becomes of its
// path meanwhile. No symbolic link is followed in it, or as it.
type dir struct{ f *os.File }

const (
	dirMode  = 0o700
	fileMode = 0o600
	// patience is how long others may take, which need some milliseconds.
	patience = 5 * time.Second
	lookIn   = time.Millisecond
)

// DefaultDir is /run/ntdiag for root of the machine; for others, who can change
// settings in a user namespace of their own only, a directory in
// $XDG_RUNTIME_DIR, or else in /tmp.
func DefaultDir() string {
	uid := os.Geteuid()
	if uid == 0 {
		outside, whole := mappedRoot()
		if whole {
			return "/run/ntdiag"
		}
		uid = outside
	}
	if run := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(run) {
		var st unix.Stat_t
		if unix.Stat(run, &st) == nil && int(st.Uid) == os.Geteuid() {
			return filepath.Join(run, "ntdiag")
		}
	}
	return filepath.Join(os.TempDir(), "ntdiag-"+strconv.Itoa(uid))
}

// mappedRoot is who root of this user namespace is outside of it, and whether
// that namespace is the machine's.
func mappedRoot() (outside int, whole bool) {
	b, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		return 0, true // a kernel without user namespaces
	}
	w := strings.Fields(string(b))
	if len(w) < 3 {
		return 0, false
	}
	outside, err = strconv.Atoi(w[1])
	return outside, err == nil && outside == 0 && len(w) == 3 && w[2] == "4294967295"
}

// makeDir opens the directory, which it makes when there is none.
func makeDir(path string) (*dir, error) {
	if err := unix.Mkdir(path, dirMode); err != nil && !errors.Is(err, unix.EEXIST) {
		return nil, fmt.Errorf("directory %s: %w", path, err)
	}
	return openDir(path)
}

// openDir opens the directory. It must be this user's, and nobody else may
// write to it.
func openDir(path string) (*dir, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENOTDIR) {
		return nil, fmt.Errorf("directory %s: it is not a directory, and links are not followed", path)
	}
	if err != nil {
		return nil, fmt.Errorf("directory %s: %w", path, err)
	}
	d := &dir{os.NewFile(uintptr(fd), path)}
	if err := owned(d.f, unix.S_IFDIR); err != nil {
		d.close()
		return nil, fmt.Errorf("directory %s: %w", path, err)
	}
	return d, nil
}

// owned refuses what others could have put there.
func owned(f *os.File, kind uint32) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return err
	}
	switch {
	case st.Mode&unix.S_IFMT != kind:
		return errors.New("it is of another kind")
	case int(st.Uid) != os.Geteuid():
		return fmt.Errorf("it belongs to another user (uid %d)", st.Uid)
	case st.Mode&0o022 != 0:
		return fmt.Errorf("others may write to it (mode %o)", st.Mode&0o777)
	}
	return nil
}

func (d *dir) close() { d.f.Close() }

func (d *dir) path(name string) string { return filepath.Join(d.f.Name(), name) }

// exclusively runs f while no other run makes or removes files here. Whoever
// dies in it is through.
func (d *dir) exclusively(f func() error) error {
	limit := time.NewTimer(patience)
	defer limit.Stop()
	look := time.NewTicker(lookIn)
	defer look.Stop()
	for {
		err := unix.Flock(int(d.f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil:
			defer func() { _ = unix.Flock(int(d.f.Fd()), unix.LOCK_UN) }() // ends with the descriptor at the latest
			return f()
		case !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR):
			return fmt.Errorf("directory %s: lock: %w", d.f.Name(), err)
		}
		select {
		case <-look.C:
		case <-limit.C:
			return fmt.Errorf("directory %s: another ntdiag has had it locked for %v", d.f.Name(), patience)
		}
	}
}

// names are the files in the directory.
func (d *dir) names() ([]string, error) {
	if _, err := d.f.Seek(0, 0); err != nil {
		return nil, fmt.Errorf("directory %s: %w", d.f.Name(), err)
	}
	names, err := d.f.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("directory %s: %w", d.f.Name(), err)
	}
	return names, nil
}

func (d *dir) open(name string) (*os.File, error) {
	fd, err := unix.Openat(int(d.f.Fd()), name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d.path(name), err)
	}
	f := os.NewFile(uintptr(fd), name)
	if err := owned(f, unix.S_IFREG); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", d.path(name), err)
	}
	return f, nil
}

// create writes a file and locks it for as long as it is open. It has its name
// only once it is whole and on disk.
func (d *dir) create(name string, n *note) (f *os.File, err error) {
	temp := tempBegin + strconv.Itoa(os.Getpid())
	fd, err := unix.Openat(int(d.f.Fd()), temp, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, fileMode)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d.path(temp), err)
	}
	f = os.NewFile(uintptr(fd), name)
	defer func() {
		if err != nil {
			f.Close()
			f, err = nil, fmt.Errorf("%s: %w", d.path(name), err)
			_ = unix.Unlinkat(int(d.f.Fd()), temp, 0) // else the next run does
		}
	}()
	b, err := json.Marshal(n)
	if err != nil {
		return f, err
	}
	if _, err := f.Write(append(b, '\n')); err != nil {
		return f, err
	}
	if err := f.Sync(); err != nil {
		return f, err
	}
	if err := unix.Flock(fd, unix.LOCK_SH|unix.LOCK_NB); err != nil {
		return f, err
	}
	if err := unix.Renameat(int(d.f.Fd()), temp, int(d.f.Fd()), name); err != nil {
		return f, err
	}
	return f, d.f.Sync()
}

func (d *dir) remove(name string) error {
	if err := unix.Unlinkat(int(d.f.Fd()), name, 0); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("%s: %w", d.path(name), err)
	}
	return nil
}
