package simulate

import (
	"github.com/ntdiag/ntdiag/rules/walk"
)

// script goes through the ways of a walk one after the other: each is replayed
// from the beginning, with the last point at which another way is left taking
// the next one (depth first).
type script struct {
	points []point
	at     int // how many points this way has come to
	facts  facts
}

// point is one open point of the way.
type point struct {
	way   int // which of ways is taken
	ways  []int
	share float64
	text  string // says which way it is, "" for nothing worth saying
	open  walk.Choice
}

// begin starts the next way; false when all have been gone.
func (s *script) begin(first bool) bool {
	s.at = 0
	s.facts = facts{}
	if first {
		return true
	}
	for n := len(s.points); n > 0; n-- {
		if p := &s.points[n-1]; p.way+1 < len(p.ways) {
			p.way++
			s.points = s.points[:n]
			return true
		}
	}
	return false
}

// choose is walk.Options.Choose.
func (s *script) choose(c *walk.Choice) int {
	possible := s.facts.possible(c)
	way := possible[0]
	if len(possible) > 1 {
		p := s.point(possible)
		way = p.ways[p.way]
		p.share, p.text, p.open = c.Ways[way].Share, c.Ways[way].Text, *c
	}
	s.facts.learn(c, way)
	return way
}

// pick chooses among n equal ways that no rule makes.
func (s *script) pick(n int, text func(int) string) int {
	if n < 2 {
		return 0
	}
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	p := s.point(all)
	p.share, p.text = 0, text(p.way)
	return p.way
}

// point is where the way stands: one met before, or a new one.
func (s *script) point(ways []int) *point {
	if s.at == len(s.points) {
		s.points = append(s.points, point{ways: ways})
	}
	s.at++
	return &s.points[s.at-1]
}

// odds are the product of the shares, false when a point states none.
func (s *script) odds() (float64, bool) {
	p := 1.0
	for i := range s.points {
		if s.points[i].share == 0 {
			return 0, false
		}
		p *= s.points[i].share
	}
	return p, true
}
