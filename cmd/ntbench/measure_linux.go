package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/lab"
)

// What takes longer than patience, and than impatience times its reference, is
// ended.
const (
	patience   = 20 * time.Second
	impatience = 8
)

// measure runs the rows by turns, those with the same reference together, and
// asks for their answers.
func (b *bench) measure(ctx context.Context, x *node, rows []*Row, shape string) error {
	for len(rows) > 0 {
		first := rows[0]
		together := func(r *Row) bool {
			return r == first || !r.Changing && !first.Changing && slices.Equal(r.Theirs, first.Theirs) && r.Times == first.Times
		}
		var group, rest []*Row
		for _, r := range rows {
			if together(r) {
				group = append(group, r)
			} else {
				rest = append(rest, r)
			}
		}
		if err := b.group(ctx, x, group, shape); err != nil {
			return err
		}
		rows = rest
	}
	return nil
}

// group measures rows with the same reference.
func (b *bench) group(ctx context.Context, x *node, group []*Row, shape string) error {
	reference := group[0].Theirs
	results := make([]*Result, len(group))
	for i, r := range group {
		results[i] = &Result{Name: r.Name, Shape: shape, row: r}
	}
	var theirs []Sample
	ours := make([][]Sample, len(group))
	limit := 10 * time.Minute
	for range group[0].runs(b.Runs) {
		s, err := x.sample(ctx, limit, reference, nil)
		if err == nil && (s.Over || s.Code != exitOK) {
			err = fmt.Errorf("%s: exit code %d: %s", strings.Join(reference, ", "), s.Code, s.Said)
		}
		if err != nil {
			return err
		}
		theirs = append(theirs, s)
		limit = max(patience, impatience*s.Wall)
		for i, r := range group {
			if done := ours[i]; len(done) > 0 && done[len(done)-1].Over {
				continue
			}
			s, err := x.ours(ctx, limit, r, r.Ours, nil)
			if err != nil {
				return err
			}
			ours[i] = append(ours[i], s)
			results[i].heard(s)
		}
	}
	for i, res := range results {
		res.Ours, res.Theirs = sideOf(res.row.Ours, ours[i]), sideOf(reference, theirs)
		if err := b.end(ctx, x, res); err != nil {
			return err
		}
	}
	return nil
}

// end asks for the answer of what was measured, and judges both.
func (b *bench) end(ctx context.Context, x *node, res *Result) error {
	if res.row.Asked != "" && !res.Ours.Over {
		if err := b.ask(ctx, x, res.row, res); err != nil {
			return err
		}
	}
	res.judge()
	b.report.Results = append(b.report.Results, res)
	if res.row.Growth {
		b.keep(x, "flows", res)
	}
	line(b.out, res)
	return nil
}

// ours runs a row's own command, while the table changes where that is asked.
func (x *node) ours(ctx context.Context, limit time.Duration, r *Row, lines []string, out io.Writer) (Sample, error) {
	if !r.Changing {
		return x.sample(ctx, limit, lines, out)
	}
	stop := x.churn(ctx)
	s, err := x.sample(ctx, limit, lines, out)
	if err = errors.Join(err, stop()); err != nil {
		return s, err
	}
	// a dump takes those that have ended out of the table (ctnetlink_dump_table),
	// which is not to cost the next one
	_, err = lab.Receive(x.host)
	return s, err
}

// heard looks at what a run said.
func (r *Result) heard(s Sample) {
	switch {
	case s.Over:
	case r.row.Changing && s.Said != "" && s.Code != exitUsage:
		r.Told = []string{s.Said} // the figures in it are those of each run
	case s.Code > exitMissed:
		if text := fmt.Sprintf("exit code %d: %s", s.Code, s.Said); !slices.Contains(r.Wrong, text) {
			r.Wrong = append(r.Wrong, text)
		}
	}
}

// ask holds an answer against what was built.
func (b *bench) ask(ctx context.Context, x *node, r *Row, res *Result) error {
	x.changing = r.Changing
	read, write := io.Pipe()
	judged := make(chan error, 1)
	go func() {
		err := r.Answer(&x.built, read)
		_, _ = io.Copy(io.Discard, read) // whatever is left, so that the writer ends
		judged <- err
	}()
	s, err := x.ours(ctx, 10*time.Minute, r, []string{r.Asked}, write)
	write.Close()
	wrong := <-judged
	if err != nil {
		return err
	}
	res.heard(s)
	if wrong != nil {
		res.Wrong = append(res.Wrong, wrong.Error())
	}
	if r.Changing && res.Told == nil {
		res.Missed = append(res.Missed, "it does not say that entries may be missing")
	}
	return nil
}
