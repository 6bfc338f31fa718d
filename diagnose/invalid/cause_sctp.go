package invalid

import "github.com/ntdiag/ntdiag/diagnose/query"

// findAssociation: SCTP or DCCP that does not fit its association.
func findAssociation(q *inquiry) *Cause {
	p := q.pick(func(g *Group, _ *Flow) bool { return g.Proto == protoSCTP || g.Proto == protoDCCP })
	if p.packets == 0 {
		return nil
	}
	c := q.cause(p, false, query.ProtoName(p.groups[0].Proto)+" packets do not fit the association that conntrack knows")
	for _, g := range p.groups {
		c.say("%s: %s", count(g.Count, "packet", "packets"), g.Reason.Cause)
	}
	c.Likely = true
	c.fixOf(p.groups[0].Reason)
	return c
}
