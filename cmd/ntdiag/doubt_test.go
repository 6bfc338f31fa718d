package main

import (
	"testing"

	"github.com/ntdiag/ntdiag/diagnose/explain"
	"github.com/ntdiag/ntdiag/diagnose/host"
)

func TestDoubt(t *testing.T) {
	tests := []struct {
		what  string
		cause explain.Cause
		grade explain.Grade
		wantC explain.Cause
		wantG explain.Grade
	}{
		{"nftables rules", explain.CauseRuleGone, explain.GradeNone, explain.CauseUnknown, explain.GradeNone},
		{"nftables sets", explain.CauseRule, explain.GradeExact, explain.CauseRule, explain.GradeInferred},
		{"nftables sets", explain.CauseRule, explain.GradeAmbiguous, explain.CauseRule, explain.GradeAmbiguous},
		{"nftables sets", explain.CauseHelper, explain.GradeExact, explain.CauseHelper, explain.GradeExact},
		{"routes", explain.CauseRuleGone, explain.GradeNone, explain.CauseRuleGone, explain.GradeNone},
		{"routes", explain.CauseRule, explain.GradeExact, explain.CauseRule, explain.GradeExact},
	}
	for _, tt := range tests {
		x := &explain.Explanation{Rewrites: []explain.Rewrite{{Cause: tt.cause, Grade: tt.grade}}}
		doubt(x, &host.Snapshot{Missing: []host.Missing{{What: tt.what, Why: "permission denied"}}})
		if r := x.Rewrites[0]; r.Cause != tt.wantC || r.Grade != tt.wantG {
			t.Errorf("%s %s %s: %s %s, want %s %s", tt.what, tt.cause, tt.grade, r.Cause, r.Grade, tt.wantC, tt.wantG)
		}
	}
}
