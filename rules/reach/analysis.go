package reach

import (
	"slices"

	"github.com/ntdiag/ntdiag/rules"
)

// Why is what keeps packets from a rule.
type Why uint8

const (
	// Hidden: earlier rules take every packet that the rule asks for.
	Hidden Why = iota + 1
	// Excluded: conditions of the rule, or of the jumps that lead to it,
	// exclude each other.
	Excluded
	// NoSuchPacket: the hook or the family has no such packets.
	NoSuchPacket
	// EmptySet: it asks for an element of a set that holds none.
	EmptySet
)

// Dead says why no packet meets a rule.
type Dead struct {
	Why Why
	// By are the rules that keep the packets away: those that take them, or
	// the jumps whose conditions exclude the rule's.
	By []*rules.Rule
	// Unsourced: it is left the packets without a source address, which a
	// masquerade passes by.
	Unsourced bool
	// Sets are the named sets on whose present elements the claim rests.
	Sets []*rules.Set
}

// Result is what is known of the rules of one ruleset.
type Result struct {
	dead    map[*rules.Rule]*Dead
	live    map[*rules.Rule]bool
	entered map[*rules.Chain]bool
	callers map[*rules.Chain][]*rules.Rule
	met     map[*rules.Rule][]met
}

// met is one way in which packets come to a rule.
type met struct {
	hook   rules.Hook
	family rules.Family
	base   *rules.Chain
	any    bool // any packet
	// way holds of every packet that is in the chain, need of those that get to
	// the rule's end.
	way, need conj
}

// Dead tells why no packet meets r; nil when one may, or when r stands in a
// chain that no packet enters: see Entered.
func (res *Result) Dead(r *rules.Rule) *Dead {
	if res.live[r] {
		return nil
	}
	return res.dead[r]
}

// Entered tells whether packets may enter c: it is a base chain at an IP hook
// of a table that is not dormant, or a live rule leads to it.
func (res *Result) Entered(c *rules.Chain) bool { return res.entered[c] }

// Callers are the rules that jump or go to c, live or not.
func (res *Result) Callers(c *rules.Chain) []*rules.Rule { return res.callers[c] }

// analysis goes through one hook for one family.
type analysis struct {
	res    *Result
	hook   rules.Hook
	family rules.Family
	order  []*rules.Chain

	ids     *ids
	none    conj                // absent, made once
	ctMarks bool                // some rule writes ct mark or labels
	fed     map[*rules.Set]bool // rules add to or delete from it
	parsed  map[*rules.Rule]*parsed
	writes  map[*rules.Chain]place
	size    map[*rules.Chain]int
	alive   map[*rules.Chain]bool // every rule below was found alive here
	open    map[*rules.Chain]bool // to be gone through for any packet
	budget  int

	claims conj // of the rule looked at
	keys   []fixed
	plain  bool // the plain way, for tests: nothing known before is made use of
}

// maxVisits bounds how many rules are looked at for one hook and family; what
// is beyond it is gone through once, for any packet.
const maxVisits = 400000

// hooks are where packets of the IP families meet chains.
var hooks = []rules.Hook{rules.Prerouting, rules.Input, rules.Forward, rules.Output, rules.Postrouting}

// Analyse goes through every chain of rs.
func Analyse(rs *rules.Ruleset) *Result { return analyse(rs, false) }

func analyse(rs *rules.Ruleset, plain bool) *Result {
	res := &Result{
		dead: map[*rules.Rule]*Dead{}, live: map[*rules.Rule]bool{}, entered: map[*rules.Chain]bool{},
		callers: map[*rules.Chain][]*rules.Rule{}, met: map[*rules.Rule][]met{},
	}
	ctMarks, fed := res.survey(rs)
	for _, f := range []rules.Family{rules.FamilyIPv4, rules.FamilyIPv6} {
		// what a rule asks for depends on the family alone
		read, writes, size := map[*rules.Rule]*parsed{}, map[*rules.Chain]place{}, map[*rules.Chain]int{}
		names := newIDs()
		for _, h := range hooks {
			chains, _ := rs.AtHook(h, f)
			if len(chains) == 0 {
				continue
			}
			a := &analysis{
				res: res, hook: h, family: f, order: chains, ids: names, ctMarks: ctMarks, fed: fed, budget: maxVisits, plain: plain,
				parsed: read, writes: writes, size: size, alive: map[*rules.Chain]bool{}, open: map[*rules.Chain]bool{},
			}
			a.none = a.absent()
			a.run()
		}
	}
	return res
}

// survey finds who leads where, and what rules change while packets pass.
func (res *Result) survey(rs *rules.Ruleset) (ctMarks bool, fed map[*rules.Set]bool) {
	fed = map[*rules.Set]bool{}
	for _, t := range rs.Tables {
		for _, c := range t.Chains {
			for _, r := range c.Rules {
				for _, to := range targets(r) {
					res.callers[to] = append(res.callers[to], r)
				}
				for _, s := range r.Statements {
					switch s := s.(type) {
					case *rules.Dynset:
						fed[s.Set] = true
					case *rules.Assign:
						ctMarks = ctMarks || assigned(s)&inCtMark != 0
					case *rules.Opaque:
						ctMarks = ctMarks || s.MayEnd
					case *rules.Queue:
						ctMarks = true // a program can set it (NFQA_CT)
					}
				}
			}
		}
	}
	return ctMarks, fed
}

