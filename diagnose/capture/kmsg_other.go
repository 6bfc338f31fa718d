//go:build !linux

package capture

import (
	"context"

	"github.com/ntdiag/ntdiag/diagnose/kernlog"
)

// Kmsg reads the kernel's log; there is none here.
type Kmsg struct{}

// OpenKmsg fails.
func OpenKmsg(past bool) (*Kmsg, error) { return nil, ErrLinux }

// Next fails.
func (k *Kmsg) Next(context.Context, *kernlog.Record) error { return ErrLinux }

// Pending fails.
func (k *Kmsg) Pending(*kernlog.Record) (bool, error) { return false, ErrLinux }

// Lost is 0.
func (k *Kmsg) Lost() uint64 { return 0 }

// Unparsed is 0.
func (k *Kmsg) Unparsed() uint64 { return 0 }

// Close does nothing.
func (k *Kmsg) Close() error { return nil }
