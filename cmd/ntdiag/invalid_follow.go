package main

import (
	"fmt"
	"os"
	"strconv"
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
		text := now.Text(r.tally, r.from, r.lost(), time.Now(), style)
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
		for { // first after a tick: what is said on standard error when it begins stays above
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

// sourceName is what messages come from, in words.
func sourceName(nflog bool, files []string) string {
	switch {
	case len(files) == 1 && files[0] == "-":
		return "standard input"
	case len(files) == 1:
		return files[0]
	case len(files) > 1:
		return strconv.Itoa(len(files)) + " files"
	case nflog:
		return "NFLOG"
	}
	return "the kernel's log"
}
