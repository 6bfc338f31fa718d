package lab

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// churnStep is how often Churn looks how many entries are due.
const churnStep = 5 * time.Millisecond

// Churn makes entries in h's table at perSecond until ctx ends, and tells how
// many: fewer than that where the kernel takes longer for them. It returns when
// the last one is made; that ctx ended is no error.
func (h *Host) Churn(ctx context.Context, perSecond int, entry func(i int) Entry) (n int, err error) {
	err = h.Do(func() error {
		f, err := newFiller(entry)
		if err != nil {
			return fmt.Errorf("churn: %w", err)
		}
		defer unix.Close(f.fd)
		tick := time.NewTicker(churnStep)
		defer tick.Stop()
		for start := time.Now(); ; {
			select {
			case <-ctx.Done():
				n = f.n
				return nil
			case <-tick.C:
			}
			due := int(time.Since(start) * time.Duration(perSecond) / time.Second)
			// what is late is caught up with slowly: ctx is looked at between
			if err := f.until(min(due, f.n+perSecond/10+1)); err != nil {
				n = f.n
				return fmt.Errorf("churn: %w", err)
			}
		}
	})
	return n, err
}
