package main

import (
	"context"
	"errors"
	"slices"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/query"
	"github.com/ntdiag/ntdiag/report"
)

// maxNearest is how many entries are named when none fits.
const maxNearest = 3

// match is an entry with the form in which it fits.
type match struct {
	flow host.Flow
	form query.Form
}

// finding is what a query came to.
type finding struct {
	matches []match
	more    int
	near    []near
	missing []host.Missing
}

type near struct {
	flow  host.Flow
	score int
}

// find asks the kernel for the entry of a whole tuple, and reads the table
// only for what the kernel cannot look up: partial queries, a tuple as it is
// between the two rewrites, an id, another zone.
func find(ctx context.Context, l capture.Source, q *query.Query, limit int) (finding, error) {
	var out finding
	if err := out.lookUp(ctx, l, q); err != nil || len(out.matches) > 0 {
		return out, err
	}
	return out, out.dump(ctx, l, q, limit)
}

func (o *finding) lookUp(ctx context.Context, l capture.Source, q *query.Query) error {
	for _, t := range q.Lookups() {
		f, err := l.Get(ctx, t, capture.Original, q.Family, uint16(q.Zone.N))
		switch {
		case errors.Is(err, capture.ErrNotFound):
			continue
		case err != nil:
			return err
		}
		if form := q.Match(f); form != query.FormNone {
			o.add(f, form)
		} else {
			o.nearer(q, f)
		}
	}
	return nil
}

// add leaves out what is there: without NAT both lookups find one entry.
func (o *finding) add(f *host.Flow, form query.Form) {
	same := func(m match) bool {
		return m.flow.ID == f.ID && m.flow.Original == f.Original && m.flow.Zone == f.Zone
	}
	if !slices.ContainsFunc(o.matches, same) {
		o.matches = append(o.matches, match{*f, form})
	}
}

func (o *finding) dump(ctx context.Context, l capture.Source, q *query.Query, limit int) error {
	filter := capture.Filter{Family: q.Family}
	if q.Zone.Set {
		filter.HasZone, filter.Zone = true, uint16(q.Zone.N)
	}
	if q.Mark.Set {
		filter.HasMark, filter.Mark, filter.MarkMask = true, q.Mark.N&q.MarkMask, q.MarkMask
	}
	info, err := l.Flows(ctx, filter, func(f *host.Flow) error {
		form := q.Match(f)
		switch {
		case form == query.FormNone:
			if len(o.matches) == 0 {
				o.nearer(q, f)
			}
		case len(o.matches) < limit:
			o.add(f, form)
		default:
			o.more++
		}
		if q.ID.Set && len(o.matches) > 0 {
			return capture.ErrStop
		}
		return nil
	})
	o.missing = info.Missing()
	return err
}

// nearer keeps the entries that share most with the query.
func (o *finding) nearer(q *query.Query, f *host.Flow) {
	score := q.Near(f)
	if score == 0 || len(o.near) == maxNearest && score <= o.near[maxNearest-1].score {
		return
	}
	if slices.ContainsFunc(o.near, func(n near) bool { return n.flow.ID == f.ID && n.flow.Original == f.Original }) {
		return
	}
	o.near = append(o.near, near{*f, score})
	slices.SortStableFunc(o.near, func(a, b near) int { return b.score - a.score })
	o.near = o.near[:min(len(o.near), maxNearest)]
}

func (o *finding) nearest() []report.Flow {
	var out []report.Flow
	for i := range o.near {
		out = append(out, report.Flow{Flow: o.near[i].flow})
	}
	return out
}
