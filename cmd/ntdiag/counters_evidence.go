package main

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/counters"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/invalid"
	"github.com/ntdiag/ntdiag/diagnose/kernlog"
	"github.com/ntdiag/ntdiag/diagnose/survey"
	"github.com/ntdiag/ntdiag/rules"
)

// evidence looks things up in the running kernel (counters.Look).
type evidence struct {
	ctx  context.Context
	live *capture.Live
}

func (e *evidence) Snapshot() (*host.Snapshot, error) { return e.live.Snapshot(e.ctx) }

func (e *evidence) Survey(ranges []survey.PortRange) (*survey.Survey, error) {
	s := survey.New(ranges)
	info, err := e.live.Flows(e.ctx, capture.Filter{}, func(f *host.Flow) error {
		s.Add(f)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if info.Unparsed > 0 {
		return s, errors.New(info.Why)
	}
	return s, nil
}

// Log reads what the kernel's log still has. A message "table full" names the
// namespace since 6.17, unless it is the initial one.
func (e *evidence) Log() (*counters.Log, error) {
	k, err := capture.OpenKmsg(true)
	if err != nil {
		return nil, err
	}
	defer k.Close()
	here, initial := e.live.Place().Inode, e.live.Loggers().Initial == rules.Yes
	var u host.Release
	if b, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		u, _ = host.ParseRelease(string(b))
	}
	named := u.AtLeast(6, 17)
	var out counters.Log
	var r kernlog.Record
	var m invalid.Message
	for {
		err := k.Next(e.ctx, &r)
		switch {
		case errors.Is(err, io.EOF):
			return &out, nil
		case err != nil:
			return nil, err
		case !invalid.Parse(r.Text, &m):
			continue
		}
		switch {
		case m.Kind == invalid.KindHelper:
			out.Helper++
			out.LastHelper = string(m.Text)
		case m.Kind == invalid.KindTableFull && (m.Netns != 0 && m.Netns == here || m.Netns == 0 && named && initial):
			out.Full++
			out.Last = r.Time()
		case m.Kind == invalid.KindTableFull:
			out.Other++
		}
	}
}
