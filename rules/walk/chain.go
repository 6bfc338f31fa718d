package walk

import (
	"net/netip"
	"sync"

	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/index"
)

// frame is the room that one chain being run takes. States are large: rooms are
// used again, and a state that goes elsewhere is handed over, not copied. What
// is dead is not cleared.
type frame struct {
	cur *state // the way through; at the end of the chain, that out of it
	// accepted and rewritten are further ways out: a NAT statement was applied to the
	// latter. returned are the ways that go on behind the chain, and skipped
	// those past the rest of the rule.
	accepted, rewritten, returned, skipped *state
	rule                                   ruleRun // the rule that is run
	filter                                 index.Filter
}

var frames = sync.Pool{New: func() any {
	return &frame{accepted: new(state), rewritten: new(state), returned: new(state), skipped: new(state)}
}}

// free gives the room back; nothing may hold a part of it.
func (f *frame) free() { frames.Put(f) }

// chain is nft_do_chain for one chain: rule after rule until none is left on
// any way. It takes the state over. The caller takes what it needs of the
// frame's ways out, and frees it.
func (x *run) chain(c *rules.Chain, in *state, depth int) *frame {
	if x.w.enter != nil {
		x.w.enter(c)
	}
	f := frames.Get().(*frame)
	f.cur = in
	f.accepted.live, f.rewritten.live, f.returned.live = dead, dead, dead
	x.follow(c, f, depth)
	give(&f.cur, &f.returned)
	return f
}

func (x *run) follow(c *rules.Chain, f *frame, depth int) {
	filter := x.filter(c, f)
	for at := 0; at < len(c.Rules) && f.cur.live.Truth != rules.No; at++ {
		next := at
		if filter != nil {
			next = filter.Next(at)
		}
		if k := x.beyond(c, at, next, depth); k >= 0 {
			x.unfollowed(c.Rules[k], f)
			return
		}
		if at = next; at == len(c.Rules) {
			return
		}
		ran := !x.skips(c.Rules[at], f.cur)
		if ran {
			x.steps += forkSteps
			x.rule(c.Rules[at], f, depth)
		}
		if filter != nil && (ran || filter.Outdated(x.res.Used)) {
			filter.Begin(&f.cur.p, x.res.Used, at+1)
		}
	}
}

// filter is that of the chain, nil where each rule is to be looked at.
func (x *run) filter(c *rules.Chain, f *frame) *index.Filter {
	if x.opt.Trace != nil {
		return nil // every rule that fails is told of
	}
	compiled := x.w.index.Chain(c)
	if compiled == nil {
		return nil
	}
	f.filter.Of(compiled)
	f.filter.Begin(&f.cur.p, x.res.Used, 0)
	return &f.filter
}

// skips tells whether the rule fails at a decided condition before it has done
// anything: most rules do, and need no fork of the state.
func (x *run) skips(r *rules.Rule, cur *state) bool {
	if x.opt.Without[r] {
		return true
	}
	loud, held := false, rules.Sources(0)
	for _, s := range r.Statements {
		switch index.LookAt(s) {
		case index.Ends:
			return false
		case index.Passes:
			continue
		case index.Remarks:
			loud = true
			continue
		case index.AsksLoud:
			loud = true
		}
		a := s.(rules.Condition).Test(&cur.p)
		switch a.Truth {
		case rules.Yes:
			held |= a.Assumed
			continue
		case rules.Unknown:
			return false
		}
		x.res.Used |= a.Assumed
		if loud {
			x.res.Used |= held
		}
		if x.opt.Trace != nil {
			x.trace(Step{Chain: r.Chain, Rule: r, Result: rules.No, Failed: s, Got: gotOf(s, &cur.p)})
		}
		return true
	}
	return false
}

// gotOf is what a condition looks at.
func gotOf(s rules.Statement, p *rules.Packet) (v rules.Value) {
	if x := rules.Subject(s); x != nil {
		v = x.Eval(p)
	}
	return v
}

// ruleRun is one rule being evaluated: the frame's cur goes on with the next
// statement, its skipped with the next rule.
type ruleRun struct {
	*run
	*frame
	r      *rules.Rule
	entry  rules.Answer // how the rule itself was reached
	depth  int
	failed rules.Statement
	got    rules.Value
	result rules.Truth
	went   rules.Truth // see Step.Taken
	told   bool        // the step has been traced
	ended  bool        // some way left the chain from here
}

