package reach

import (
	"slices"
	"strings"

	"github.com/ntdiag/ntdiag/rules"
)

// level is how far a rule that takes a packet takes it away.
type level uint8

const (
	endsNothing level = iota
	endsChain         // return, goto: the rest of this chain
	endsBase          // accept: the rest of the base chain
	endsNAT           // a NAT statement: the nat chains after it, too
	endsHook          // drop: all later chains
)

// parsed is one rule, taken apart.
type parsed struct {
	// claim holds of every packet for which the rule does anything at all;
	// need of every one that gets to its end.
	claim, need conj
	// exact: need at the beginning of the rule decides that it gets to its end.
	exact bool
	ways  []conj // as in asked
	// written are the places that a packet may carry on to the next rule.
	written place
	// all are the places that it writes to before its end.
	all place
	// acts: it does something before its last condition.
	acts bool
	// mayEnd: something that is not understood may end it, any time after claim.
	mayEnd bool
	// end is what ends the rule, nil when nothing does.
	end rules.Statement
}

// parser reads one rule's statements in order.
type parser struct {
	a       *analysis
	r       *rules.Rule
	out     parsed
	written place // by this rule so far
	pending place // since its last condition
	acted   bool
}

// parse follows the statements of r. What a rule writes is not known
// by its own later conditions.
func (a *analysis) parse(r *rules.Rule) *parsed {
	p := &parser{a: a, r: r, out: parsed{exact: true}}
	for _, s := range r.Statements {
		if p.statement(s) {
			break
		}
	}
	p.out.need = slices.Clip(p.out.need)
	if !p.acted {
		p.out.claim = p.out.need
	}
	if !endsWay(p.out.end) {
		p.out.written |= p.pending // goes on with what was written
	}
	p.out.all, p.out.acts = p.written, p.acted
	return &p.out
}

// endsWay tells whether no packet comes to the next rule after s.
func endsWay(s rules.Statement) bool {
	switch s := s.(type) {
	case *rules.Verdict:
		return s.Code != rules.VerdictJump
	case *rules.NAT, *rules.Reject:
		return true
	}
	return false
}

// statement is true where the rule ends.
func (p *parser) statement(s rules.Statement) bool {
	switch s := s.(type) {
	case *rules.Counter, *rules.Log, *rules.Last:
	case *rules.Remark:
		if s.Name == "TCPMSS" || s.Name == "TCPOPTSTRIP" {
			p.write(inPayload) // TCP options, which other rules can look at
		}
	case *rules.Load:
		p.loads(s.Expr)
	case *rules.Verdict:
		if s.Code == rules.VerdictContinue {
			return false
		}
		if s.Code == rules.VerdictBreak {
			return true
		}
		if s.Code == rules.VerdictQueue {
			p.write(anywhere) // userspace may give back another packet
		}
		p.out.end = s
		return true
	case *rules.NAT:
		return p.nat(s)
	case *rules.Reject:
		p.out.end = s
		return true
	case *rules.VerdictMap:
		p.out.end = s
		return true
	case *rules.Assign:
		p.loads(s.Value)
		p.write(assigned(s))
	case *rules.Notrack:
		p.write(inCt | inCtMark)
	case *rules.Dynset:
		p.act()
		p.cond(nothingKnown)
	case *rules.ObjRef:
		p.object(s)
	case *rules.Opaque:
		p.opaque(s)
	case *rules.Match, *rules.MatchRange, *rules.InSet, *rules.InIPSet, *rules.AllOf, *rules.AnyOf, *rules.NotOf,
		*rules.Fixed, *rules.Open, *rules.Chance, *rules.Cluster, *rules.Limit, *rules.Quota, *rules.Connlimit:
		p.cond(p.a.condition(s.(rules.Condition)))
	default: // queue, tproxy, synproxy, fwd: it may end the way, and do anything
		p.unsure()
	}
	return false
}

func (p *parser) unsure() {
	p.out.mayEnd = true
	p.write(anywhere)
	p.cond(nothingKnown)
}

// cond adds a condition. Of a field that the rule itself has written before,
// nothing is known.
func (p *parser) cond(q asked) {
	if q.need.places()&p.written != 0 {
		q = asked{need: q.need.without(p.written)}
	}
	p.out.written |= p.pending // a packet that fails here carries it on
	p.pending = 0
	for i := range q.need {
		q.need[i].rule = p.r
	}
	for _, w := range q.ways {
		for i := range w {
			w[i].rule = p.r
		}
	}
	if len(q.ways)+len(p.out.ways) == 0 {
		p.out.need, p.out.exact = append(p.out.need, q.need...), p.out.exact && q.exact
		return
	}
	sum := asked{need: p.out.need, exact: p.out.exact, ways: p.out.ways}.and(q)
	p.out.need, p.out.exact, p.out.ways = sum.need, sum.exact, sum.ways
}

