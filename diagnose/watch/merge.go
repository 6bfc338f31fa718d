package watch

import (
	"slices"

	"github.com/ntdiag/ntdiag/diagnose/explain"
)

// grades from the surest on.
var grades = []explain.Grade{explain.GradeExact, explain.GradeInferred, explain.GradeAmbiguous, explain.GradeNone}

func weaker(a, b explain.Grade) explain.Grade {
	return grades[max(slices.Index(grades, a), slices.Index(grades, b))]
}

// merge is the answer to which of two rulesets a flow met is not known: what
// both say, or what the one says that can have made the rewrite.
func merge[R comparable](a, b []Rewrite[R]) []Rewrite[R] {
	out := slices.Clone(a)
	for i := range out {
		if i >= len(b) || a[i].Manip != b[i].Manip {
			continue
		}
		x, y := &out[i], &b[i]
		switch {
		case len(y.Rules) == 0 && len(x.Rules) > 0:
		case len(x.Rules) == 0 && len(y.Rules) > 0:
			*x = *y
		case x.Cause == y.Cause && slices.Equal(x.Rules, y.Rules):
			x.Grade = weaker(x.Grade, y.Grade)
			x.Unknown = union(x.Unknown, y.Unknown)
		case len(x.Rules) == 0:
			// no rule in either: two words for it
			x.Unknown = union(x.Unknown, []string{changedThen})
		default:
			x.Rules, x.Grade = union(x.Rules, y.Rules), explain.GradeAmbiguous
			x.Unknown = union(x.Unknown, append([]string{changedThen}, y.Unknown...))
		}
	}
	return out
}

// doubt takes away what cannot be vouched for.
func doubt[R comparable](in []Rewrite[R], why string) []Rewrite[R] {
	out := slices.Clone(in)
	for i := range out {
		out[i].Grade = weaker(out[i].Grade, explain.GradeInferred)
		out[i].Unknown = union(out[i].Unknown, []string{why})
		if out[i].Cause == explain.CauseRuleGone {
			out[i].Cause = explain.CauseUnknown // it may be there, and not read
		}
	}
	return out
}

func union[T comparable](a, b []T) []T {
	out := slices.Clone(a)
	for _, v := range b {
		if !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out
}
