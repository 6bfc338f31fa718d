package explain

import (
	"slices"

	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/walk"
)

// follows tells whether c must be applied once its one open rule matched. It
// need not where a verdict map may have led elsewhere, or where a rule before c
// may have ended the way.
func follows(c *walk.Candidate) bool {
	path := append(slices.Clone(c.Via), c.Rule)
	at := slices.Index(path, c.Open[0])
	if at < 0 {
		return false
	}
	for ; at < len(path)-1; at++ {
		if slices.ContainsFunc(path[at].Statements, isMap) {
			return false
		}
		next := path[at+1]
		for _, r := range next.Chain.Rules {
			if r == next {
				break
			}
			if mayEnd(r, 0) {
				return false
			}
		}
	}
	return true
}

func isMap(s rules.Statement) bool {
	_, ok := s.(*rules.VerdictMap)
	return ok
}

const maxDepth = 16 // NFT_JUMP_STACK_SIZE

// mayEnd tells whether a packet that comes to r may not come to the next rule.
// At depth 0 a return counts, below it only leads back.
func mayEnd(r *rules.Rule, depth int) bool {
	for _, s := range r.Statements {
		switch s := s.(type) {
		case *rules.NAT, *rules.Reject, *rules.VerdictMap, *rules.Queue, *rules.Fwd, *rules.Synproxy:
			return true
		case *rules.ObjRef:
			if s.Type == rules.ObjectSynproxy {
				return true
			}
		case *rules.Opaque:
			if s.MayEnd || s.MayNAT {
				return true
			}
		case *rules.Verdict:
			if verdictEnds(s, depth) {
				return true
			}
		}
	}
	return false
}

func verdictEnds(v *rules.Verdict, depth int) bool {
	switch v.Code {
	case rules.VerdictContinue, rules.VerdictBreak:
		return false
	case rules.VerdictReturn:
		return depth == 0
	case rules.VerdictJump:
		return v.Chain == nil || depth >= maxDepth ||
			slices.ContainsFunc(v.Chain.Rules, func(r *rules.Rule) bool { return mayEnd(r, depth+1) })
	}
	return true
}
