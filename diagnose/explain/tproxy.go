package explain

import (
	"fmt"

	"github.com/ntdiag/ntdiag/diagnose/packet"
	"github.com/ntdiag/ntdiag/rules"
)

// tproxied is the search at input, for a flow that a transparent socket may
// have taken (nft_tproxy) where postrouting cannot be what it met: a rule there
// must have rewritten it, and nothing did. nil where postrouting explains it.
func (j *job) tproxied(st *stage) *stage {
	o := j.observed[rules.ManipSrc]
	if !st.before.TProxied || st.hook != rules.Postrouting || st.blocker == nil || o.From != o.To {
		return nil
	}
	local := &stage{manip: rules.ManipSrc, hook: rules.Input, before: st.before}
	local.before.Oif = rules.Iface{State: rules.IfaceNone}
	j.search(local)
	if local.blocker != nil {
		return nil
	}
	j.unmet, j.out.LocalIn, j.out.Out = st.blocker.Rule, true, ""
	return local
}

// socketText says that a transparent socket took the flow.
func (j *job) socketText() string {
	return fmt.Sprintf("given to a transparent socket (tproxy): it did not pass postrouting, where %s would match", packet.RuleName(j.unmet))
}
