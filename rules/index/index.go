// Package index is the compiled form of a ruleset: which rules of a chain a
// packet can match, without trying each.
//
// It is a filter, not a second evaluator. For a packet it yields, in order, the
// rules of a chain but those that fail at a condition which is plainly decided
// before they have done anything, and whose failing says nothing that is not
// known already: no assumption decided it that has not decided something
// before. What it yields is evaluated as ever.
package index

import (
	"sync/atomic"

	"github.com/ntdiag/ntdiag/rules"
)

// FewRules are looked at one by one faster than a filter is asked.
const FewRules = 8

// Index has the filters of the chains of one ruleset. It is safe for concurrent
// use.
type Index struct {
	chains map[*rules.Chain]*entry
	least  int
}

type entry struct{ built atomic.Pointer[Chain] }

// New prepares filters for the chains of least rules or more; they are built
// when they are first asked for. The ruleset is not to be changed from then on.
func New(rs *rules.Ruleset, least int) *Index {
	ix := &Index{chains: map[*rules.Chain]*entry{}, least: max(least, 1)}
	for _, t := range rs.Tables {
		for _, c := range t.Chains {
			if len(c.Rules) >= ix.least {
				ix.chains[c] = &entry{}
			}
		}
	}
	return ix
}

// Chain is the filter of c, nil where every rule has to be looked at.
func (ix *Index) Chain(c *rules.Chain) *Chain {
	if ix == nil || len(c.Rules) < ix.least {
		return nil
	}
	e := ix.chains[c]
	if e == nil {
		return nil
	}
	built := e.built.Load()
	if built == nil {
		built = compile(c.Rules)
		e.built.Store(built)
	}
	if len(built.parts) == 0 {
		return nil
	}
	return built
}

// Chain is the filter of one chain. Each rule stands in one of its parts, or in
// always.
type Chain struct {
	n      int
	fields []field
	parts  []part
	always []int32 // rules that are looked at whatever the packet is
	guards []guard
}

// part are the rules that are told apart by one field.
type part struct {
	field int
	all   []int32
	exact table
	// bounds are where elementary intervals begin, in ascending order; within
	// has the rules of each.
	bounds []word
	within [][]int32
}

// guard is what rules ask before the condition that they are told apart by:
// they cannot be left out while it may hold, or fail, in a way that is to be
// told.
type guard struct {
	field int // decides it where that is settled; -1 for none
	// cond is nil where it stands for many conditions on the field.
	cond  rules.Condition
	loud  bool // see Loud
	rules []int32
}
