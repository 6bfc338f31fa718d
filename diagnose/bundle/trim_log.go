package bundle

import (
	"encoding/json"
	"fmt"

	"github.com/ntdiag/ntdiag/diagnose/history"
	"github.com/ntdiag/ntdiag/diagnose/host"
)

// recordBytes is what a record of the log takes beside its text.
const recordBytes = 120

// trim leaves out the oldest of the log and of the history where each takes
// more than most bytes: as JSON, before it is compressed. s stays as it is.
func trim(s *State, member string, most int64) (*State, []Truncated) {
	out := *s
	var cut []Truncated
	note := func(what string, kept, leftOut int) {
		why := fmt.Sprintf("they take more than %s", SizeText(most))
		cut = append(cut, Truncated{Member: member, What: what, Kept: uint64(kept), LeftOut: uint64(leftOut), Why: why})
		out.Missing = append(out.Missing[:len(out.Missing):len(out.Missing)], host.Missing{
			What: what, Why: fmt.Sprintf("the oldest %d of %d were left out: %s", leftOut, kept+leftOut, why),
		})
	}
	if n := newest(len(s.Log), most, func(i int) int64 { return int64(len(s.Log[i].Text)) + recordBytes }); n < len(s.Log) {
		old := len(s.Log) - n
		out.Log = s.Log[old:]
		out.LogLost += uint64(old)
		note("log records", n, old)
	}
	if s.History == nil {
		return &out, cut
	}
	changes := s.History.Changes
	n := newest(len(changes), most, func(i int) int64 {
		doc, err := json.Marshal(changes[i])
		if err != nil {
			return most // it will be told when it is written
		}
		return int64(len(doc))
	})
	if n < len(changes) {
		old := len(changes) - n
		h := s.History
		out.History = &history.History{
			Path: h.Path, Changes: changes[old:], Dropped: h.Dropped + uint64(old), Alive: h.Alive, Recording: h.Recording, Damaged: h.Damaged,
		}
		note("changes of the history", n, old)
	}
	return &out, cut
}

// newest is how many of n, the last ones, take no more than most.
func newest(n int, most int64, size func(i int) int64) int {
	for i := n - 1; i >= 0; i-- {
		if most -= size(i); most < 0 {
			return n - 1 - i
		}
	}
	return n
}
