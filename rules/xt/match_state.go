package xt

import "github.com/ntdiag/ntdiag/rules"

// xtStateUntracked is XT_STATE_UNTRACKED, which is not the bit that the
// conntrack match has for it.
const xtStateUntracked = 1 << 6

// state is struct xt_state_info: a mask of XT_STATE_*. What was written
// inverted has every other bit instead.
type state struct{ mask uint32 }

func decodeState(_ *Context, r *reader) Extension { return &state{r.u32()} }

// Statements follows state_mt.
func (x *state) Statements(c *Context) []rules.Statement {
	return []rules.Statement{ctStateCondition(c, ctStateBits(x.states()), 0, false)}
}

// states is the mask as the conntrack match has it.
func (x *state) states() uint16 {
	mask := uint16(x.mask) &^ (ctStateSNAT | ctStateDNAT | ctStateUntracked)
	if x.mask&xtStateUntracked != 0 {
		mask |= ctStateUntracked
	}
	return mask
}

// Save prints the mask as it stands: iptables tells an inverted one by no sign.
func (x *state) Save(_ *Context, o *Options) {
	mask := uint16(x.mask) & (ctStateInvalid | rules.CtStateNew | rules.CtStateRelated | rules.CtStateEstablished)
	// state_print_state takes the bit of the conntrack match for UNTRACKED
	o.Word("--state", stateNames(mask|uint16(x.mask)&ctStateUntracked))
}
