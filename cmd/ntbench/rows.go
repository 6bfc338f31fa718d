package main

import "time"

// Stage is what a row is measured on.
type Stage int

const (
	Bare     Stage = iota // no rules, no flows
	Busy                  // all flows, all rules
	Few                   // all flows, few rules
	Elements              // all rules, a map of many elements, a handful of flows
)

// Row is one thing that is measured beside its reference. In command lines FLOW
// stands for one flow of the table, as each tool takes it, and BUILT for how
// many services and flows there are.
type Row struct {
	Name string
	Work string // in Markdown
	// Ours and Theirs are command lines; times of several add up. Reference is
	// Theirs in words, "" for the command lines.
	Ours, Theirs []string
	Reference    string
	Stage        Stage
	Shapes       []string // nil for the first alone
	// AtMost is the bound of ours to theirs; or Within, of ours less theirs.
	AtMost  float64
	Within  time.Duration
	PeakMiB int // the most that ours may have in memory; 0 for any
	// Times is how many runs it has for one of others, 0 for one: short ones
	// need more.
	Times int
	// Changing: new flows come and old ones go while ours runs.
	Changing bool
	// Growth: it is in the plots.
	Growth bool
	// Asked is the command line whose output Answer holds against what was
	// built.
	Asked  string
	Answer answer
}

const (
	dump    = "conntrack -L -o extended"
	peakMiB = 128
	perSec  = 20_000 // new flows where the table changes
)

var allShapes = shapeNames()

// Rows lists them, in the order of the table of results.
var Rows = []Row{
	{
		Name: "flows", Work: "`flows -o jsonl`, all entries, to /dev/null",
		Ours: []string{"ntdiag flows -o jsonl"}, Theirs: []string{dump}, Stage: Busy,
		AtMost: 0.75, PeakMiB: peakMiB, Growth: true,
		Asked: "ntdiag flows -o jsonl", Answer: answerFlows,
	},
	{
		Name: "reading", Work: "reading all entries, without output",
		Ours: []string{"ntbench read"}, Theirs: []string{"ntbench receive"}, Reference: "a loop that only receives the bytes", Stage: Busy,
		AtMost: 1.15, PeakMiB: peakMiB, Times: 2,
		Asked: "ntbench read", Answer: answerRead,
	},
	{
		Name: "stale", Work: "`stale`, all flows by all rules",
		Ours: []string{"ntdiag stale"}, Theirs: []string{dump}, Stage: Busy, Shapes: allShapes,
		AtMost: 1, PeakMiB: peakMiB, Growth: true,
		Asked: "ntdiag stale -o json", Answer: answerStale,
	},
	{
		Name: "rules", Work: "`rules`, all flows attributed",
		Ours: []string{"ntdiag rules"}, Theirs: []string{dump}, Stage: Busy, Shapes: allShapes,
		AtMost: 1, PeakMiB: peakMiB, Growth: true,
		Asked: "ntdiag rules -o json", Answer: answerRules,
	},
	{
		Name: "changing table", Work: "`flows -o jsonl` while 20,000 new flows come a second",
		Ours: []string{"ntdiag flows -o jsonl"}, Theirs: []string{"ntdiag flows -o jsonl"}, Reference: "the same while none come", Stage: Busy,
		AtMost: 1.5, PeakMiB: peakMiB, Changing: true,
		Asked: "ntdiag flows -o jsonl", Answer: answerFlows,
	},
	{
		Name: "ready", Work: "all rules and a map of many elements, ready to decide",
		Ours: []string{"ntbench ready BUILT"}, Theirs: []string{"nft list ruleset"}, Stage: Elements, Shapes: []string{"nft", "iptables-nft"},
		AtMost: 0.35, PeakMiB: peakMiB,
		Asked: "ntbench ready BUILT", Answer: answerReady,
	},
	{
		Name: "explain", Work: "`explain` of one flow by its tuple, all entries, few rules",
		Ours: []string{"ntdiag explain FLOW"}, Theirs: []string{"conntrack -G FLOW", "nft list ruleset"}, Stage: Few, Shapes: []string{"nft", "iptables-nft"},
		AtMost: 0.5, PeakMiB: peakMiB, Times: 4,
		Asked: "ntdiag explain -o json FLOW", Answer: answerExplain,
	},
	{
		Name: "version", Work: "`version`",
		Ours: []string{"ntdiag version"}, Theirs: []string{"conntrack --version"}, Stage: Bare,
		Within: 10 * time.Millisecond, Times: 4,
	},
}

// on tells whether the row is measured with rules of that shape; first is the
// first of those that are.
func (r *Row) on(shape, first string) bool {
	if r.Shapes == nil {
		return shape == first
	}
	for _, s := range r.Shapes {
		if s == shape {
			return true
		}
	}
	return false
}

func (r *Row) runs(n int) int { return n * max(r.Times, 1) }
