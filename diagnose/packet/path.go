package packet

import (
	"encoding/binary"

	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/nft"
	"github.com/ntdiag/ntdiag/rules/walk"
)

// Step is one rule or chain end that the packet passes.
type Step struct {
	Hook   rules.Hook
	Chain  *rules.Chain
	Rule   *rules.Rule // nil for the policy
	Result string      // match, no-match, unknown, policy
	Why    string
}

var resultNames = map[rules.Truth]string{rules.Yes: "match", rules.No: "no-match", rules.Unknown: "unknown"}

// Path is everything that a walk looked at, in order.
func Path(looked []walk.Step, o binary.ByteOrder) []Step {
	out := make([]Step, 0, len(looked))
	for i := range looked {
		out = append(out, NewStep(&looked[i], o))
	}
	return out
}

// NewStep tells one step of a walk.
func NewStep(s *walk.Step, o binary.ByteOrder) Step {
	step := Step{Hook: s.Hook, Chain: s.Chain, Rule: s.Rule, Result: resultNames[s.Result]}
	switch {
	case s.Rule == nil:
		step.Result, step.Why = "policy", s.Chain.Base.Policy.String()
	case s.Result == rules.No && setsNothing(s):
		step.Result, step.Why = resultNames[rules.Yes], "sets nothing: there is no entry"
	case s.Result != rules.Yes:
		step.Why = Why(s, o)
	}
	return step
}

// setsNothing tells whether all conditions held and what was to be set could
// not be loaded: a target of xtables does nothing then, where an expression of
// nf_tables ends the rule.
func setsNothing(s *walk.Step) bool {
	_, assign := s.Failed.(*rules.Assign)
	return assign && s.Rule.Chain.Table != nil && s.Rule.Chain.Table.Backend != rules.BackendNft
}

// Why is the first condition that failed, or that is not known.
func Why(s *walk.Step, o binary.ByteOrder) string {
	if s.Failed == nil {
		return ""
	}
	if s.Result == rules.Unknown && s.Got.N == 0 {
		return nft.ConditionIn(s.Rule, s.Failed, o) + " not known"
	}
	return nft.MissIn(s.Rule, s.Failed, &s.Got, o)
}

// NATBearing tells whether a rule that failed could have led to a NAT at hook h.
func NATBearing(r *rules.Rule, h rules.Hook) bool {
	for _, s := range r.Statements {
		switch s := s.(type) {
		case *rules.NAT:
			_, ok := s.Kind.At(h)
			return ok
		case *rules.Verdict:
			if s.Code == rules.VerdictJump || s.Code == rules.VerdictGoto {
				return inNATChain(r)
			}
		case *rules.VerdictMap:
			return inNATChain(r)
		}
	}
	return false
}

func inNATChain(r *rules.Rule) bool {
	return r.Chain.Base != nil && r.Chain.Base.Type == rules.ChainNAT
}
