package main

import (
	"context"
	"strconv"
	"strings"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/invalid"
	"github.com/ntdiag/ntdiag/diagnose/kernlog"
	"github.com/ntdiag/ntdiag/rules"
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
		switch x.of.here(&x.m) {
		case rules.No:
			x.r.doc.Elsewhere += n
			return nil
		case rules.Unknown:
			x.r.doc.Unowned += n
			return nil
		}
	}
	return x.r.add(&x.m, n)
}

// files reads logs.
func (r *invalidRun) files(paths []string) error {
	in, err := kernlog.Open(paths, r.cmd.InOrStdin())
	if err != nil {
		return usage(err)
	}
	defer in.Close()
	x := records{r: r}
	var rec kernlog.Record
	ctx := r.cmd.Context()
	for n := 0; ; n++ {
		if n%4096 == 0 && ctx.Err() != nil {
			r.miss("the rest of the files", "interrupted")
			break
		}
		err := in.Next(&rec)
		if eof(err) {
			break
		}
		if err != nil {
			return incomplete(err)
		}
		if err := x.take(&rec); err != nil {
			return incomplete(err)
		}
	}
	if err := x.end(); err != nil {
		return incomplete(err)
	}
	s := in.Stats()
	r.doc.Source, r.doc.Files = "file", paths
	if len(s.Forms) > 0 && !containsOther(s.Forms, "journal") {
		r.doc.Source = "journal"
	}
	r.doc.Lines, r.doc.Lost = s.Lines, s.Lost+s.Gaps
	r.missing = append(r.missing, in.Missing()...)
	return nil
}

// containsOther tells whether one of the names does not hold the word.
func containsOther(names []string, word string) bool {
	for _, n := range names {
		if !strings.Contains(n, word) {
			return true
		}
	}
	return false
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
