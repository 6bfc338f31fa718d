package explain

import (
	"slices"

	"github.com/ntdiag/ntdiag/rules"
)

// exemption is the rule that must have kept the packet from the nat rules after
// it in its chain, by accept or return; nil when there is none. It is known
// only where steps were kept.
func exemption(st *stage) *rules.Rule {
	if st.orderOpen || st.refuted {
		return nil
	}
	for _, s := range slices.Backward(st.steps) {
		if s.Rule != nil && s.Result == rules.Yes && lets(s.Rule) && hides(s.Rule, st.hook) {
			return s.Rule
		}
	}
	return nil
}

// lets tells whether the rule ends its chain and lets the packet go on.
func lets(r *rules.Rule) bool {
	return slices.ContainsFunc(r.Statements, func(s rules.Statement) bool {
		v, ok := s.(*rules.Verdict)
		return ok && (v.Code == rules.VerdictAccept || v.Code == rules.VerdictReturn)
	})
}

// hides tells whether rules after r in its chain set up a rewrite at h, or, in
// a base chain of type nat, lead on.
func hides(r *rules.Rule, h rules.Hook) bool {
	base := r.Chain.Base != nil && r.Chain.Base.Type == rules.ChainNAT
	return slices.ContainsFunc(r.Chain.Rules[r.Position:], func(next *rules.Rule) bool {
		return slices.ContainsFunc(next.Statements, func(s rules.Statement) bool {
			switch s := s.(type) {
			case *rules.NAT:
				_, ok := s.Kind.At(h)
				return ok
			case *rules.Verdict:
				return base && s.Chain != nil
			case *rules.VerdictMap:
				return base
			}
			return false
		})
	})
}
