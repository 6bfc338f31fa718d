package report

import (
	"fmt"
	"strings"

	"github.com/ntdiag/ntdiag/diagnose/counters"
)

// Points are the findings, also those of what was counted between two readings.
func (d *Counters) Points() []Point {
	var out []Point
	if d.Meanwhile != nil {
		out = d.Meanwhile.Points()
	}
	for i := range d.Findings {
		f := &d.Findings[i]
		p := Point{Of: "counters", Severity: string(f.Severity), Text: f.Summary}
		var moved []string
		for _, m := range f.finding.Moved {
			moved = append(moved, fmt.Sprintf("%s +%d", m.Counter, m.N))
		}
		if len(moved) > 0 {
			p.Facts = append(p.Facts, strings.Join(moved, ", "))
		}
		if f.Meaning != "" {
			p.Facts = append(p.Facts, f.Meaning)
		}
		if f.Note != "" {
			p.Facts = append(p.Facts, f.Note)
		}
		for j := range f.Likely {
			p.Causes = append(p.Causes, f.Likely[j].point())
		}
		for _, r := range f.RuledOut {
			p.Not = append(p.Not, r.Cause+": "+r.Why)
		}
		out = append(out, p)
	}
	return out
}

func (x *CounterCause) point() PointCause {
	c := PointCause{Sure: strings.TrimSuffix(x.gradeWord(), ":"), Text: x.Cause, Evidence: x.Evidence}
	lead := ""
	if x.Grade == counters.Open {
		lead = "look"
	}
	for line := range strings.SplitSeq(x.Fix, "\n") {
		if line != "" {
			c.Do = append(c.Do, Do{Text: line, Command: true, Lead: lead})
		}
	}
	if n := len(c.Do); n > 0 {
		c.Do[n-1].Cost = x.Cost
	}
	return c
}

// CounterLine is one counter with what moves it on the kernel.
type CounterLine struct {
	Name    string
	N       uint64
	Meaning string
	CPUs    []uint64 // in the order of Counters.CPUs
}

// Lines are the counters that the kernel has.
func (d *Counters) Lines() []CounterLine {
	var out []CounterLine
	for k := range counters.Table {
		c := &counters.Table[k]
		line := CounterLine{Name: c.Name, N: d.total.Values[k], Meaning: c.MeaningOn(d.kernel.Release)}
		if !d.total.Has[k] || line.Meaning == "" && line.N == 0 {
			continue
		}
		for _, cpu := range d.CPUs {
			line.CPUs = append(line.CPUs, cpu.Values[k])
		}
		out = append(out, line)
	}
	return out
}

// Answer is what was counted in one line, and how full the table is in another.
func (d *Counters) Answer() (counted, fill string) { return d.answer(), d.fillText() }
