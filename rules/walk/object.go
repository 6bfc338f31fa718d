package walk

import "github.com/ntdiag/ntdiag/rules"

// object applies a named object (nft_objref_eval), or the one that a map
// yields (nft_objref_map_eval): without an element the rule ends.
func (e *ruleRun) object(s *rules.ObjRef) {
	if s.Set != nil && s.Key != nil {
		key := s.Key.Eval(&e.cur.p)
		a, _ := s.Set.Then(&e.cur.p, &key)
		e.condition(s, a)
	}
	if e.cur.live.Truth == rules.No {
		return
	}
	switch s.Type {
	case rules.ObjectLimit, rules.ObjectConnlimit:
		e.condition(s, rules.Answer{Unknown: rules.Of(rules.FromLimit)})
	case rules.ObjectQuota:
		e.condition(s, rules.Answer{Unknown: rules.Of(rules.FromQuota)})
	case rules.ObjectCtExpect:
		// nft_ct_expect_obj_eval: without an entry the rule ends; how many
		// were expected then, nothing tells
		if e.cur.p.Tracked == rules.No {
			e.condition(s, rules.Answer{Truth: rules.No})
			return
		}
		e.condition(s, rules.Answer{Unknown: rules.Of(rules.FromLimit)})
	case rules.ObjectSynproxy:
		e.taken(&rules.Synproxy{Span: s.Span})
	}
}