// begin makes it one of another rule.
func (e *ruleRun) begin(x *run, f *frame, r *rules.Rule, depth int) {
	e.run, e.frame, e.r, e.entry, e.depth = x, f, r, f.cur.live, depth
	e.failed, e.result, e.went, e.told, e.ended = nil, rules.Yes, rules.Unknown, false, false
	if x.opt.Trace != nil { // nobody else looks at it
		e.got = rules.Value{}
	}
}

// rule evaluates one rule; the way on to the next is the frame's way through.
func (x *run) rule(r *rules.Rule, f *frame, depth int) {
	e := &f.rule
	e.begin(x, f, r, depth)
	f.skipped.live = dead
	for _, s := range r.Statements {
		if f.cur.live.Truth == rules.No {
			break
		}
		e.statement(s)
	}
	e.tell()
	give(&f.cur, &f.skipped)
	if !e.ended && f.cur.live.Truth != rules.No {
		// both ways of an open condition come together again
		f.cur.live = e.entry
	}
}

// tell traces the rule, once: before a chain that it jumps to.
func (e *ruleRun) tell() {
	if !e.told {
		e.told = true
		e.trace(Step{Chain: e.r.Chain, Rule: e.r, Result: e.result, Taken: e.went, Failed: e.failed, Got: e.got})
	}
}

// statement takes one step. Order of the cases: what ends a rule, what
// changes state, what is a condition.
func (e *ruleRun) statement(s rules.Statement) {
	switch s := s.(type) {
	case *rules.Verdict:
		e.verdict(s)
	case *rules.VerdictMap:
		e.verdictMap(s)
	case *rules.NAT:
		e.nat(s)
	case *rules.Reject:
		e.drop(s)
	case *rules.Notrack:
		e.notrack()
	case *rules.Assign:
		e.assign(s)
	case *rules.ObjRef:
		e.object(s)
	case *rules.TProxy:
		e.condition(s, s.Test(&e.cur.p))
		e.cur.p.TProxied = true // where it does not hold, this way ended
	case *rules.Fwd:
		e.taken(s)
	case *rules.Synproxy:
		e.taken(s)
	case *rules.Queue:
		e.queue(s)
	case *rules.Opaque:
		e.opaque(s)
	case rules.Effect:
		e.writes++
		s.Apply(&e.cur.p)
	case rules.Condition:
		e.condition(s, s.Test(&e.cur.p))
	}
}

// condition takes the rule on, ends it, or forks.
func (e *ruleRun) condition(s rules.Statement, a rules.Answer) {
	forced := e.opt.Force[e.r]
	if a.Truth == rules.Unknown && forced != rules.Unknown {
		a = rules.Answer{Truth: forced}
		if forced == rules.Yes {
			refine(&e.cur.p, s)
		}
	}
	chosen := a.Truth == rules.Unknown && e.opt.Choose != nil
	if chosen {
		a = e.decide(s, a)
		refineAs(&e.cur.p, s, a.Truth == rules.Yes)
	}
	e.res.Used |= a.Assumed
	switch a.Truth {
	case rules.Yes:
		e.cur.live.Assumed |= a.Assumed
	case rules.No:
		if !chosen {
			e.miss(s, rules.No)
		}
		e.skip()
	case rules.Unknown:
		e.miss(s, rules.Unknown)
		e.pass(a)
		e.cur.maybe(a)
		refine(&e.cur.p, s)
	}
}

func (e *ruleRun) miss(s rules.Statement, t rules.Truth) {
	if t == rules.No || e.result == rules.Yes {
		e.result, e.failed = t, s
		if x := rules.Subject(s); x != nil && e.opt.Trace != nil {
			e.got = x.Eval(&e.cur.p)
		}
	}
}

// pass has a way go on with the next rule, as the one that does not may.
func (e *ruleRun) pass(why rules.Answer) {
	if e.skipped.live.Truth == rules.No {
		*e.skipped = *e.cur
		e.skipped.maybe(why)
		return
	}
	was := e.cur.live
	e.cur.maybe(why)
	e.skipped.meet(e.cur)
	e.cur.live = was
}

