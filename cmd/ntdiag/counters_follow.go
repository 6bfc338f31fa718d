package main

import (
	"context"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/ntdiag/ntdiag/diagnose/counters"
	"github.com/ntdiag/ntdiag/report"
)

// followStep is how often --follow reads without --interval.
const followStep = 2 * time.Second

// follow reads the counters again and again until it is interrupted, and ends
// with the sum and what is behind it.
func (w *countersWatch) follow(cmd *cobra.Command, format report.Format) error {
	step := w.flags.interval
	if step == 0 {
		step = followStep
	}
	tty := term.IsTerminal(int(os.Stdout.Fd()))
	if format.Human && !tty {
		format, _ = report.FormatByName("jsonl")
	}
	ctx := context.WithoutCancel(cmd.Context())
	first, began, err := w.read(ctx)
	if err != nil {
		return err
	}
	screen := report.NewScreen(cmd.OutOrStdout())
	prev, prevAt := first, began
	sum := *first
	sum.CPUs = nil
	tick := time.NewTicker(step)
	defer tick.Stop()
	for going := true; going; {
		select {
		case <-tick.C:
		case <-cmd.Context().Done():
			going = false
		}
		now, at, err := w.read(ctx)
		if err != nil {
			return err
		}
		delta := now.Since(prev)
		sum = sum.Plus(&delta)
		part := w.document(ctx, &delta, prev.Entries, at.Sub(prevAt), false)
		prev, prevAt = now, at
		if !going {
			break // half a step
		}
		if format.Human {
			all := w.document(ctx, &sum, first.Entries, at.Sub(began), false)
			width, height := 80, 24
			if tw, th, err := term.GetSize(int(os.Stdout.Fd())); err == nil && tw > 0 {
				width, height = tw, th
			}
			err = screen.Draw(report.CountersFrame(part, all, w.app.style(format)), width, height)
		} else {
			err = format.Counters(cmd.OutOrStdout(), part, w.app.style(format))
		}
		if err != nil {
			return incomplete(err)
		}
	}
	return w.end(cmd, format, &sum, first, prevAt.Sub(began))
}

// end is the sum, with evidence.
func (w *countersWatch) end(cmd *cobra.Command, format report.Format, sum *counters.Stats, first *counters.Stats, took time.Duration) error {
	doc := w.document(context.WithoutCancel(cmd.Context()), sum, first.Entries, took, true)
	doc.Sum = true
	if format.Human {
		if _, err := cmd.OutOrStdout().Write([]byte{'\n'}); err != nil {
			return incomplete(err)
		}
	}
	if err := format.Counters(cmd.OutOrStdout(), doc, w.app.style(format)); err != nil {
		return incomplete(err)
	}
	return finish(cmd, doc.Header, doc.Wrong())
}
