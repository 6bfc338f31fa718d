package main

import (
	"fmt"
	"slices"
	"time"
)

// Sample is one run of one process.
type Sample struct {
	Wall    time.Duration `json:"wall"`
	CPU     time.Duration `json:"cpu"` // user and system
	PeakKiB int           `json:"peak_kib"`
	Code    int           `json:"code"`
	Said    string        `json:"said,omitempty"` // on standard error
	// Over: it was ended after Wall, as it took too long.
	Over bool `json:"over,omitempty"`
}

// plus is a run and another after it.
func (s Sample) plus(t Sample) Sample {
	s.Wall += t.Wall
	s.CPU += t.CPU
	s.PeakKiB = max(s.PeakKiB, t.PeakKiB)
	s.Code = max(s.Code, t.Code)
	s.Said += t.Said
	s.Over = s.Over || t.Over
	return s
}

// Side is the runs of one command: medians of the times, the most of memory.
type Side struct {
	Command []string  `json:"command"`
	Seconds float64   `json:"seconds"`
	CPU     float64   `json:"cpu_seconds"`
	PeakKiB int       `json:"peak_kib"`
	Runs    []float64 `json:"runs"` // seconds of each
	Over    bool      `json:"over,omitempty"`
}

func sideOf(command []string, runs []Sample) Side {
	s := Side{Command: command}
	var cpu []float64
	for _, r := range runs {
		s.Runs, cpu = append(s.Runs, r.Wall.Seconds()), append(cpu, r.CPU.Seconds())
		s.PeakKiB, s.Over = max(s.PeakKiB, r.PeakKiB), s.Over || r.Over
	}
	s.Seconds, s.CPU = median(s.Runs), median(cpu)
	return s
}

// median of an even number is the mean of the two in the middle; of none it is 0.
func median(of []float64) float64 {
	sorted := slices.Sorted(slices.Values(of))
	n := len(sorted)
	switch {
	case n == 0:
		return 0
	case n%2 == 1:
		return sorted[n/2]
	}
	return (sorted[n/2-1] + sorted[n/2]) / 2
}

// Result is a row, measured with rules of one shape.
type Result struct {
	Name   string   `json:"name"`
	Shape  string   `json:"shape,omitempty"`
	Ours   Side     `json:"ours"`
	Theirs Side     `json:"reference"`
	Ratio  float64  `json:"ratio"` // of the medians; 0 where there is none
	Less   float64  `json:"difference_seconds"`
	Missed []string `json:"missed,omitempty"` // bounds
	Wrong  []string `json:"wrong,omitempty"`  // answers, and what could not be run
	// Told is what it said of a table that changed.
	Told []string `json:"told,omitempty"`

	row *Row
}

// judge compares what was measured with the bounds of the row.
func (r *Result) judge() {
	if r.Theirs.Seconds > 0 {
		r.Ratio = r.Ours.Seconds / r.Theirs.Seconds
	}
	r.Less = r.Ours.Seconds - r.Theirs.Seconds
	switch {
	case r.Ours.Over:
		r.Missed = append(r.Missed, fmt.Sprintf("it was ended after %s", seconds(r.Ours.Seconds)))
	case r.row.AtMost > 0 && r.Ratio > r.row.AtMost:
		r.Missed = append(r.Missed, fmt.Sprintf("%.2f of the reference's time, at most %.2f", r.Ratio, r.row.AtMost))
	case r.row.Within > 0 && r.Less > r.row.Within.Seconds():
		r.Missed = append(r.Missed, fmt.Sprintf("%s more than the reference, at most %s", seconds(r.Less), seconds(r.row.Within.Seconds())))
	}
	if most := r.row.PeakMiB << 10; most > 0 && r.Ours.PeakKiB > most {
		r.Missed = append(r.Missed, fmt.Sprintf("%s MiB in memory, at most %d", mib(r.Ours.PeakKiB), r.row.PeakMiB))
	}
}

// verdict in one word.
func (r *Result) verdict() string {
	switch {
	case len(r.Wrong) > 0:
		return "WRONG"
	case len(r.Missed) > 0:
		return "MISSED"
	}
	return "ok"
}

// Report is one run of the bench.
type Report struct {
	Kernel  string    `json:"kernel"`
	Cores   int       `json:"cores"`
	Go      string    `json:"go"`
	Ntdiag  string    `json:"ntdiag"`
	Tools   []string  `json:"tools"` // with their versions
	Date    time.Time `json:"date"`
	Buckets int       `json:"conntrack_buckets"`
	// Empty is how long a table without entries takes to read, while other
	// namespaces have some.
	Empty   float64   `json:"empty_table_seconds"`
	Sizes   Sizes     `json:"sizes"`
	Results []*Result `json:"results"`
	Growth  []Point   `json:"growth,omitempty"`
	Took    float64   `json:"seconds"`
}

// Point is one command with tables or rules of one size.
type Point struct {
	Axis    string  `json:"axis"` // flows or rules: which of them is N
	Shape   string  `json:"shape"`
	N       int     `json:"n"`
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
	CPU     float64 `json:"cpu_seconds"`
	PeakKiB int     `json:"peak_kib"`
}

// code is the exit code.
func (r *Report) code(bounds bool) int {
	for _, x := range r.Results {
		if len(x.Wrong) > 0 || bounds && len(x.Missed) > 0 {
			return exitMissed
		}
	}
	return exitOK
}