// skip ends the rule (NFT_BREAK): on with the next, keeping what was set.
func (e *ruleRun) skip() { give(&e.skipped, &e.cur) }

// drop ends the packet's way by s.
func (e *ruleRun) drop(s rules.Statement) {
	e.end(End{Chain: e.r.Chain, Rule: e.r, Statement: s})
	e.lose()
}

// lose ends a way that was not the packet's.
func (e *ruleRun) lose() {
	e.ended = true
	e.cur.live = dead
}

func (e *ruleRun) accept() {
	e.ended = true
	give(&e.accepted, &e.cur)
}

// notrack is nft_notrack_eval: once the packet has an entry, or a template
// for one, it does nothing. A packet that is taken away makes no entry.
func (e *ruleRun) notrack() {
	p := &e.cur.p
	switch {
	case p.Tracked != rules.No || p.Template == rules.HasTemplate:
	case p.Template == rules.MaybeTemplate && e.opt.Ahead:
		p.Untracked = rules.Unknown
	case p.Template == rules.MaybeTemplate:
		e.cur.maybe(rules.Answer{Unknown: rules.Of(rules.FromCtState)})
	case e.opt.Ahead:
		p.Untracked = rules.Yes
	default:
		e.lose()
	}
}

// verdict is nf_tables_core.c's switch over regs.verdict.code.
func (e *ruleRun) verdict(v *rules.Verdict) {
	switch v.Code {
	case rules.VerdictContinue:
	case rules.VerdictBreak:
		e.skip()
	case rules.VerdictAccept:
		e.accept()
	case rules.VerdictReturn:
		e.ended = true
		give(&e.returned, &e.cur)
	case rules.VerdictJump, rules.VerdictGoto:
		e.jump(v)
	case rules.VerdictQueue:
		e.queue(&rules.Queue{Span: v.Span})
	default: // drop, stolen
		e.drop(v)
	}
}

func (e *ruleRun) jump(v *rules.Verdict) {
	if v.Chain == nil {
		e.condition(v, rules.Answer{Unknown: rules.Of(rules.FromOpaque)})
		return
	}
	e.via = append(e.via, e.r)
	open := len(e.open)
	if e.result == rules.Unknown {
		e.open = append(e.open, e.r)
	}
	e.tell()
	was := e.cur.live
	sub := e.chain(v.Chain, e.cur, e.depth+1)
	e.via, e.open = e.via[:len(e.via)-1], e.open[:open]
	give(&e.accepted, &sub.accepted)
	give(&e.rewritten, &sub.rewritten)
	e.cur = sub.cur
	if e.cur.live != was {
		e.ended = true
	}
	sub.free()
	if v.Code == rules.VerdictGoto {
		e.ended = true
		give(&e.returned, &e.cur)
	}
}

// verdictMap takes each verdict that the key can yield.
func (e *ruleRun) verdictMap(m *rules.VerdictMap) {
	key := m.Key.Eval(&e.cur.p)
	a, matches := m.Set.Then(&e.cur.p, &key)
	if len(matches) == 0 {
		a.Truth = rules.No // what else it may have held, nothing tells
	}
	e.res.Used |= a.Assumed
	if a.Truth == rules.No {
		e.miss(m, rules.No)
		e.skip()
		return
	}
	if into := e.opt.Into[e.r]; into != nil && (a.Truth == rules.Unknown || len(matches) > 1) {
		a, matches = heldTo(into, a, matches)
	}
	if e.opt.Choose != nil && (a.Truth == rules.Unknown || len(matches) > 1) {
		if a, matches = e.chooseElement(m, key, a, matches); a.Truth == rules.No {
			e.skip()
			return
		}
	}
	if a.Truth == rules.Yes && len(matches) == 1 {
		e.cur.live.Assumed |= a.Assumed
		if matches[0].Verdict != nil {
			e.verdict(matches[0].Verdict)
		}
		return
	}
	e.miss(m, rules.Unknown)
	_, open := key.Sources()
	a.Unknown |= open
	if a.Truth == rules.Unknown {
		e.pass(a)
	}
	from := *e.cur
	from.maybe(a)
	after := state{live: dead}
	for _, el := range matches {
		*e.cur = from
		if el.Verdict != nil {
			e.verdict(el.Verdict)
		}
		after.meet(e.cur)
	}
	*e.cur = after
}

