//go:build !linux

package capture

import (
	"context"

	"github.com/ntdiag/ntdiag/diagnose/host"
)

// Sysctl is not known.
func (l *Live) Sysctl(string) host.Fact[string] { return host.Absent[string](ErrLinux.Error()) }

// SetSysctl fails.
func (l *Live) SetSysctl(key, value string) error { return ErrLinux }

// Loggers are not known.
func (l *Live) Loggers() Loggers { return Loggers{} }

// Enter is empty.
func (l *Live) Enter() string { return "" }

// NFLog receives what is logged; there is none here.
type NFLog struct{}

// NFLog fails.
func (l *Live) NFLog(uint16) (*NFLog, error) { return nil, ErrLinux }

// Start is empty.
func (n *NFLog) Start() LogStart { return LogStart{} }

// Lost is 0.
func (n *NFLog) Lost() uint64 { return 0 }

// Unparsed is 0.
func (n *NFLog) Unparsed() uint64 { return 0 }

// Close does nothing.
func (n *NFLog) Close() {}

// Run fails.
func (n *NFLog) Run(context.Context, func(*Logged) error) error { return ErrLinux }

// Drain fails.
func (n *NFLog) Drain(func(*Logged) error) error { return ErrLinux }
