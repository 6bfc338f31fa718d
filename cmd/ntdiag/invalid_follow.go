package main

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/term"

	"github.com/ntdiag/ntdiag/report"
)

// redraw is how often the table is drawn anew.
const redraw = time.Second

// screen shows the tally in place until the function that it returns is called.
func (r *invalidRun) screen() func() error {
	format, _ := report.FormatByName("table")
	s := report.NewScreen(r.cmd.OutOrStdout())
	now := report.NewInvalidNow(time.Now())
	var failed error
	draw := func() {
		style := r.style(format)
		width, height, err := term.GetSize(int(os.Stdout.Fd()))
		if err != nil {
			width, height = maxWidth, 0
		}
		r.mu.Lock()
		text := now.Text(r.tally, sourceName(r.flags.nflog), r.lost(), time.Now(), style)
		r.mu.Unlock()
		if err := s.Draw(text, width, height); err != nil && failed == nil {
			failed = err
		}
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(redraw)
		defer tick.Stop()
		draw()
		for {
			select {
			case <-tick.C:
				draw()
			case <-stop:
				draw()
				return
			}
		}
	}()
	return func() error {
		close(stop)
		<-stopped
		if failed == nil { // the answer goes below
			_, failed = fmt.Fprintln(r.cmd.OutOrStdout())
		}
		return failed
	}
}

func sourceName(nflog bool) string {
	if nflog {
		return "NFLOG"
	}
	return "the kernel's log"
}