// heldTo keeps the elements that lead to the chain of the hypothesis.
func heldTo(c *rules.Chain, a rules.Answer, matches []*rules.Element) (rules.Answer, []*rules.Element) {
	for _, el := range matches {
		if el.Verdict != nil && el.Verdict.Chain == c {
			return rules.Answer{Truth: rules.Yes}, []*rules.Element{el}
		}
	}
	return a, matches
}

// nat is nft_nat_eval and its kin: the packet is accepted and no other nat
// chain is asked, whatever the rewrite changes.
func (e *ruleRun) nat(n *rules.NAT) {
	if !n.Family.Sees(e.cur.p.Family) && n.Family != rules.FamilyUnspec {
		return // nft_nat_inet_eval: for the other family it does nothing
	}
	if a, why := e.operands(n); why != nil {
		e.condition(why, a)
		if e.cur.live.Truth == rules.No {
			return
		}
	}
	if _, ok := n.Kind.At(e.hook); !ok || e.r.Chain == nil {
		return
	}
	if n.Kind == rules.Masquerade && e.cur.p.Ct.Original.Src == netip.IPv4Unspecified() {
		e.accept() // nf_nat_masquerade_ipv4 leaves it alone, and other chains are asked
		return
	}
	e.add(Candidate{Rule: e.r, NAT: n, Targets: e.chooseTarget(n, e.targets(n))})
	e.ended = true
	give(&e.rewritten, &e.cur)
}

func (e *ruleRun) add(c Candidate) {
	c.Hook, c.Via, c.Answer = e.hook, append([]*rules.Rule(nil), e.via...), e.cur.live
	c.Open = append([]*rules.Rule(nil), e.open...)
	if e.result == rules.Unknown {
		c.Open = append(c.Open, e.r)
	}
	e.res.Candidates = append(e.res.Candidates, c)
	if e.opt.Candidate != nil {
		e.opt.Candidate(&e.res.Candidates[len(e.res.Candidates)-1])
	}
}

// operands tells whether an operand may be missing, and what it is looked up
// in: a map without the key ends the rule.
func (e *ruleRun) operands(n *rules.NAT) (rules.Answer, rules.Statement) {
	for _, x := range []rules.Expr{n.AddrMin, n.PortMin} {
		if x == nil {
			continue
		}
		switch v := x.Eval(&e.cur.p); v.Absent {
		case rules.Yes:
			return rules.Answer{Truth: rules.No, Assumed: v.AbsentBy}, lookupIn(n, x)
		case rules.Unknown:
			return rules.Answer{Unknown: v.AbsentBy}, lookupIn(n, x)
		}
	}
	return rules.Answer{}, nil
}

// lookupIn is the lookup that an operand stems from, as a condition.
func lookupIn(n *rules.NAT, x rules.Expr) rules.Statement {
	if s, ok := x.(*rules.Slice); ok {
		x = s.X
	}
	if m, ok := x.(*rules.MapLookup); ok {
		return &rules.InSet{Span: n.Span, Key: m.Key, Set: m.Set}
	}
	return n
}

// opaque: it may hold or not, may end the packet's way, and in a nat chain
// may be the NAT itself.
func (e *ruleRun) opaque(o *rules.Opaque) {
	if e.opt.Choose != nil {
		e.chooseOpaque(o)
		return
	}
	if o.MayNAT && e.r.Chain.Base == nil || o.MayNAT && e.r.Chain.Base.Type == rules.ChainNAT {
		e.add(Candidate{Rule: e.r, Opaque: o, Targets: []Target{{AnyAddr: true, AnyPort: true}}})
		e.ended = true
		give(&e.rewritten, &e.cur)
		return
	}
	e.condition(o, rules.Answer{Unknown: rules.Of(rules.FromOpaque)})
	if o.MayEnd && e.cur.live.Truth != rules.No {
		e.ended = true
		e.accepted.meet(e.cur)
	}
}
