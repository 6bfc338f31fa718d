package lab

import (
	"context"
	"io"
)

// DemoOptions are what Demo needs of its caller.
type DemoOptions struct {
	Out io.Writer
	// Run runs one ntdiag command line, without the program's name.
	Run func(ctx context.Context, args ...string) error
}
