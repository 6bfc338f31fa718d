package xt

import (
	"fmt"
	"strconv"

	"github.com/ntdiag/ntdiag/rules"
)

// XT_OWNER_*.
const (
	ownerUID    = 1
	ownerGID    = 2
	ownerSocket = 4
	ownerSuppl  = 8
	ownerAll    = 15
)

// owner is struct xt_owner_match_info.
type owner struct {
	uid, gid    numbers
	ask, invert uint8
}

func decodeOwner(_ *Context, r *reader) Extension {
	x := &owner{r.numbers(), r.numbers(), r.u8(), r.u8()}
	if (x.ask|x.invert)&^ownerAll != 0 || x.invert&^x.ask != 0 {
		r.fail("owner: flags %#x, inverted %#x", x.ask, x.invert)
	}
	return x
}

// Statements follows owner_mt. A packet without a socket, which a forwarded
// one has not, matches only if all that is asked for is inverted. Whose socket
// a local packet is from, and whether it has a file, no entry tells.
func (x *owner) Statements(c *Context) []rules.Statement {
	var out []rules.Statement
	add := func(flag uint8, key rules.MetaKey, n numbers) {
		if x.ask&flag == 0 {
			return
		}
		is := idWithin(c, key, n)
		if flag == ownerGID && x.ask&ownerSuppl != 0 {
			is = &rules.AnyOf{Span: c.Span, Parts: []rules.Condition{is, x.inGroups(c)}}
		}
		if x.invert&flag != 0 {
			is = &rules.NotOf{Span: c.Span, Part: is}
		}
		out = append(out, is)
	}
	all := numbers{0, 0xffffffff}
	add(ownerSocket, rules.MetaSkuid, all)
	add(ownerUID, rules.MetaSkuid, x.uid)
	add(ownerGID, rules.MetaSkgid, x.gid)
	if x.ask&ownerSuppl != 0 {
		// never inverted: it wants a socket
		add(ownerSuppl, rules.MetaSkgid, all)
	}
	return out
}

// inGroups asks for the supplementary groups of the packet's socket, which
// nothing tells. Without a socket there are none.
func (x *owner) inGroups(c *Context) rules.Condition {
	return &rules.AllOf{Span: c.Span, Parts: []rules.Condition{
		idWithin(c, rules.MetaSkgid, numbers{0, 0xffffffff}),
		&rules.Open{Span: c.Span, Name: "owner --suppl-groups", From: rules.FromSocket},
	}}
}

// idWithin compares a number of the host as numbers are compared, in network
// order.
func idWithin(c *Context, key rules.MetaKey, n numbers) rules.Condition {
	id := &rules.Meta{Key: key}
	if n.lo == n.hi {
		return &rules.Match{Span: c.Span, Left: id, Op: rules.CmpEq, Right: c.u32(n.lo)}
	}
	return &rules.MatchRange{Span: c.Span, Left: &rules.Byteorder{X: id, ToNetwork: true, Size: 4, Len: 4}, Lo: be32(n.lo), Hi: be32(n.hi)}
}

// Save prints numbers, as iptables-save does.
func (x *owner) Save(_ *Context, o *Options) {
	option := func(flag uint8, words ...string) {
		if x.ask&flag != 0 {
			o.Opt(x.invert&flag != 0, words...)
		}
	}
	option(ownerSocket, "--socket-exists")
	option(ownerUID, "--uid-owner", x.uid.dashed())
	option(ownerGID, "--gid-owner", x.gid.dashed())
	option(ownerSuppl, "--suppl-groups")
}

// dashed is 80 or 80-90.
func (n numbers) dashed() string {
	if n.lo == n.hi {
		return strconv.FormatUint(uint64(n.lo), 10)
	}
	return fmt.Sprintf("%d-%d", n.lo, n.hi)
}
