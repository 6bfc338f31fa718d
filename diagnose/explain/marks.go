package explain

import (
	"slices"

	"github.com/ntdiag/ntdiag/rules"
)

// marks are the rules that set the packet mark before the rule that was found,
// where a rule looked at on the way, or itself, asks for it: kube-proxy marks
// in one chain what another one masquerades.
func (j *job) marks(st *stage) []*rules.Rule {
	asked := -1
	for i, s := range st.settled {
		if s.Rule != nil && asksMark(s.Rule) {
			asked = i
		}
		if s.Rule == st.fits[0].Rule {
			break
		}
	}
	if asked < 0 {
		return nil
	}
	here := st.settled[:asked+1]
	way := here
	if st.manip == rules.ManipSrc {
		way = slices.Concat(j.trail, st.crossed, here)
	}
	var out []*rules.Rule
	for _, s := range way {
		if s.Rule != nil && s.Result == rules.Yes && setsMark(s.Rule) && !slices.Contains(out, s.Rule) {
			out = append(out, s.Rule)
		}
	}
	return out
}

func setsMark(r *rules.Rule) bool {
	return slices.ContainsFunc(r.Statements, func(s rules.Statement) bool {
		switch s := s.(type) {
		case *rules.Assign:
			return isMark(s.Dest)
		case *rules.MapIPSet:
			return s.Mark
		}
		return false
	})
}

func asksMark(r *rules.Rule) bool { return slices.ContainsFunc(r.Statements, conditionOnMark) }

func conditionOnMark(s rules.Statement) bool {
	switch c := s.(type) {
	case *rules.Match:
		return isMark(c.Left)
	case *rules.MatchRange:
		return isMark(c.Left)
	case *rules.InSet:
		return isMark(c.Key)
	case *rules.InIPSet:
		return c.AsksMark()
	case *rules.VerdictMap:
		return isMark(c.Key)
	case *rules.NotOf:
		return conditionOnMark(c.Part)
	case *rules.AllOf:
		return slices.ContainsFunc(c.Parts, func(p rules.Condition) bool { return conditionOnMark(p) })
	case *rules.AnyOf:
		return slices.ContainsFunc(c.Parts, func(p rules.Condition) bool { return conditionOnMark(p) })
	}
	return false
}

// isMark tells whether x is the packet mark, or a part of it.
func isMark(x rules.Expr) bool {
	switch x := x.(type) {
	case *rules.Meta:
		return x.Key == rules.MetaMark
	case *rules.Bitwise:
		return isMark(x.X)
	case *rules.Concat:
		return slices.ContainsFunc(x.Parts, isMark)
	}
	return false
}
