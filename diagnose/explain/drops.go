package explain

import (
	"github.com/ntdiag/ntdiag/diagnose/packet"
	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/nft"
	"github.com/ntdiag/ntdiag/rules/walk"
)

// maxDrops bounds how many rules that drop are taken for newer than the flow.
const maxDrops = 16

// pastDrops looks for the rule that made the rewrite where every way ends
// before it: the entry is there, so that what drops such packets now was not
// there yet. Handles grow with time inside a table, so that only a rule with a
// smaller one can be older.
func (j *job) pastDrops(st *stage, res *walk.Result) bool {
	o := j.walkOptions(nil, nil)
	o.Without, o.Accept = map[*rules.Rule]bool{}, map[*rules.Chain]bool{}
	for range maxDrops {
		for _, e := range res.Ends {
			if e.Rule != nil {
				o.Without[e.Rule] = true
				st.dropper = packet.RuleName(e.Rule)
				continue
			}
			o.Accept[e.Chain] = true
			st.dropper = "the policy of " + chainName(e.Chain)
		}
		next := j.walker.Hook(&st.before, st.hook, o)
		fits, blocker := j.sift(next.Candidates, st.manip)
		if len(fits) > 0 {
			return j.takeOlder(st, &next, fits, blocker, o.Without)
		}
		if next.Alive.Truth != rules.No || len(next.Ends) == 0 {
			break
		}
		res = &next
	}
	st.dropper = ""
	return false
}

func (j *job) takeOlder(st *stage, res *walk.Result, fits []walk.Candidate, blocker *walk.Candidate, newer map[*rules.Rule]bool) bool {
	for r := range newer {
		for i := range fits {
			if r.Chain.Table == fits[i].Rule.Chain.Table && r.Handle < fits[i].Rule.Handle {
				st.dropper = ""
				return false
			}
		}
	}
	st.fits, st.blocker, st.after, st.grade = fits, blocker, res.Packet, GradeInferred
	if len(fits) > 1 {
		st.grade = GradeAmbiguous
	}
	return true
}

func chainName(c *rules.Chain) string {
	return c.Table.Family.String() + " " + nft.Escape(c.Table.Name) + " " + nft.Escape(c.Name)
}
