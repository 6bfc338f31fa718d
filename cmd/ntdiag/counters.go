package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/ntdiag/ntdiag/report"
)

func newCountersCmd(a *app) *cobra.Command {
	var output string
	var interval time.Duration
	cmd := &cobra.Command{
		Use:   "counters",
		Short: "what conntrack counts of itself, and what moves each counter",
		Long: `counters reads the statistics of conntrack over netlink, sums its CPUs, and
says what moves each counter. They count since the network namespace was made;
with --interval they are what was counted meanwhile. -o wide adds the CPUs.`,
		Example: `  ntdiag counters
  ntdiag counters --interval 10s
  ntdiag counters --netns blue -o json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.counters(cmd, output, interval) },
	}
	outputFlag(cmd, &output)
	cmd.Flags().DurationVar(&interval, "interval", 0, "count for this long, 10s")
	return cmd
}

func (a *app) counters(cmd *cobra.Command, output string, interval time.Duration) error {
	format, err := formatOf(output)
	if err != nil {
		return err
	}
	if interval < 0 {
		return usage(fmt.Errorf("--interval %v: must not be negative", interval))
	}
	l, err := a.open()
	if err != nil {
		return err
	}
	defer l.Close()
	s, err := l.Stats(cmd.Context())
	if err != nil {
		return cannot(err)
	}
	began := time.Now()
	if interval > 0 {
		select {
		case <-time.After(interval):
		case <-cmd.Context().Done(): // what was counted until then
		}
		before := s
		now, err := l.Stats(context.WithoutCancel(cmd.Context()))
		if err != nil {
			return cannot(err)
		}
		delta := now.Since(before)
		s = &delta
		interval = time.Since(began).Round(time.Millisecond)
	}
	doc := report.NewCounters(report.NewHeader("counters", a.host(), nil), s, interval.Seconds())
	if err := format.Counters(cmd.OutOrStdout(), doc, a.style(format)); err != nil {
		return incomplete(err)
	}
	return finish(cmd, doc.Header, false)
}
