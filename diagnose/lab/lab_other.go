//go:build !linux

package lab

import (
	"context"
	"errors"
)

var errLinux = errors.New("network namespaces: only linux has them")

// DemoInside is not there on other systems.
func DemoInside(context.Context, ...string) (int, error) { return 0, errLinux }

// Demo is not there on other systems.
func Demo(context.Context, DemoOptions) error { return errLinux }

// Main runs the tests.
func Main(run func() int) int { return run() }
