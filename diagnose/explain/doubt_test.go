package explain

import (
	"testing"

	"github.com/ntdiag/ntdiag/diagnose/host"
)

func TestDoubt(t *testing.T) {
	for _, tc := range []struct {
		missing string
		in      Rewrite
		cause   Cause
		grade   Grade
	}{
		{"", Rewrite{Cause: CauseRule, Grade: GradeExact}, CauseRule, GradeExact},
		{"flows", Rewrite{Cause: CauseRule, Grade: GradeExact}, CauseRule, GradeExact},
		{"nftables ruleset", Rewrite{Cause: CauseRule, Grade: GradeExact}, CauseRule, GradeInferred},
		{"nftables ruleset", Rewrite{Cause: CauseRuleGone, Grade: GradeNone}, CauseUnknown, GradeNone},
		{"nftables ruleset", Rewrite{Cause: CauseHelper, Grade: GradeNone}, CauseHelper, GradeNone},
		{host.PartRoutes, Rewrite{Cause: CauseRule, Grade: GradeExact}, CauseRule, GradeInferred},
		{host.PartAddrs, Rewrite{Cause: CauseRuleGone, Grade: GradeNone}, CauseUnknown, GradeNone},
		{host.PartRoutes, Rewrite{Cause: CauseRule, Grade: GradeAmbiguous}, CauseRule, GradeAmbiguous},
	} {
		s := &host.Snapshot{}
		if tc.missing != "" {
			s.Missing = []host.Missing{{What: tc.missing, Why: "permission denied"}}
		}
		x := &Explanation{Rewrites: []Rewrite{tc.in}}
		doubt(x, s)
		if got := x.Rewrites[0]; got.Cause != tc.cause || got.Grade != tc.grade {
			t.Errorf("%q: %s %s became %s %s, want %s %s", tc.missing, tc.in.Cause, tc.in.Grade, got.Cause, got.Grade, tc.cause, tc.grade)
		}
	}
}
