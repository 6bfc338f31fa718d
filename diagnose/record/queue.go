package record

import (
	"slices"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/history"
)

// queue is records that could not be written yet.
type queue struct {
	waiting []*history.Change
	weight  int       // of those, in rules and elements
	why     error     // why writing fails; nil when it does not
	since   time.Time // from when on
	lost    int       // records for which there was no room here either
}

// Bounds of what waits for room on the disk.
const (
	maxWaiting = 1000
	maxWeight  = 50000
)

func weight(c *history.Change) int {
	n := 1 + len(c.Addrs) + len(c.Links) + len(c.Routes) + len(c.Policies)
	if c.Rules != nil {
		n += len(c.Rules.Rules) + len(c.Rules.Objects)
		for i := range c.Rules.Sets {
			n += len(c.Rules.Sets[i].Elements)
		}
	}
	return n
}

// keep writes records, with those that wait for it. When that fails they wait,
// as many as there is room for, and the failure becomes a gap once it is over.
func (r *Recorder) keep(cs ...*history.Change) {
	for _, c := range cs {
		c.Netns = r.Netns
		if c.Generation == 0 {
			c.Generation = r.generation
		}
	}
	q := &r.queue
	if len(cs) == 0 && q.why == nil {
		return
	}
	batch := slices.Concat(q.waiting, cs)
	if q.why != nil {
		batch = append(batch, r.failure())
	}
	if err := r.Store.Append(batch...); err != nil {
		if q.why == nil {
			q.since = time.Now()
			r.Failed(err)
		}
		q.why = err
		r.wait(cs)
		return
	}
	*q = queue{}
	for _, c := range batch {
		r.Stored(c)
	}
}

// wait takes records into the queue; the oldest make room.
func (r *Recorder) wait(cs []*history.Change) {
	q := &r.queue
	for _, c := range cs {
		q.waiting, q.weight = append(q.waiting, c), q.weight+weight(c)
	}
	for len(q.waiting) > maxWaiting || q.weight > maxWeight && len(q.waiting) > 0 {
		q.weight -= weight(q.waiting[0])
		q.waiting, q.lost = q.waiting[1:], q.lost+1
	}
}

// failure is the gap that a time without writing leaves.
func (r *Recorder) failure() *history.Change {
	q := &r.queue
	why := "could not be written (" + q.why.Error() + ")"
	if q.lost == 0 {
		why += "; what changed was kept and written later"
	}
	now := time.Now()
	return &history.Change{
		Kind: history.KindGap, At: now, Netns: r.Netns, Generation: r.generation,
		Gap: &history.Gap{From: q.since, To: now, Why: why, Lost: q.lost},
	}
}
