//go:build unix

package journal

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

const errReadOnly = unix.EROFS

// lock keeps a second ntdiag from the journal for as long as this one has it
// open.
func (w *Writer) lock() error {
	err := unix.Flock(int(w.f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return errors.New("in use by another ntdiag")
	}
	if err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	return nil
}
