package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/history"
	recording "github.com/ntdiag/ntdiag/diagnose/record"
	"github.com/ntdiag/ntdiag/report"
)

// unit is the service that records; unitProgram is the program in it.
//
//go:embed ntdiag-record.service
var unit string

const unitProgram = "/usr/local/bin/ntdiag"

// leastPoll bounds how often iptables-legacy and ipsets are compared.
const leastPoll = 100 * time.Millisecond

// recordFlags are the flags of `record`.
type recordFlags struct {
	dir       string
	poll, dur time.Duration
	unit      bool
}

func newRecordCmd(a *app) *cobra.Command {
	var f recordFlags
	cmd := &cobra.Command{
		Use:   "record",
		Short: "keep who changes rules, addresses and routes, and when",
		Long: `record follows one network namespace and keeps what changes, for history and for
the cause of stale flows: rules, sets and maps of nf_tables, transaction by
transaction with the program that made it; iptables-legacy and ipsets, compared
every so often; addresses, devices, routes and policy rules. It runs until it is
ended, and prints each change as it keeps it.

There is one file a namespace, of bounded size: the oldest changes make room.
One record a namespace runs at a time.

To have it always, as a service of systemd:

  ntdiag record --unit | sudo tee /etc/systemd/system/ntdiag-record.service
  sudo systemctl enable --now ntdiag-record

It needs CAP_NET_ADMIN, and with --netns CAP_SYS_ADMIN. It changes nothing.`,
		Example: `  sudo ntdiag record
  sudo ntdiag record --for 10m
  sudo ntdiag record --netns blue --state-dir /var/tmp/ntdiag`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.unit {
				return printUnit(cmd.OutOrStdout())
			}
			return a.record(cmd, &f)
		},
	}
	stateDirFlag(cmd, &f.dir)
	fs := cmd.Flags()
	fs.DurationVar(&f.poll, "poll", 10*time.Second, "how often iptables-legacy and ipsets are compared")
	fs.DurationVar(&f.dur, "for", 0, "end after this time; 0 for never")
	fs.BoolVar(&f.unit, "unit", false, "print the unit file for systemd, and do nothing else")
	return cmd
}

// printUnit writes the unit with this program in it, where that is ntdiag.
func printUnit(w io.Writer) error {
	text := unit
	if self, err := os.Executable(); err == nil && filepath.Base(self) == filepath.Base(unitProgram) && !strings.ContainsAny(self, " \t%\"'\\$") {
		text = strings.ReplaceAll(text, unitProgram, self)
	}
	_, err := io.WriteString(w, text)
	return err
}

func (a *app) record(cmd *cobra.Command, f *recordFlags) error {
	switch {
	case f.poll < leastPoll:
		return usage(fmt.Errorf("--poll %v: at least %v", f.poll, leastPoll))
	case f.dur < 0:
		return usage(errors.New("--for: must not be negative"))
	}
	l, err := a.openLive()
	if err != nil {
		return err
	}
	defer l.Close()
	id, err := l.Identity()
	if err != nil {
		return incomplete(err)
	}
	store, err := history.Create(inState(f.dir), id)
	if errors.Is(err, history.ErrLocked) {
		err = fmt.Errorf("%w into %s", err, history.Path(inState(f.dir), id))
	}
	if err != nil {
		return incomplete(err)
	}
	defer store.Close()
	ctx, end := context.WithCancel(cmd.Context())
	defer end()
	r := a.recorder(cmd, l, store, f, func() {
		if f.dur > 0 {
			time.AfterFunc(f.dur, end)
		}
		notify("READY=1")
	})
	r.Netns = id
	err = r.Run(ctx)
	notify("STOPPING=1")
	if err != nil {
		return cannot(err)
	}
	return nil
}

// recorder prints what it keeps, and calls begun when recording has begun.
func (a *app) recorder(cmd *cobra.Command, l *capture.Live, store *history.Store, f *recordFlags, begun func()) *recording.Recorder {
	out, errOut := cmd.OutOrStdout(), cmd.ErrOrStderr()
	style := a.style(report.Format{})
	fmt.Fprintf(out, "recording into %s\n", store.Path())
	return &recording.Recorder{
		Live: l, Store: store, Poll: f.poll, Version: version,
		Stored: func(c *history.Change) {
			// a reader that went away does not end the recording
			_, _ = io.WriteString(out, report.HistoryLine(c, style))
			if c.Kind == history.KindStart {
				begun()
			}
		},
		Failed: func(err error) { fmt.Fprintf(errOut, "ntdiag: record: %v\n", err) },
	}
}
