package stale

import (
	"strings"

	"github.com/ntdiag/ntdiag/diagnose/alike"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/simulate"
	"github.com/ntdiag/ntdiag/rules"
)

// memos keep what was found of flows that look alike.
type memos struct {
	// ways are those that reach where the entry stands, of new packets with its
	// original tuple.
	ways     *alike.Memo[[]*simulate.Outcome]
	verdicts *alike.Memo[*Verdict]
}

// memos prepares to judge flows that look alike once. Sources of the rules are
// what judging.lost compares with.
func (j *Judge) memos() *memos {
	var sources []alike.Range
	for _, p := range j.pools {
		sources = append(sources, alike.Range{Lo: p.lo, Hi: p.hi})
	}
	k := alike.New(j.host, sources)
	return &memos{alike.NewMemo[[]*simulate.Outcome](k, alike.Original), alike.NewMemo[*Verdict](k, alike.Entry)}
}

// sharing judges flows for one goroutine, those that look alike once.
type sharing struct {
	*Judge  // tells verdicts which chains it enters
	ways    *alike.Look[[]*simulate.Outcome]
	sim     *simulate.Simulator // tells ways
	verdict *alike.Look[*Verdict]
}

func (j *Judge) sharing(m *memos) *sharing {
	s := &sharing{ways: m.ways.Look(), verdict: m.verdicts.Look()}
	watched := *j
	watched.sim = j.sim.Watch(s.verdict.Enter)
	s.Judge, s.sim = &watched, j.sim.Watch(s.ways.Enter)
	return s
}

// fresh is the verdict of every flow that is.
var fresh = &Verdict{Fate: Fresh}

// judge writes the verdict of f to out.
func (s *sharing) judge(f *host.Flow, out *Verdict) {
	c := judging{Judge: s.Judge, f: f, ends: f.Ends()}
	if c.exempt() == "" && c.fits(s.waysOf(f)) == rules.Yes {
		s.like(fresh, f, out)
		return
	}
	own := false
	v := s.verdict.Of(f, func() (*Verdict, bool) {
		own = true
		c.out = Verdict{Flow: *f}
		c.judge()
		*out = c.out
		if c.out.Fate == Fresh {
			return fresh, true
		}
		return &c.out, c.shared()
	})
	if !own {
		s.like(v, f, out)
	}
}

// waysOf are the ways of judging.fresh.
func (s *sharing) waysOf(f *host.Flow) []*simulate.Outcome {
	return s.ways.Of(f, func() ([]*simulate.Outcome, bool) {
		all, err := s.sim.Ways(packetOf(f))
		if err != nil {
			return nil, true
		}
		ways, _ := reach(f, all)
		return ways, true
	})
}

// shared tells whether what was found is true of every flow that goes this way,
// but for the ends of each. What names an address of this one is not.
func (c *judging) shared() bool {
	v := &c.out
	if v.Fate == Stale && c.f.IsICMP() {
		return false
	}
	texts := append(append([]string{}, v.Assumed...), v.Unknown...)
	if v.Fate == Undecided {
		texts = append(texts, v.Why)
	}
	all := strings.Join(texts, "\n")
	for _, e := range c.ends {
		if strings.Contains(all, e.From.Addr.String()) || strings.Contains(all, e.To.Addr.String()) {
			return false
		}
	}
	return true
}

// like writes the verdict of f, which looks like the flow of v.
func (j *Judge) like(v *Verdict, f *host.Flow, out *Verdict) {
	if v.Fate != Stale {
		out.Flow = *f
		if out.Fate == Stale {
			*out = Verdict{Flow: *f}
		}
		out.Fate, out.Why = v.Fate, v.Why
		return
	}
	c := judging{Judge: j, f: f, ends: f.Ends(), out: *v}
	c.out.Flow, c.out.Was = *f, [2]*host.Rewrite{}
	c.out.Now = nowFor(v.Now, f)
	c.out.Others = nil
	for _, o := range v.Others {
		c.out.Others = append(c.out.Others, nowFor(o, f))
	}
	c.classify(v.Class, v.Manip, nil)
	c.out.Rule, c.out.Map, c.out.Confidence = v.Rule, v.Map, v.Confidence
	c.out.Risks = c.risks()
	c.out.Why = c.why()
	*out = c.out
}

func nowFor(n [2]*simulate.NAT, f *host.Flow) [2]*simulate.NAT {
	return [2]*simulate.NAT{rules.ManipSrc: n[rules.ManipSrc].For(f), rules.ManipDst: n[rules.ManipDst].For(f)}
}
