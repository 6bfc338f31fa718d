package reach

import (
	"slices"

	"github.com/ntdiag/ntdiag/rules"
)

// maxDepth is NFT_JUMP_STACK_SIZE.
const maxDepth = 16

// chain goes through the rules of c for the packets of s. It tells whether
// every rule below may be met.
func (a *analysis) chain(c *rules.Chain, s *scope, depth int) bool {
	a.res.entered[c] = true
	if known := a.alive[c] && a.sizeOf(c) > maxAgain; known || depth > maxDepth || a.budget <= 0 {
		if !known {
			a.open[c] = true
		}
		s.wrote(a.writesOf(c))
		s.escape(s.need, true)
		return known
	}
	alive := true
	for _, r := range c.Rules {
		a.budget--
		alive = a.rule(r, s, depth) && alive
	}
	a.alive[c] = a.alive[c] || alive
	if a.alive[c] {
		a.writesOf(c) // the rules were read for it
		for _, r := range c.Rules {
			delete(a.parsed, r) // seldom looked at again at this hook
		}
	}
	return alive
}

// maxAgain: chains with more rules below are gone through once more only for
// the sake of rules that were not alive, not for the packets that they take.
const maxAgain = 64

// rule looks at one rule, and at what it leads to.
func (a *analysis) rule(r *rules.Rule, s *scope, depth int) bool {
	p := a.parseOnce(r)
	a.claims = append(append(a.claims[:0], s.need...), p.claim...)
	if d := a.impossible(r, p, s, a.claims); d != nil {
		a.dies(r, d)
		return false
	}
	a.lives(r, &met{hook: a.hook, family: a.family, base: s.base, way: s.need, need: p.need})
	w := &ruleWalk{analysis: a, r: r, p: p, s: s, way: s.need, depth: depth, written: p.written, alive: true}
	switch end := p.end.(type) {
	case *rules.Verdict:
		if end.Code == rules.VerdictJump || end.Code == rules.VerdictGoto {
			w.follow(end.Chain, nil, p.takes())
		}
	case *rules.VerdictMap:
		w.verdicts(end)
	}
	l := p.level(a.hook)
	w.keep(l, p.takes())
	s.wrote(w.written)
	for _, h := range w.kept {
		s.add(h)
	}
	w.leave(l, nil)
	if p.mayEnd {
		unsure := append(slices.Clone(s.need), p.claim...).without(p.all)
		s.escape(unsure, true)
		s.escape(unsure, false)
	}
	return w.alive
}

// leave notes packets that the rule lets go where rules after it do not see
// them, but later chains do. Of them the element holds as well.
func (w *ruleWalk) leave(l level, element conj) {
	if l == endsChain || l == endsBase {
		w.s.escape(w.need(element).without(w.p.all), l == endsBase)
	}
}

// need holds of every packet that gets to the end of the rule, where element
// holds as well.
func (w *ruleWalk) need(element conj) conj { return slices.Concat(w.way, w.p.need, element) }

// ruleWalk is a rule that may be met, and what comes of it.
type ruleWalk struct {
	*analysis
	r       *rules.Rule
	p       *parsed
	s       *scope
	way     conj // holds of every packet that comes to the rule
	depth   int
	written place
	kept    []*hider
	alive   bool
}

// keep notes that the rule takes packets, where what it says of them still
// holds for those that go on.
func (w *ruleWalk) keep(l level, takes []conj) {
	if l == endsNothing {
		return
	}
	for _, t := range takes {
		if t.places()&w.p.written == 0 {
			w.kept = append(w.kept, &hider{rule: w.r, base: w.s.base, level: l, takes: t,
				unsourced: w.p.masquerades() && w.family == rules.FamilyIPv4})
		}
	}
}

// follow goes through a chain that the rule leads to, for packets of which way
// holds as well. on are the conditions each of which is enough to get there.
func (w *ruleWalk) follow(to *rules.Chain, way conj, on []conj) {
	need := w.need(way)
	if to == nil {
		w.lost(need)
		return
	}
	if x, _ := need.clash(w.known(len(w.way))); x != nil {
		w.alive = w.alive && w.analysis.alive[to]
		return
	}
	sub := w.s.child(need, w.p.all)
	w.alive = w.chain(to, sub, w.depth+1) && w.alive
	written := w.p.all | w.writesOf(to)
	w.written |= written
	for _, h := range sub.own(endsBase) {
		except, ok := h.leaving(sub.returned[:h.returns])
		for _, o := range on {
			if ok && o.places()&written == 0 && len(w.kept) < maxKept {
				w.kept = append(w.kept, &hider{rule: h.rule, base: h.base, level: h.level, unsourced: h.unsourced,
					takes: slices.Concat(o, h.takes), except: except})
			}
		}
	}
}

// maxKept bounds what is known of the packets that chains below a rule take.
const maxKept = 512

// lost: it is not known where packets go, or what becomes of them.
func (w *ruleWalk) lost(need conj) {
	w.written, w.alive = anywhere, false
	w.s.escape(need.without(w.p.all), true)
	w.s.escape(need.without(w.p.all), false)
}