// act is the first thing that the rule does.
func (p *parser) act() {
	if !p.acted {
		p.acted, p.out.claim = true, p.out.need
	}
}

func (p *parser) write(to place) {
	p.act()
	p.written |= to
	p.pending |= to
	if to&inPayload != 0 {
		p.cond(nothingKnown) // nft_payload_set can fail
	}
}

// loads: an expression that may have nothing to load ends the rule there.
func (p *parser) loads(x rules.Expr) {
	if !alwaysThere(x) {
		p.cond(nothingKnown)
	}
}

// alwaysThere tells whether x can be loaded from any packet.
func alwaysThere(x rules.Expr) bool {
	switch x := x.(type) {
	case nil, *rules.Const:
		return true
	case *rules.Meta:
		return x.Key == rules.MetaMark || x.Key == rules.MetaPriority || x.Key == rules.MetaNfproto
	case *rules.Bitwise:
		return alwaysThere(x.X)
	case *rules.Shift:
		return alwaysThere(x.X)
	case *rules.Byteorder:
		return alwaysThere(x.X)
	}
	return false
}

func assigned(s *rules.Assign) place {
	switch d := s.Dest.(type) {
	case *rules.Meta:
		if d.Key == rules.MetaMark {
			return inMark
		}
		return inMeta
	case *rules.Ct:
		if d.Key == rules.CtMark || d.Key == rules.CtLabels {
			return inCtMark
		}
		return inCt | inCtMark
	case *rules.Payload, *rules.Exthdr:
		return inPayload
	}
	return anywhere
}

// nat follows nft_nat_inet_eval: for another family than its own the statement
// does nothing, and the rule goes on.
func (p *parser) nat(n *rules.NAT) bool {
	if n.Family != rules.FamilyUnspec && n.Family != rules.FamilyInet {
		if n.Family != p.a.family {
			p.cond(asked{need: conj{{f: p.a.given(metaKey(rules.MetaNfproto), 1), v: point([]byte{byte(n.Family)})}}, exact: true})
			return false
		}
	}
	for _, x := range []rules.Expr{n.AddrMin, n.AddrMax, n.PortMin, n.PortMax} {
		p.loads(x)
	}
	p.out.end = n
	return true
}

func (p *parser) object(s *rules.ObjRef) {
	switch s.Type {
	case rules.ObjectCounter:
	case rules.ObjectCtHelper, rules.ObjectCtTimeout, rules.ObjectCtExpect:
		p.write(inCt)
	default:
		p.act()
		p.cond(nothingKnown)
	}
	if s.Set != nil {
		p.cond(nothingKnown)
	}
}

// opaque: an xtables match only holds or not; anything else may write and end.
func (p *parser) opaque(o *rules.Opaque) {
	if !strings.HasPrefix(o.Name, "match ") || o.MayEnd || o.MayNAT {
		p.unsure()
		return
	}
	p.cond(nothingKnown)
}

// level is how far the end of the rule takes the packet.
func (p *parsed) level(h rules.Hook) level {
	switch s := p.end.(type) {
	case *rules.Reject:
		return endsHook
	case *rules.NAT:
		if _, ok := s.Kind.At(h); !ok {
			return endsNothing
		}
		return endsNAT
	case *rules.Verdict:
		return verdictLevel(s.Code)
	}
	return endsNothing
}

func verdictLevel(c rules.VerdictCode) level {
	switch c {
	case rules.VerdictDrop, rules.VerdictStolen:
		return endsHook
	case rules.VerdictAccept, rules.VerdictQueue:
		return endsBase
	case rules.VerdictReturn, rules.VerdictGoto:
		return endsChain
	}
	return endsNothing
}

// masquerades tells whether the rule leaves packets without a source address
// to the next nat chain (nf_nat_masquerade_ipv4).
func (p *parsed) masquerades() bool {
	n, ok := p.end.(*rules.NAT)
	return ok && n.Kind == rules.Masquerade
}

// takes are the conditions each of which is enough for the rule to take the
// packet; none when that is not known.
func (p *parsed) takes() []conj {
	if !p.exact {
		return nil
	}
	if len(p.ways) > 0 {
		return p.ways
	}
	return []conj{p.need}
}
