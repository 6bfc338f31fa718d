package main

import (
	"slices"
	"strings"

	"github.com/ntdiag/ntdiag/diagnose/explain"
	"github.com/ntdiag/ntdiag/diagnose/host"
)

// doubt takes back what an answer cannot say when a part of the rules could
// not be read: that no rule makes a rewrite, and that only one can.
func doubt(x *explain.Explanation, s *host.Snapshot) {
	unread := func(m host.Missing) bool { return strings.HasPrefix(m.What, "nftables") }
	if !slices.ContainsFunc(s.Missing, unread) {
		return
	}
	const why = "rules that could not be read"
	for i := range x.Rewrites {
		r := &x.Rewrites[i]
		if r.Cause == explain.CauseRuleGone {
			r.Cause, r.Note = explain.CauseUnknown, "the rule may be among those that could not be read"
		}
		if r.Cause == explain.CauseRule && r.Grade == explain.GradeExact {
			r.Grade = explain.GradeInferred
		}
		r.Unknown = append(r.Unknown, why)
	}
	if len(x.Rewrites) == 0 && x.WhyNone != "" {
		x.WhyNone += "; not all rules could be read"
	}
}
