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
		a, ok := s.(*rules.Assign)
		return ok && isMark(a.Dest)
	})
}

// asksMark tells whether what r does depends on the packet mark.
func asksMark(r *rules.Rule) (asks bool) {
	for _, s := range r.Statements {
		if _, sets := s.(*rules.Assign); !sets {
			rules.Reads(s, func(x rules.Expr) { asks = asks || isMark(x) })
		}
	}
	return asks
}

func isMark(x rules.Expr) bool {
	m, ok := x.(*rules.Meta)
	return ok && m.Key == rules.MetaMark
}
