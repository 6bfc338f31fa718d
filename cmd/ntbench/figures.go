package main

import (
	"fmt"
	"slices"
)

// axes are what grows, and whether time is drawn logarithmically: what is in
// proportion to the number is a straight line then; what does not grow is one
// either way.
var axes = []struct {
	name string
	log  bool
}{{"flows", true}, {"rules", false}}

// figures are the plots: time and memory, one for each axis and shape.
func (r *Report) figures() (out []Figure) {
	for _, a := range axes {
		var shapes []string
		for _, p := range r.Growth {
			if p.Axis == a.name && !slices.Contains(shapes, p.Shape) {
				shapes = append(shapes, p.Shape)
			}
		}
		for _, shape := range shapes {
			rest := fmt.Sprintf("%s rules, %s", thousands(r.Sizes.Rules), shape)
			if a.name == "rules" {
				rest = fmt.Sprintf("%s flows, %s", thousands(min(mostFlows, r.Sizes.Flows)), shape)
			}
			time := r.series(a.name, shape, func(p Point) float64 { return p.Seconds })
			memory := r.series(a.name, shape, func(p Point) float64 { return float64(p.PeakKiB) / 1024 })
			out = append(out, Figure{
				Name:  fmt.Sprintf("growth-%s-%s.svg", a.name, shape),
				Title: fmt.Sprintf("More %s (%s)", a.name, rest),
				Charts: []Chart{
					{Title: "time", X: a.name, LogY: a.log, Label: timeLabel, Series: time},
					{Title: "peak memory", X: a.name, Label: func(v float64) string { return short(v) + " MiB" }, Series: memory},
				},
			})
		}
	}
	return out
}

// series are the lines of one axis and shape, the reference last.
func (r *Report) series(axis, shape string, value func(Point) float64) []Series {
	var out []Series
	for i, name := range growing() {
		s := Series{Name: name, Look: i % looks}
		for _, p := range r.Growth {
			if p.Axis == axis && p.Shape == shape && p.Name == name {
				s.Points = append(s.Points, [2]float64{float64(p.N), value(p)})
			}
		}
		if s.Points != nil {
			slices.SortFunc(s.Points, func(x, y [2]float64) int { return int(x[0] - y[0]) })
			out = append(out, s)
		}
	}
	return out
}

// growing are the names of what is in the plots.
func growing() (out []string) {
	for i := range Rows {
		if Rows[i].Growth {
			out = append(out, Rows[i].Name)
		}
	}
	return append(out, dump)
}

func timeLabel(v float64) string {
	if v > 0 && v < 1 {
		return short(v*1000) + " ms"
	}
	return short(v) + " s"
}