// verdicts goes through what a verdict map leads to, element by element.
func (w *ruleWalk) verdicts(m *rules.VerdictMap) {
	if m.Set.Missing != "" {
		w.lost(w.need(nil))
		if w.r.Chain.Table != nil {
			for _, c := range w.r.Chain.Table.Chains {
				if c.Base == nil {
					w.open[c] = true
				}
			}
		}
		return
	}
	steady := !w.fed[m.Set] && m.Set.Flags&(rules.SetEval|rules.SetTimeout) == 0 && !limited(m.Set)
	for i := range m.Set.Elements {
		e := &m.Set.Elements[i]
		if e.Verdict == nil {
			continue
		}
		way, exact := w.keyOf(m, e)
		var on []conj
		if steady && exact {
			on = joined(w.p.takes(), way)
		}
		if e.Verdict.Code == rules.VerdictJump || e.Verdict.Code == rules.VerdictGoto {
			w.follow(e.Verdict.Chain, way, on)
		}
		l := verdictLevel(e.Verdict.Code)
		if i < maxWide {
			w.keep(l, on)
		}
		w.leave(l, way)
	}
}

// keyOf is what a packet has that an element of the map fits.
func (w *ruleWalk) keyOf(m *rules.VerdictMap, e *rules.Element) (way conj, exact bool) {
	if e.Catchall {
		return nil, false
	}
	parts := []rules.Expr{m.Key}
	if c, ok := m.Key.(*rules.Concat); ok {
		parts = c.Parts
	}
	var named []*rules.Set
	if m.Set.Changeable() {
		named = []*rules.Set{m.Set}
	}
	exact = true
	off := 0
	for _, x := range parts {
		f := w.fieldOf(x)
		n := x.Width()
		if f == nil || f.width != n {
			exact = false
		} else if sp, ok := keySpan(e.Key, e.KeyEnd, off, n); !ok {
			return nil, false
		} else if f.places&w.p.all == 0 {
			way = append(way, atom{f: f, v: union([]span{sp}), sets: named, rule: w.r})
		} else {
			exact = false // the rule has written to it
		}
		off += (n + 3) &^ 3
	}
	return way, exact
}

// impossible finds out why no packet of s meets the rule. claim is what it
// asks for together with what holds of them all.
func (a *analysis) impossible(r *rules.Rule, p *parsed, s *scope, claim conj) *Dead {
	if !s.unhidden || a.plain {
		if h := a.hiderOf(s, s.need); h != nil {
			return hiddenBy(s, claim, h)
		}
		s.unhidden = true
	}
	if d := clashing(r, claim, a.known(len(s.need))); d != nil {
		return d
	}
	if x, y := claim.against(a.none); x != nil {
		return &Dead{Why: NoSuchPacket, Sets: conj{*x, *y}.sets()}
	}
	if len(p.claim) > 0 || a.plain {
		if h := a.hiderOf(s, claim); h != nil {
			return hiddenBy(s, claim, h)
		}
	}
	all := parts(s.need, p)
	if len(all) == 0 {
		return nil
	}
	var by []*hider
	for _, part := range all {
		h := a.hiderOf(s, part)
		if h == nil {
			return nil
		}
		by = append(by, h)
	}
	return hiddenBy(s, claim, by...)
}

// known is how many of the first atoms of a conjunction are known not to
// exclude each other: those that hold of every packet that is in a chain, which
// no packet would have come to.
func (a *analysis) known(n int) int {
	if a.plain {
		return 0
	}
	return n
}

// parts are conjunctions that together make up the packets that the rule asks
// for: each has to be hidden by itself. None where the whole is the only part.
func parts(need conj, p *parsed) []conj {
	if len(p.ways) > 0 && !p.acts {
		return joined(p.ways, need)
	}
	for i := range p.claim {
		a := p.claim[i]
		values, ok := a.v.few(maxParts)
		if !ok || len(values) < 2 || a.orAbsent {
			continue
		}
		var out []conj
		for _, v := range values {
			c := append(slices.Clone(need), p.claim...)
			c[len(need)+i].v = point([]byte(v))
			out = append(out, c)
		}
		return out
	}
	return nil
}

const maxParts = 16

// clashing looks for two conditions that exclude each other.
func clashing(r *rules.Rule, c conj, known int) *Dead {
	x, y := c.clash(known)
	if x == nil {
		return nil
	}
	d := &Dead{Why: Excluded, Sets: conj{*x, *y}.sets()}
	switch {
	case x == y && len(x.sets) > 0:
		d.Why = EmptySet
	case x.rule == nil || y.rule == nil:
		d.Why = NoSuchPacket
	}
	for _, z := range []*atom{x, y} {
		if z.rule != nil && z.rule != r && !slices.Contains(d.By, z.rule) {
			d.By = append(d.By, z.rule)
		}
	}
	return d
}

// maxBy bounds how many rules are named.
const maxBy = 3

func hiddenBy(s *scope, need conj, hs ...*hider) *Dead {
	d := &Dead{Why: Hidden, Sets: need.sets()}
	for _, h := range hs {
		if !slices.Contains(d.By, h.rule) && len(d.By) < maxBy {
			d.By = append(d.By, h.rule)
		}
		for _, set := range h.takes.sets() {
			if !slices.Contains(d.Sets, set) {
				d.Sets = append(d.Sets, set)
			}
		}
		d.Unsourced = d.Unsourced || h.unsourced && h.base != s.base && !sourced(need)
	}
	return d
}

// sourced tells whether the packets surely have a source address.
func sourced(need conj) bool {
	zero := values(point(make([]byte, 4)))
	return slices.ContainsFunc(need, func(a atom) bool {
		return !a.orAbsent && a.f.key == "payload 1 12" && len(a.v.and(zero.head(a.f.width))) == 0
	})
}
