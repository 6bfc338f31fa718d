package main

import (
	"context"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/invalid"
	"github.com/ntdiag/ntdiag/diagnose/kernlog"
)

// records takes records in, and adds the messages among them.
type records struct {
	r    *invalidRun
	of   *whose // nil: all are taken for those of the host asked about
	join invalid.Joiner
	m    invalid.Message
}

func (x *records) take(rec *kernlog.Record) error {
	for again := true; again; {
		var ok bool
		if ok, again = x.join.Next(rec, &x.m); ok {
			if err := x.add(rec.Messages()); err != nil {
				return err
			}
		}
	}
	return nil
}

// end adds the half of a message that still waits.
func (x *records) end() error {
	if x.join.Flush(&x.m) {
		return x.add(1)
	}
	return nil
}

func (x *records) add(n uint64) error {
	if x.of != nil {
		switch x.of.of(&x.m) {
		case elsewhere:
			x.r.doc.Elsewhere += n
			return nil
		case absent:
			x.r.away.add(x.of, &x.m, n)
			return nil
		case unowned:
			x.r.doc.Unowned += n
			return nil
		}
	}
	return x.r.add(&x.m, n)
}

// files reads logs as they are.
func (r *invalidRun) files(paths []string) error {
	in, err := kernlog.Open(paths, r.cmd.InOrStdin())
	if err != nil {
		return usage(err)
	}
	return r.readFiles(r.cmd.Context(), in, paths)
}

// followFiles reads logs, and goes on until it is interrupted, the time is over
// or standard input ends.
func (r *invalidRun) followFiles(paths []string) error {
	ctx := r.cmd.Context()
	if r.flags.during > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, r.flags.during)
		defer cancel()
	}
	in, err := kernlog.Follow(ctx, paths, r.cmd.InOrStdin())
	if err != nil {
		return usage(err)
	}
	var lost atomic.Uint64
	r.follow(r.from, lost.Load)
	r.took = func() { lost.Store(in.Lost()) }
	r.warn("listening to %s%s", r.from, howLong(r.flags.during))
	began := time.Now()
	err = r.readFiles(ctx, in, paths)
	r.doc.Seconds = time.Since(began).Round(time.Millisecond).Seconds()
	return err
}

// readFiles takes records in until the end, or until ctx ends.
func (r *invalidRun) readFiles(ctx context.Context, in *kernlog.Reader, paths []string) error {
	defer in.Close()
	x := records{r: r}
	if r.source != nil {
		x.of = &whose{file: true}
		if err := r.devices(ctx, x.of); err != nil {
			return cannot(err)
		}
	}
	var rec kernlog.Record
	for n := 1; ; n++ {
		err := in.Next(&rec)
		if eof(err) || err != nil && ctx.Err() != nil {
			break
		}
		if err != nil {
			return incomplete(err)
		}
		if err := x.take(&rec); err != nil {
			return incomplete(err)
		}
		if r.took != nil {
			r.took()
		}
		if n%4096 == 0 && ctx.Err() != nil {
			r.miss("the rest of the files", "interrupted")
			break
		}
	}
	if err := x.end(); err != nil {
		return incomplete(err)
	}
	s := in.Stats()
	r.doc.Source, r.doc.Files = in.Source(), paths
	r.doc.Lines, r.doc.Lost = s.Lines, s.Lost+s.Gaps
	r.missing = append(r.missing, in.Missing()...)
	return nil
}

// kmsg reads the kernel's log: what is there, or what comes until ctx ends.
func (r *invalidRun) kmsg(ctx context.Context, k *capture.Kmsg, of *whose) error {
	x := records{r: r, of: of}
	var rec kernlog.Record
	for {
		err := k.Next(ctx, &rec)
		if eof(err) || ctx.Err() != nil {
			break
		}
		if err != nil {
			return err
		}
		if err := r.record(&x, &rec); err != nil {
			return err
		}
	}
	return x.end()
}

// kmsgRest reads what was written before the end.
func (r *invalidRun) kmsgRest(k *capture.Kmsg, of *whose) error {
	x := records{r: r, of: of}
	var rec kernlog.Record
	for {
		some, err := k.Pending(&rec)
		if eof(err) || err == nil && !some {
			break
		}
		if err != nil {
			return err
		}
		if err := r.record(&x, &rec); err != nil {
			return err
		}
	}
	r.doc.Lost, r.doc.Unparsed = k.Lost(), k.Unparsed()
	return x.end()
}

// logOf reads what a file has of the kernel's log.
func (r *invalidRun) logOf(ctx context.Context, w capture.Whole, of *whose) error {
	x := records{r: r, of: of}
	lost, err := w.Log(ctx, func(rec *kernlog.Record) error { return r.record(&x, rec) })
	r.doc.Lost = lost
	if err != nil {
		return err
	}
	return x.end()
}

func (r *invalidRun) record(x *records, rec *kernlog.Record) error {
	r.doc.Lines++
	if rec.Foreign {
		return nil // no program's word is the kernel's
	}
	return x.take(rec)
}

// packets takes in packets of nfnetlink_log.
type packets struct {
	r     *invalidRun
	names deviceIndex
	m     invalid.Message
}

func (x *packets) take(p *capture.Logged) error {
	x.r.doc.Lines++
	raw := invalid.Raw{Prefix: p.Prefix, Payload: p.Payload, Header: p.Header, Mark: p.Mark, UID: p.UID, HasUID: p.HasUID}
	m := &x.m
	if !invalid.ParsePacket(&raw, m) {
		return nil // a rule's
	}
	m.At = p.At
	n := &x.names
	n.live = x.r.live
	m.In, m.Out, m.PhysIn, m.PhysOut = n.of(p.In), n.of(p.Out), n.of(p.PhysIn), n.of(p.PhysOut)
	return x.r.add(m, 1)
}

// deviceIndex names devices by their index; a new one is looked up once.
type deviceIndex struct {
	live  *capture.Live
	names map[uint32][]byte
}

func (d *deviceIndex) of(index uint32) []byte {
	if index == 0 {
		return nil
	}
	if name, ok := d.names[index]; ok {
		return name
	}
	d.names = map[uint32][]byte{}
	if s, err := d.live.Snapshot(context.Background()); err == nil {
		for _, l := range s.Links {
			d.names[l.Index] = []byte(l.Name)
		}
	}
	if d.names[index] == nil { // it is gone
		d.names[index] = []byte("if" + strconv.Itoa(int(index)))
	}
	return d.names[index]
}
