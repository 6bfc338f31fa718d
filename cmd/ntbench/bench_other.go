//go:build !linux

package main

import (
	"context"
	"errors"
	"io"
)

var workers map[string]func(args []string, out, errs io.Writer) int

func whole(context.Context, *config, io.Writer) (int, error) {
	return exitFailure, errors.New("needs Linux: tables and rules are built in its network namespaces")
}