// targets are the chains that r can lead to.
func targets(r *rules.Rule) []*rules.Chain {
	var out []*rules.Chain
	add := func(v *rules.Verdict) {
		if v != nil && v.Chain != nil && !slices.Contains(out, v.Chain) {
			out = append(out, v.Chain)
		}
	}
	for _, s := range r.Statements {
		switch s := s.(type) {
		case *rules.Verdict:
			add(s)
		case *rules.VerdictMap:
			for i := range s.Set.Elements {
				add(s.Set.Elements[i].Verdict)
			}
		}
	}
	return out
}

// run goes through the base chains in order.
func (a *analysis) run() {
	seen := &scope{} // what earlier chains took
	for i := 0; i < len(a.order); {
		c := a.order[i]
		if i > 0 && a.crosses(a.order[i-1], c) {
			seen.wrote(anywhere)
		}
		if c.Base.Type != rules.ChainNAT {
			a.pass(seen, a.base(seen, c), endsHook)
			i++
			continue
		}
		// the nat chains run inside one dispatcher, for first packets only
		nat := &scope{parent: seen, need: seen.need}
		for ; i < len(a.order) && a.order[i].Base.Type == rules.ChainNAT; i++ {
			a.pass(nat, a.base(nat, a.order[i]), endsNAT)
		}
		seen.wrote(anywhere) // then the packet is rewritten
	}
	a.rest()
}

// edges are the priorities at which the kernel's own functions change what
// rules see: defragmentation, conntrack, SELinux, NAT with IPVS beside it,
// helpers.
var edges = []struct{ from, to int32 }{{-400, -400}, {-225, -225}, {-200, -200}, {-100, -97}, {97, 100}, {225, 225}, {300, 300}}

// crosses tells whether such a function may run between two base chains. The
// dispatcher runs the nat chains before it rewrites.
func (a *analysis) crosses(before, after *rules.Chain) bool {
	p, q := before.EffectivePriority(), after.EffectivePriority()
	for _, e := range edges {
		if after.Base.Type == rules.ChainNAT && q >= e.from && q <= e.to && p < e.from {
			continue
		}
		if p <= e.to && q >= e.from {
			return true
		}
	}
	return false
}

// pass hands on what a base chain took from all later ones.
func (a *analysis) pass(to, from *scope, least level) {
	to.wrote(a.writesOf(from.base))
	for _, h := range from.own(least) {
		if except, ok := h.leaving(from.returned[:h.returns], (*from.away)[:h.accepts]); ok {
			to.add(&hider{rule: h.rule, base: h.base, level: h.level, takes: h.takes, except: except, unsourced: h.unsourced})
		}
	}
}

// base goes through one base chain.
func (a *analysis) base(seen *scope, c *rules.Chain) *scope {
	s := &scope{parent: seen, base: c, away: &[]conj{}, need: append(slices.Clone(seen.need), a.family4or6()...)}
	a.chain(c, s, 0)
	return s
}

// family4or6 is what is known of every packet.
func (a *analysis) family4or6() conj {
	ether := map[rules.Family][]byte{rules.FamilyIPv4: {0x08, 0x00}, rules.FamilyIPv6: {0x86, 0xdd}}[a.family]
	return conj{
		{f: a.given(metaKey(rules.MetaNfproto), 1), v: point([]byte{byte(a.family)})},
		{f: a.given(metaKey(rules.MetaProtocol), 2), v: point(ether)},
	}
}

// absent is what the hook leaves without a device: the name is then empty and
// the index 0 (nft_meta_store_ifname). It excludes conditions, and takes no
// packet away: kernels before 5.4 end the rule instead.
func (a *analysis) absent() conj {
	var index, name rules.MetaKey
	switch a.hook {
	case rules.Prerouting, rules.Input:
		index, name = rules.MetaOif, rules.MetaOifname
	case rules.Output:
		index, name = rules.MetaIif, rules.MetaIifname
	default:
		return nil
	}
	return conj{
		{f: a.given(metaKey(index), 4), v: point(make([]byte, 4))},
		{f: a.given(metaKey(name), 16), v: point(make([]byte, 16))},
	}
}

// rest goes through what was left open, for any packet.
func (a *analysis) rest() {
	done := map[*rules.Chain]bool{}
	for len(a.open) > 0 {
		for c := range a.open {
			delete(a.open, c)
			if done[c] {
				continue
			}
			done[c] = true
			a.res.entered[c] = true
			for _, r := range c.Rules {
				a.lives(r, &met{hook: a.hook, family: a.family, any: true})
				for _, to := range targets(r) {
					a.open[to] = true
				}
			}
		}
	}
}

// lives notes that a packet may meet r.
func (a *analysis) lives(r *rules.Rule, m *met) {
	a.res.live[r] = true
	if !m.any && !wanted(r) {
		return
	}
	if ways := a.res.met[r]; len(ways) <= maxMet {
		a.res.met[r] = append(ways, *m)
	}
}

// wanted tells whether Overlap is asked of the rule: only of those that make a
// NAT or end the way.
func wanted(r *rules.Rule) bool {
	for _, s := range r.Statements {
		switch s := s.(type) {
		case *rules.NAT:
			return true
		case *rules.Verdict:
			return s.Code == rules.VerdictAccept
		}
	}
	return false
}

// maxMet bounds how many ways to one rule are kept; with more, it may be met
// by any packet.
const maxMet = 16
