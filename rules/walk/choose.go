package walk

import (
	"slices"

	"github.com/ntdiag/ntdiag/rules"
)

// Choice is a point of the way that nothing known decides: the walk goes one
// of Ways, which Options.Choose names.
type Choice struct {
	Hook rules.Hook
	Rule *rules.Rule // nil, as Statement, where no rule decides
	// Statement is the condition, verdict map, assignment or NAT statement;
	// for a NAT that takes its operands from a map, the lookup as an *InSet.
	Statement rules.Statement
	// Got is what it looks at; N is 0 where that is no value.
	Got    rules.Value
	Answer rules.Answer // what keeps it open
	Ways   []Way
	// Writes counts the values that this walk over the hook has written so far
	// into the packet, or without knowing them: what was learnt of a field
	// before may be of another value.
	Writes int
}

// Kind is what a Way says of its Choice.
type Kind uint8

const (
	Holds   Kind = iota // the condition holds
	Fails               // it does not, or no element of the map matches
	Takes               // the key falls on Element
	Is                  // the expression yields Value
	Accepts             // what is not understood accepts the packet
	Drops               // it drops the packet
	Rewrite             // it sets up a NAT
	Queues              // the program behind a queue never lets it go on
	Either              // no rule decides it: Text says what it is
)

// Way is one way to go on.
type Way struct {
	Kind    Kind
	Element *rules.Element
	Value   rules.Value
	Text    string
	// Share is the part of packets that go it, where the rule states one;
	// else 0.
	Share float64
}

// choose asks which way to go, and notes that the rule was open.
func (e *ruleRun) choose(s rules.Statement, got rules.Value, a rules.Answer, ways []Way) *Way {
	e.miss(s, rules.Unknown)
	i := e.opt.Choose(&Choice{Hook: e.hook, Rule: e.r, Statement: s, Got: got, Answer: a, Ways: ways, Writes: e.writes})
	return &ways[min(max(i, 0), len(ways)-1)]
}

// pick asks which of n ways to go that no rule decides.
func (x *run) pick(n int, text func(int) string) int {
	if n < 2 {
		return 0
	}
	ways := make([]Way, n)
	for i := range ways {
		ways[i] = Way{Kind: Either, Text: text(i)}
	}
	return min(max(x.opt.Choose(&Choice{Hook: x.hook, Ways: ways}), 0), n-1)
}

// decide makes an open condition hold or fail. A rule that goes on to nothing
// that a later one could see is passed by without asking.
func (e *ruleRun) decide(s rules.Statement, a rules.Answer) rules.Answer {
	if e.inert(s) {
		e.miss(s, rules.Unknown)
		e.went = rules.No
		return rules.Answer{Truth: rules.No}
	}
	var got rules.Value
	if x := rules.Subject(s); x != nil {
		got = x.Eval(&e.cur.p)
	}
	p := holdShare(s, &got)
	ways := []Way{{Kind: Holds, Share: p}, {Kind: Fails}}
	if p > 0 {
		ways[1].Share = 1 - p
	}
	if e.choose(s, got, a, ways).Kind == Holds {
		e.went = rules.Yes
		return rules.Answer{Truth: rules.Yes}
	}
	e.went = rules.No
	return rules.Answer{Truth: rules.No}
}

// inert tells whether nothing that comes of s is seen by the packet or by
// another rule.
func (e *ruleRun) inert(s rules.Statement) bool {
	at := slices.Index(e.r.Statements, s)
	if at < 0 {
		return false
	}
	for _, rest := range e.r.Statements[at:] {
		switch rest := rest.(type) {
		case *rules.Counter, *rules.Last, *rules.Log, *rules.Load, *rules.Remark, *rules.Dynset:
		case *rules.Opaque, *rules.TProxy, *rules.Fwd, *rules.Synproxy, *rules.Queue:
			return false
		case *rules.Verdict:
			if rest.Code != rules.VerdictContinue {
				return false
			}
		case rules.Condition:
		default:
			return false
		}
	}
	return true
}

// elementWays are the ways of a key that may fall on any of matches.
func elementWays(key *rules.Value, set *rules.Set, matches []*rules.Element) []Way {
	ways := make([]Way, len(matches))
	at := make(map[*rules.Element]int, len(matches))
	for i, el := range matches {
		ways[i] = Way{Kind: Takes, Element: el}
		at[el] = i
	}
	if !byLot(key) {
		return ways
	}
	hits := 0
	counts := make([]int, len(ways))
	for i := range key.OneOf {
		if _, m := set.Find(&key.OneOf[i]); len(m) == 1 {
			if k, ok := at[m[0]]; ok {
				counts[k]++
				hits++
			}
		}
	}
	for i := range ways {
		ways[i].Share = float64(counts[i]) / float64(max(hits, 1))
	}
	return ways
}

// byLot tells whether the alternatives of v are equally likely.
func byLot(v *rules.Value) bool {
	return len(v.OneOf) > 0 && v.UnknownBy == rules.Of(rules.FromRandom)
}

