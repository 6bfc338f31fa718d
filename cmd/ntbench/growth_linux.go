package main

import (
	"context"
	"errors"
	"slices"

	"github.com/ntdiag/ntdiag/diagnose/lab/scale"
)

// Sizes at which growth is measured; those above what the bench is run with are
// left out.
var (
	growthOfFlows = []int{10_000, 30_000, 100_000, 300_000}
	growthOfRules = []int{100, 1000, 10_000}
)

// growthRuns is how often each is run for a plot.
const growthRuns = 3

// growthFlows fills x step by step; the last step is that of the rows.
func (b *bench) growthFlows(ctx context.Context, x *node) error {
	if !b.growth || x.shape.Name != b.shapes[0] {
		return nil
	}
	for _, n := range growthOfFlows {
		if n >= b.Flows {
			break
		}
		if err := x.fill(ctx, n); err != nil {
			return err
		}
		if err := b.point(ctx, x, "flows", n); err != nil {
			return err
		}
	}
	return nil
}

// growthRules measures a table of some size by ever more rules.
func (b *bench) growthRules(ctx context.Context, shape *scale.Shape) error {
	if !b.growth {
		return nil
	}
	sizes := slices.DeleteFunc(slices.Clone(growthOfRules), func(n int) bool { return n >= b.Rules })
	for _, n := range append(sizes, b.Rules) {
		err := func() (err error) {
			x, err := newNode(b.config, shape, n)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, x.close()) }()
			if err := x.fill(ctx, b.someFlows()); err != nil {
				return err
			}
			return b.point(ctx, x, "rules", n)
		}()
		if err != nil {
			return err
		}
	}
	return nil
}

// point measures what grows, by turns with the reference.
func (b *bench) point(ctx context.Context, x *node, axis string, n int) error {
	lines := map[string][]string{dump: {dump}}
	order := []string{dump}
	for i := range Rows {
		if r := &Rows[i]; r.Growth {
			lines[r.Name], order = r.Ours, append(order, r.Name)
		}
	}
	runs := map[string][]Sample{}
	limit := patience
	for range min(growthRuns, b.Runs) {
		for _, name := range order {
			if done := runs[name]; len(done) > 0 && done[len(done)-1].Over {
				continue
			}
			s, err := x.sample(ctx, limit, lines[name], nil)
			if err != nil {
				return err
			}
			runs[name] = append(runs[name], s)
			if name == dump {
				limit = max(patience/4, impatience*s.Wall)
			}
		}
	}
	for _, name := range order {
		b.add(axis, x.shape.Name, n, name, sideOf(lines[name], runs[name]))
	}
	return nil
}

// keep takes a result for the plots; its reference with the first of them.
func (b *bench) keep(x *node, axis string, r *Result) {
	if !b.growth || x.shape.Name != b.shapes[0] {
		return
	}
	b.add(axis, x.shape.Name, b.Flows, r.Name, r.Ours)
	if !slices.ContainsFunc(b.report.Growth, func(p Point) bool { return p.Axis == axis && p.N == b.Flows && p.Name == dump }) {
		b.add(axis, x.shape.Name, b.Flows, dump, r.Theirs)
	}
}

// add is one point, unless it was ended before it was done.
func (b *bench) add(axis, shape string, n int, name string, s Side) {
	if s.Over {
		b.say("growth with %s: %s %s, %s: ended after %s", axis, thousands(n), axis, name, seconds(s.Seconds))
		return
	}
	b.report.Growth = append(b.report.Growth, Point{Axis: axis, Shape: shape, N: n, Name: name, Seconds: s.Seconds, CPU: s.CPU, PeakKiB: s.PeakKiB})
}
