package counters

import "time"

// Growth is how the number of entries changes.
type Growth struct{ first, last sample }

type sample struct {
	at time.Time
	n  uint64
}

// Add takes a reading.
func (g *Growth) Add(at time.Time, n uint64) {
	if g.first.at.IsZero() {
		g.first = sample{at, n}
	}
	g.last = sample{at, n}
}

// tooFar is when a forecast from a short time tells nothing any more.
const tooFar = 30 * 24 * time.Hour

// burst is the part of a table that has to come in while it is watched, for a
// forecast of one that is not half full: what a short burst adds does not tell
// what the next hundred times as long will bring.
const burst = 0.01

// Full is when the table will be full, if it goes on as it did between the first
// and the last reading; false where it does not grow, or by less than chance
// would, or by so little of the table that it tells nothing (burst).
func (g *Growth) Full(limit uint64) (time.Time, bool) {
	dt := g.last.at.Sub(g.first.at)
	if dt <= 0 || g.last.n <= g.first.n || limit <= g.last.n {
		return time.Time{}, false
	}
	grown := float64(g.last.n - g.first.n)
	if grown*grown < 4*float64(g.first.n) || grown < 10 {
		return time.Time{}, false // within twice the deviation of as many independent flows
	}
	if grown < burst*float64(limit) && g.last.n < limit/2 {
		return time.Time{}, false
	}
	left := float64(limit-g.last.n) / grown * float64(dt)
	if left > float64(tooFar) {
		return time.Time{}, false
	}
	return g.last.at.Add(time.Duration(left)), true
}
