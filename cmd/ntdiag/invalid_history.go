package main

import (
	"fmt"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/history"
	"github.com/ntdiag/ntdiag/diagnose/invalid"
)

// nearFlush is how far a change may be from the time at which the table was
// emptied, to be named with it.
const nearFlush = 2 * time.Minute

// recorded adds to a flush what was recorded of this namespace near it. Without
// a store nothing is said.
func (r *invalidRun) recorded(c *invalid.Case, d *invalid.Diagnosis) {
	for i := range d.Causes {
		x := &d.Causes[i]
		if x.Name != "flushed" || r.source == nil {
			continue
		}
		h, _, err := readHistory(r.source, "")
		if err != nil {
			return
		}
		if text := changesNear(h.Changes, c.Table.Oldest, r.source.Now()); text != "" {
			x.Evidence = append(x.Evidence, text)
		}
	}
}

// changesNear names the change that is nearest to at, "" when none is near.
func changesNear(all []*history.Change, at, now time.Time) string {
	var best *history.Change
	n := 0
	for _, c := range all {
		off := c.At.Sub(at).Abs()
		if c.Start != nil || c.Gap != nil || off > nearFlush {
			continue
		}
		n++
		if best == nil || off < best.At.Sub(at).Abs() {
			best = c
		}
	}
	if best == nil {
		return ""
	}
	text := fmt.Sprintf("recorded near that time: a change of %s %s", best.Kind, history.WhenText(best.At, best.After, now))
	if len(best.By) > 0 {
		text += " by " + history.ByText(best.By)
	}
	if n > 1 {
		text += fmt.Sprintf(", and %d more", n-1)
	}
	return text + fmt.Sprintf("; ntdiag history --change %d shows it", best.Seq)
}
