package xt

import (
	"strings"

	"github.com/ntdiag/ntdiag/rules"
)

// XT_CONNTRACK_STATE_*: the first have the bits of NF_CT_STATE_BIT, SNAT and
// DNAT stand for IPS_SRC_NAT and IPS_DST_NAT.
const (
	ctStateInvalid   = rules.CtStateInvalid
	ctStateSNAT      = 1 << 6
	ctStateDNAT      = 1 << 7
	ctStateUntracked = 1 << 8

	ipsSrcNAT = 1 << 4
	ipsDstNAT = 1 << 5
)

// stateWords in the order in which iptables prints them.
var stateWords = []struct {
	bit  uint16
	name string
}{
	{ctStateInvalid, "INVALID"}, {rules.CtStateNew, "NEW"}, {rules.CtStateRelated, "RELATED"},
	{rules.CtStateEstablished, "ESTABLISHED"}, {ctStateUntracked, "UNTRACKED"},
	{ctStateSNAT, "SNAT"}, {ctStateDNAT, "DNAT"},
}

func stateNames(mask uint16) string {
	var out []string
	for _, w := range stateWords {
		if mask&w.bit != 0 {
			out = append(out, w.name)
		}
	}
	return strings.Join(out, ",")
}

// ctStateBits is what of a mask stands for states, as rules.Ct loads them.
func ctStateBits(mask uint16) uint32 {
	bits := uint32(mask) & (rules.CtStateInvalid | rules.CtStateNew | rules.CtStateRelated | rules.CtStateEstablished)
	if mask&ctStateUntracked != 0 {
		bits |= rules.CtStateUntracked
	}
	return bits
}

// natBits is what of a mask stands for bits of the status.
func natBits(mask uint16) uint32 {
	var bits uint32
	if mask&ctStateSNAT != 0 {
		bits |= ipsSrcNAT
	}
	if mask&ctStateDNAT != 0 {
		bits |= ipsDstNAT
	}
	return bits
}

// ctStateCondition asks for one of some states or of some bits of the status.
// A packet always has a state; one without an entry has no status.
func ctStateCondition(c *Context, states, status uint32, invert bool) rules.Condition {
	if status == 0 {
		return anyBit(c, ctState(), states, invert)
	}
	nat := anyBit(c, &rules.Ct{Key: rules.CtStatus, Dir: rules.CtDirNone}, status, false)
	switch {
	case states != 0:
		return &rules.AnyOf{Span: c.Span, Parts: []rules.Condition{anyBit(c, ctState(), states, false), nat}, Invert: invert}
	case invert:
		return &rules.NotOf{Span: c.Span, Part: nat}
	}
	return nat
}

func ctState() rules.Expr { return &rules.Ct{Key: rules.CtState, Dir: rules.CtDirNone} }

// noEntry holds for a packet that conntrack has no entry for, or that it was
// kept from; hasEntry for any other.
func noEntry(c *Context) rules.Condition {
	return anyBit(c, ctState(), rules.CtStateInvalid|rules.CtStateUntracked, false)
}

func hasEntry(c *Context) rules.Condition {
	return anyBit(c, ctState(), rules.CtStateInvalid|rules.CtStateUntracked, true)
}

// anyBit asks whether one of the bits is set in a number of four bytes or,
// inverted, whether none is.
func anyBit(c *Context, x rules.Expr, bits uint32, invert bool) rules.Condition {
	op := rules.CmpNeq
	if invert {
		op = rules.CmpEq
	}
	none := make([]byte, 4)
	return &rules.Match{Span: c.Span, Left: &rules.Bitwise{X: x, Mask: c.u32(bits), Xor: none}, Op: op, Right: none}
}
