package explain

import (
	"slices"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/packet"
)

// doubt takes back what an answer cannot say when a part of the machine could
// not be read: without all rules, that no rule makes a rewrite and that only
// one can; without devices, addresses and routes, which way the packet took.
func doubt(x *Explanation, s *host.Snapshot) {
	noRules := s.RulesUnread()
	noRoutes := slices.ContainsFunc(s.Missing, func(m host.Missing) bool { return packet.TellsWay(m.What) })
	for i := range x.Rewrites {
		r := &x.Rewrites[i]
		if noRules {
			r.Unknown = append(r.Unknown, "rules that could not be read")
		}
		if noRoutes {
			r.Unknown = append(r.Unknown, "routes and addresses that could not be read")
		}
		switch {
		case noRules && r.Cause == CauseRuleGone:
			r.Cause, r.Note = CauseUnknown, "the rule may be among those that could not be read"
		case noRoutes && r.Cause == CauseRuleGone:
			r.Cause, r.Note = CauseUnknown, "which rules the packet met depends on routes that could not be read"
		case (noRules || noRoutes) && r.Grade == GradeExact:
			r.Grade = GradeInferred
		}
	}
	if noRules && len(x.Rewrites) == 0 && x.WhyNone != "" {
		x.WhyNone += "; not all rules could be read"
	}
}
