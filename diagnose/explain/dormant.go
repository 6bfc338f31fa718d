package explain

import (
	"fmt"

	"github.com/ntdiag/ntdiag/diagnose/packet"
	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/walk"
)

// awake walks the rules as if no table were dormant; nil where none is.
func awake(rs *rules.Ruleset) *walk.Walker {
	woken := *rs
	woken.Tables = nil
	some := false
	for _, t := range rs.Tables {
		if t.Dormant() {
			some = true
			t = &rules.Table{
				Ruleset: t.Ruleset, Backend: t.Backend, Family: t.Family, Name: t.Name, Handle: t.Handle,
				Flags: t.Flags &^ rules.TableDormant, Chains: t.Chains, Sets: t.Sets, Objects: t.Objects,
			}
		}
		woken.Tables = append(woken.Tables, t)
	}
	if !some {
		return nil
	}
	return walk.New(&woken)
}

// asleep says which rule of a dormant table a packet would meet were the table
// not: one that makes the observed rewrite or, where the flow has none, any.
// "" for none.
func (j *job) asleep(st *stage, observed bool) string {
	if j.awake == nil {
		return ""
	}
	met := j.awake.Hook(&st.before, st.hook, j.walkOptions(nil, nil)).Candidates
	if observed {
		met, _ = j.sift(met, st.manip)
	}
	for i := range met {
		if r := met[i].Rule; r.Chain.Table.Dormant() {
			return fmt.Sprintf("%s would, but its table is dormant", packet.RuleName(r))
		}
		if met[i].Answer.Truth == rules.Yes {
			break
		}
	}
	return ""
}
