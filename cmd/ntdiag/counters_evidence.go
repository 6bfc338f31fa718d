package main

import (
	"context"
	"errors"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/counters"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/invalid"
	"github.com/ntdiag/ntdiag/diagnose/kernlog"
	"github.com/ntdiag/ntdiag/diagnose/survey"
	"github.com/ntdiag/ntdiag/rules"
)

// evidence looks things up where the counters are of (counters.Look).
type evidence struct {
	ctx    context.Context
	source capture.Source
	kernel host.Release
}

func (e *evidence) Snapshot() (*host.Snapshot, error) { return e.source.Snapshot(e.ctx) }

func (e *evidence) Survey(ranges []survey.PortRange) (*survey.Survey, error) {
	s := survey.New(ranges)
	info, err := e.source.Flows(e.ctx, capture.Filter{}, func(f *host.Flow) error {
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
	g := e.source.Loggers()
	here, initial, named := e.source.Place().Inode, g.Initial == rules.Yes, e.kernel.AtLeast(6, 17)
	out := new(counters.Log)
	var m invalid.Message
	err := kernelLog(e.ctx, e.source, func(r *kernlog.Record) error {
		switch {
		case !invalid.Parse(r.Text, &m):
		case m.Kind == invalid.KindHelper:
			out.Helper++
			out.LastHelper = string(m.Text)
		case m.Kind == invalid.KindTableFull && (m.Netns != 0 && m.Netns == here || m.Netns == 0 && named && initial):
			out.Full++
			out.Last = r.Time()
		case m.Kind == invalid.KindTableFull:
			out.Other++
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// kernelLog gives what the kernel's log has by now, oldest first.
func kernelLog(ctx context.Context, l capture.Source, fn func(*kernlog.Record) error) error {
	if w, ok := l.(capture.Whole); ok {
		_, err := w.Log(ctx, fn)
		return err
	}
	k, err := capture.OpenKmsg(true)
	if err != nil {
		return err
	}
	defer k.Close()
	var r kernlog.Record
	for {
		err := k.Next(ctx, &r)
		if err == nil {
			err = fn(&r)
		}
		switch {
		case eof(err):
			return nil
		case err != nil:
			return err
		}
	}
}
