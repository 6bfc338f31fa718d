package main

import (
	"testing"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/history"
)

// TestChangesNear: of what was recorded the nearest is named, and nothing that is
// far from the time or no change.
func TestChangesNear(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.Local)
	change := func(seq uint64, off time.Duration) *history.Change {
		return &history.Change{Seq: seq, At: at.Add(off), Kind: history.KindRules, By: []history.Author{{Program: "nft", PID: 7}}}
	}
	start := change(1, 0)
	start.Start = &history.Start{}
	for _, tc := range []struct {
		all  []*history.Change
		want string
	}{
		{nil, ""},
		{[]*history.Change{start, change(2, -nearFlush-time.Second)}, ""},
		{[]*history.Change{start, change(2, -time.Minute), change(3, time.Second), change(4, time.Hour)},
			"recorded near that time: a change of rules at 12:00:01 by nft (pid 7), and 1 more; ntdiag history --change 3 shows it"},
	} {
		if got := changesNear(tc.all, at, at.Add(time.Hour)); got != tc.want {
			t.Errorf("%q, want %q", got, tc.want)
		}
	}
}
