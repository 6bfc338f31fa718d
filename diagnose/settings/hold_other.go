//go:build !linux

package settings

import (
	"errors"

	"github.com/ntdiag/ntdiag/diagnose/capture"
)

var errLinux = errors.New("settings are held on Linux only")

// DefaultDir is empty.
func DefaultDir() string { return "" }

// Held is settings that are held; there are none here.
type Held struct{}

// Hold fails.
func Hold(path string, l *capture.Live, want []Setting) (*Held, error) {
	if err := check(want); err != nil {
		return nil, err
	}
	return nil, errLinux
}

// Recovered is nothing.
func (h *Held) Recovered() []Change { return nil }

// Changes is nothing.
func (h *Held) Changes() []Change { return nil }

// Restore does nothing.
func (h *Held) Restore() ([]Change, error) { return nil, nil }

// Recover fails.
func Recover(path string, l *capture.Live) ([]Change, error) { return nil, errLinux }
