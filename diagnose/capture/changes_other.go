//go:build !linux

package capture

import (
	"context"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/host"
)

// Changes fails.
func (l *Live) Changes(context.Context, time.Duration, func(*Changed) error) error { return ErrLinux }

// Identity fails.
func (l *Live) Identity() (host.NetnsID, error) { return host.NetnsID{}, ErrLinux }
