package history

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// lockFile keeps a second writer away: a lock of its open file, which others
// can ask for without taking it. Its time of change is when the writer was
// last at work.
type lockFile struct{ f *os.File }

func wholeFile() *unix.Flock_t { return &unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart} }

// takeLock takes the lock, and tells when its holder before was last at work.
func takeLock(path string) (*lockFile, time.Time, error) {
	var last time.Time
	if st, err := os.Stat(path); err == nil {
		last = st.ModTime()
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, fileMode)
	if err != nil {
		return nil, last, fmt.Errorf("lock: %w", pathless(err))
	}
	switch err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, wholeFile()); {
	case errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES):
		f.Close()
		return nil, last, ErrLocked
	case err != nil:
		f.Close()
		return nil, last, fmt.Errorf("lock %s: %w", path, err)
	}
	return &lockFile{f}, last, nil
}

func (l *lockFile) touch(now time.Time) error { return os.Chtimes(l.f.Name(), now, now) }

func (l *lockFile) release() { l.f.Close() }

// lockState tells when the writer was last at work, and whether it is now.
func lockState(path string) (alive time.Time, held bool) {
	f, err := os.Open(path)
	if err != nil {
		return alive, false
	}
	defer f.Close()
	if st, err := f.Stat(); err == nil {
		alive = st.ModTime()
	}
	asked := wholeFile()
	err = unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, asked)
	return alive, err == nil && asked.Type != unix.F_UNLCK
}
