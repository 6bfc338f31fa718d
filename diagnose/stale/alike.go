package stale

import (
	"strings"

	"github.com/ntdiag/ntdiag/diagnose/alike"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/simulate"
	"github.com/ntdiag/ntdiag/rules"
)

// memo prepares to judge flows that look alike once. Sources of the rules are
// what judging.lost compares with.
func (j *Judge) memo() *alike.Memo[*Verdict] {
	var sources []alike.Range
	for _, p := range j.pools {
		sources = append(sources, alike.Range{Lo: p.lo, Hi: p.hi})
	}
	return alike.NewMemo[*Verdict](alike.New(j.host, sources))
}

// sharing judges flows for one goroutine, those that look alike once.
type sharing struct {
	judge *Judge
	look  *alike.Look[*Verdict]
}

func (j *Judge) sharing(m *alike.Memo[*Verdict]) *sharing {
	look := m.Look()
	watched := *j
	watched.sim = j.sim.Watch(look.Enter)
	return &sharing{judge: &watched, look: look}
}

// fresh is the verdict of every flow that is.
var fresh = &Verdict{Fate: Fresh}

// verdict writes the verdict of f to out.
func (s *sharing) verdict(f *host.Flow, out *Verdict) {
	own := false
	v := s.look.Of(f, func() (*Verdict, bool) {
		own = true
		c := judging{Judge: s.judge, f: f, ends: f.Ends(), out: Verdict{Flow: *f}}
		c.judge()
		*out = c.out
		if c.out.Fate == Fresh {
			return fresh, true
		}
		return &c.out, c.shared()
	})
	if !own {
		s.judge.like(v, f, out)
	}
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
