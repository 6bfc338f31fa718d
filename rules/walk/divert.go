package walk

import "github.com/ntdiag/ntdiag/rules"

// taken: where the condition holds, the packet is taken away (NF_STOLEN).
func (e *ruleRun) taken(s rules.Condition) {
	e.condition(s, s.Test(&e.cur.p))
	if e.cur.live.Truth != rules.No {
		e.drop(s)
	}
}

// queue is nft_queue_eval. What the program lets go on (NF_ACCEPT, nf_reinject)
// meets the next chain; from inside the nat dispatcher it goes past the other
// nat chains, without a NAT. Where it has the hook run once more (NF_REPEAT),
// the same rules are met again, and this one not.
func (e *ruleRun) queue(s *rules.Queue) {
	e.condition(s, s.Test(&e.cur.p))
	if e.cur.live.Truth == rules.No {
		return
	}
	if e.opt.Choose != nil {
		ways := []Way{{Kind: Accepts}, {Kind: Queues}}
		if e.choose(s, rules.Value{}, rules.Answer{Unknown: rules.Of(rules.FromQueue)}, ways).Kind == Queues {
			e.drop(s)
			return
		}
	}
	e.ended = true
	s.SetBack(&e.cur.p)
	if e.inNAT {
		e.rewritten.meet(e.cur)
	} else {
		e.accepted.meet(e.cur)
	}
	if e.opt.Choose != nil {
		e.cur.live = dead
		return
	}
	e.cur.maybe(rules.Answer{Unknown: rules.Of(rules.FromQueue)})
}
