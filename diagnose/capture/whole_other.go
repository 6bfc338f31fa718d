//go:build !linux

package capture

import (
	"context"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/history"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/kernlog"
)

// Expectations fails.
func (l *Live) Expectations(context.Context) ([]Expectation, error) { return nil, ErrLinux }

// Neighbours fails.
func (l *Live) Neighbours(context.Context) ([]host.Neighbour, error) { return nil, ErrLinux }

// XfrmPolicies fails.
func (l *Live) XfrmPolicies(context.Context) ([]host.XfrmPolicy, error) { return nil, ErrLinux }

// Log fails.
func (l *Live) Log(context.Context, func(*kernlog.Record) error) (uint64, error) {
	return 0, ErrLinux
}

// History fails.
func (l *Live) History() (*history.History, error) { return nil, ErrLinux }

// Uptime is not known.
func (l *Live) Uptime() host.Fact[time.Duration] {
	return host.Absent[time.Duration](ErrLinux.Error())
}

// Namespaces fails.
func Namespaces(context.Context) ([]Namespace, []host.Missing, error) { return nil, nil, ErrLinux }
