package stale

import (
	"strings"

	"github.com/ntdiag/ntdiag/diagnose/alike"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/simulate"
	"github.com/ntdiag/ntdiag/rules"
)

// Bounds of what is kept: some hundred bytes are the ways of a tuple, some
// thousand a verdict.
const (
	maxWays     = 1 << 15
	maxVerdicts = 1 << 13
)

// memos keep what was found of flows that look alike.
type memos struct {
	// ways are what those make that reach where the entry stands, of new packets
	// with its original tuple.
	ways     *alike.Memo[[]simulate.Aims]
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
	return &memos{
		ways:     alike.NewMemo[[]simulate.Aims](k, alike.Original, maxWays),
		verdicts: alike.NewMemo[*Verdict](k, alike.Entry, maxVerdicts),
	}
}

// sharing judges flows for one goroutine, those that look alike once.
type sharing struct {
	*Judge  // tells verdicts which chains it enters
	ways    *alike.Look[[]simulate.Aims]
	sim     *simulate.Simulator // tells ways
	verdict *alike.Look[*Verdict]
	quick   judging // used again for each flow
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
	c := &s.quick
	c.Judge, c.f, c.ends = s.Judge, f, f.Ends()
	if c.exempt() == "" && c.someMakes(s.waysOf(f)) {
		s.like(fresh, f, out)
		return
	}
	var own *Verdict
	v := s.verdict.Of(f, func() (*Verdict, bool) {
		c := &judging{Judge: s.Judge, f: f, ends: f.Ends(), out: Verdict{Flow: *f}}
		c.judge()
		v := c.out // without all that led to it
		own = &v
		if v.Fate == Fresh {
			return fresh, true
		}
		return own, c.shared()
	})
	if own != nil {
		*out = *own
	} else {
		s.like(v, f, out)
	}
}

// waysOf are the ways of judging.fresh.
func (s *sharing) waysOf(f *host.Flow) []simulate.Aims {
	return s.ways.Of(f, func() ([]simulate.Aims, bool) {
		all, err := s.sim.Ways(packetOf(f))
		if err != nil {
			return nil, true
		}
		ways, _ := reach(f, all)
		aims := make([]simulate.Aims, 0, len(ways))
		for _, o := range ways {
			aims = append(aims, o.Aims())
		}
		return aims, true
	})
}

// someMakes tells whether one of the ways surely makes what the entry holds.
func (c *judging) someMakes(ways []simulate.Aims) bool {
	for i := range ways {
		if c.fitsEnd(&ways[i], rules.ManipDst) == rules.Yes && c.fitsEnd(&ways[i], rules.ManipSrc) == rules.Yes {
			return true
		}
	}
	return false
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
