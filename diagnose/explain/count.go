package explain

import (
	"fmt"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

// Made is how many live flows each rule alone has made.
type Made struct {
	Flows map[*rules.Rule]int
	// First is the first flow of each.
	First map[*rules.Rule]*host.Flow
	// NAT is how many flows with NAT were attributed, Graded how many of their
	// rewrites have each grade.
	NAT     int
	Graded  map[Grade]int
	Missing []host.Missing
}

// Count attributes the flows that read hands over, at most limit of those with
// NAT. Flows that several rules can have made count for none.
func (e *Explainer) Count(limit int, read func(each func(*host.Flow)) error) Made {
	m := Made{Flows: map[*rules.Rule]int{}, First: map[*rules.Rule]*host.Flow{}, Graded: map[Grade]int{}}
	n := 0
	err := read(func(f *host.Flow) {
		if len(f.Rewrites()) == 0 {
			return
		}
		if n++; n > limit {
			return
		}
		m.NAT++
		for _, rw := range e.Explain(f, Options{}).Rewrites {
			m.Graded[rw.Grade]++
			if len(rw.Rules) != 1 {
				continue
			}
			r := rw.Rules[0]
			if m.Flows[r]++; m.First[r] == nil {
				first := *f
				m.First[r] = &first
			}
		}
	})
	if err != nil {
		m.Missing = append(m.Missing, host.Missing{What: "flows", Why: err.Error()})
	}
	if n > limit {
		m.Missing = append(m.Missing, host.Missing{What: "flows of each rule", Why: fmt.Sprintf("the first %d flows with NAT were attributed, %d were not", limit, n-limit)})
	}
	return m
}