// holdShare is the part of packets for which a condition holds, where the rule
// leaves it to chance; 0 where it does not say.
func holdShare(s rules.Statement, got *rules.Value) float64 {
	if c, ok := s.(*rules.Chance); ok {
		return c.Probability()
	}
	if m, ok := s.(*rules.Match); ok && prandom(m.Left) {
		return randomShare(m)
	}
	if !byLot(got) {
		return 0
	}
	ask := alternativeTest(s)
	if ask == nil {
		return 0
	}
	n := 0
	for i := range got.OneOf {
		switch ask(&got.OneOf[i]).Truth {
		case rules.Yes:
			n++
		case rules.Unknown:
			return 0
		}
	}
	return float64(n) / float64(len(got.OneOf))
}

// alternativeTest is the condition as a question about one value.
func alternativeTest(s rules.Statement) func(*rules.Value) rules.Answer {
	switch s := s.(type) {
	case *rules.Match:
		return func(v *rules.Value) rules.Answer { return v.Compare(s.Op, s.Right) }
	case *rules.MatchRange:
		return func(v *rules.Value) rules.Answer { return invert(v.Within(s.Lo, s.Hi), s.Invert) }
	case *rules.InSet:
		return func(v *rules.Value) rules.Answer {
			a, _ := s.Set.Find(v)
			return invert(a, s.Invert)
		}
	}
	return nil
}

func invert(a rules.Answer, not bool) rules.Answer {
	if not {
		return a.Not()
	}
	return a
}

// prandom tells whether x is the 32 random bits of meta random.
func prandom(x rules.Expr) bool {
	if b, ok := x.(*rules.Byteorder); ok && b.Size == 4 {
		x = b.X
	}
	m, ok := x.(*rules.Meta)
	return ok && m.Key == rules.MetaPrandom
}

// randomShare is the part of all numbers of 32 bits for which m holds.
func randomShare(m *rules.Match) float64 {
	if len(m.Right) != 4 {
		return 0
	}
	n := float64(uint32(m.Right[0])<<24 | uint32(m.Right[1])<<16 | uint32(m.Right[2])<<8 | uint32(m.Right[3]))
	const all = 1 << 32
	return [...]float64{
		rules.CmpEq: 1 / float64(all), rules.CmpNeq: 1 - 1/float64(all),
		rules.CmpLt: n / all, rules.CmpLte: (n + 1) / all, rules.CmpGt: 1 - (n+1)/all, rules.CmpGte: 1 - n/all,
	}[m.Op]
}

// chooseElement leaves one of the elements that an open key may fall on, or
// none.
func (e *ruleRun) chooseElement(m *rules.VerdictMap, key rules.Value, a rules.Answer, matches []*rules.Element) (rules.Answer, []*rules.Element) {
	ways := elementWays(&key, m.Set, matches)
	if a.Truth == rules.Unknown {
		p := holdShare(&rules.InSet{Key: m.Key, Set: m.Set}, &key)
		for i := range ways {
			ways[i].Share *= p
		}
		none := Way{Kind: Fails}
		if p > 0 {
			none.Share = 1 - p
		}
		ways = append(ways, none)
	}
	way := e.choose(m, key, a, ways)
	if way.Kind == Fails {
		e.went = rules.No
		return rules.Answer{Truth: rules.No}, nil
	}
	e.went = rules.Yes
	return rules.Answer{Truth: rules.Yes}, []*rules.Element{way.Element}
}

// chooseTarget leaves one of the targets that a lookup with an open key may
// yield.
func (e *ruleRun) chooseTarget(n *rules.NAT, targets []Target) []Target {
	if e.opt.Choose == nil || len(targets) < 2 {
		return targets
	}
	var got rules.Value
	ways := make([]Way, len(targets))
	s := rules.Statement(n)
	for _, x := range []rules.Expr{n.AddrMin, n.PortMin} {
		in, ok := lookupIn(n, x).(*rules.InSet)
		if x == nil || !ok {
			continue
		}
		key := in.Key.Eval(&e.cur.p)
		if _, matches := in.Set.Find(&key); len(matches) == len(targets) {
			s, got, ways = in, key, elementWays(&key, in.Set, matches)
			break
		}
	}
	_, open := got.Sources()
	way := e.choose(s, got, rules.Answer{Unknown: open}, ways)
	for i := range ways {
		if &ways[i] == way {
			return targets[i : i+1]
		}
	}
	return targets[:1]
}

// chooseOpaque goes one of the ways that something not understood can lead.
func (e *ruleRun) chooseOpaque(o *rules.Opaque) {
	ways := []Way{{Kind: Holds}, {Kind: Fails}}
	if o.MayEnd {
		ways = append(ways, Way{Kind: Accepts}, Way{Kind: Drops})
	}
	if o.MayNAT && e.r.Chain.Base == nil || o.MayNAT && e.r.Chain.Base.Type == rules.ChainNAT {
		ways = append(ways, Way{Kind: Rewrite})
	}
	way := e.choose(o, rules.Value{}, rules.Answer{Unknown: rules.Of(rules.FromOpaque)}, ways)
	e.went = rules.Yes
	switch way.Kind {
	case Fails:
		e.went = rules.No
		e.skip()
	case Accepts:
		e.accept()
	case Drops:
		e.drop(o)
	case Rewrite:
		e.add(Candidate{Rule: e.r, Opaque: o, Targets: []Target{{AnyAddr: true, AnyPort: true}}})
		e.ended = true
		give(&e.rewritten, &e.cur)
	}
}
