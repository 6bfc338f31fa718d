//go:build !linux

package history

import (
	"errors"
	"time"
)

// lockFile is not there: only Linux records.
type lockFile struct{}

func takeLock(string) (*lockFile, time.Time, error) {
	return nil, time.Time{}, errors.New("recording needs Linux")
}

func (*lockFile) touch(time.Time) error { return nil }
func (*lockFile) release()              {}

func lockState(string) (time.Time, bool) { return time.Time{}, false }
