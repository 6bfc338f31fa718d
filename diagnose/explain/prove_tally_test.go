//go:build linux

package explain_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// outcome is what one answer is worth.
type outcome string

const (
	exact     outcome = "exact"
	inferred  outcome = "inferred"
	ambiguous outcome = "ambiguous"
	none      outcome = "none"
	clash     outcome = "clash" // no rule ran, and none was named
	wrong     outcome = "wrong"
)

var outcomes = []outcome{exact, inferred, ambiguous, none, clash, wrong}

// tally counts outcomes, in all and by kind of rule.
type tally struct {
	mu                    sync.Mutex
	cases, flows, entries int
	in                    map[outcome]int
	kinds                 map[string]map[outcome]int
	columns               []outcome
}

func newTally(columns ...outcome) *tally {
	return &tally{columns: columns, in: map[outcome]int{}, kinds: map[string]map[outcome]int{}}
}

func (x *tally) played(flows, entries int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.cases, x.flows, x.entries = x.cases+1, x.flows+flows, x.entries+entries
}

func (x *tally) count(kind string, o outcome) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.in[o]++
	if x.kinds[kind] == nil {
		x.kinds[kind] = map[outcome]int{}
	}
	x.kinds[kind][o]++
}

func (x *tally) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d rulesets, %d flows, %d entries\n%-28s", x.cases, x.flows, x.entries, "kernel's rule")
	for _, o := range x.columns {
		fmt.Fprintf(&b, "%10s", o)
	}
	for _, kind := range slices.Sorted(maps.Keys(x.kinds)) {
		x.row(&b, kind, x.kinds[kind])
	}
	x.row(&b, "all", x.in)
	return b.String()
}

func (x *tally) row(b *strings.Builder, kind string, in map[outcome]int) {
	fmt.Fprintf(b, "\n%-28s", kind)
	for _, o := range x.columns {
		fmt.Fprintf(b, "%10d", in[o])
	}
}
