package walk

import "github.com/ntdiag/ntdiag/rules"

// Bounds on one hook. The kernel lets no chain lead back to itself, but a table
// whose chains jump twice to the next has twice as many ways at each: a packet
// of which little is known would be followed on all of them. What lies beyond
// a bound is not known.
const (
	maxSteps      = 1 << 21 // rules that fail at once; any other counts for forkSteps
	forkSteps     = 1 << 5
	maxCandidates = 1 << 16
	// maxDepth is NFT_JUMP_STACK_SIZE; iptables-legacy has room for as many
	// jumps as a table needs (mark_source_chains).
	maxDepth       = 16
	maxDepthLegacy = 256
)

// beyond counts the rules of the chain from at on, up to and with next, and
// says which is the first that is one too many; -1 where none is. Those before
// next fail at once, so that only their number counts.
func (x *run) beyond(c *rules.Chain, at, next, depth int) int {
	most := maxDepth
	if c.Table != nil && c.Table.Backend == rules.BackendIptablesLegacy {
		most = maxDepthLegacy
	}
	n := min(next+1, len(c.Rules)) - at
	if depth > most || len(x.res.Candidates) >= maxCandidates {
		return at
	}
	if left := x.w.steps - x.steps; n > left {
		x.steps = x.w.steps
		return at + max(left, 0)
	}
	x.steps += n
	return -1
}

// unfollowed is the state behind rules that were not looked at, r the first of
// them: they may have set marks, ended the way, set up a NAT.
func (x *run) unfollowed(r *rules.Rule, f *frame) {
	in := f.cur
	in.maybe(rules.Answer{Unknown: rules.Of(rules.FromOpaque)})
	for _, v := range [...]*rules.Value{&in.p.Mark, &in.p.Priority, &in.p.Ct.Mark, &in.p.Ct.Labels} {
		*v = rules.UnknownBytes(v.N, rules.FromOpaque)
	}
	f.accepted.meet(in)
	if !x.inNAT {
		return
	}
	f.rewritten.meet(in)
	if !x.cut {
		x.cut = true
		e := &f.rule
		e.begin(x, f, r, 0)
		e.result = rules.Unknown
		e.add(Candidate{
			Rule: r, Targets: []Target{{AnyAddr: true, AnyPort: true}},
			Opaque: &rules.Opaque{Name: "rules", Why: "more rules than are followed", MayNAT: true, MayEnd: true},
		})
	}
}
