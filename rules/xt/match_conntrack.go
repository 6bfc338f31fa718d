package xt

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/ntdiag/ntdiag/rules"
)

// XT_CONNTRACK_*: what a rule asks for, and what of it is inverted.
const (
	ctAskState     = 1 << 0
	ctAskProto     = 1 << 1
	ctAskStatus    = 1 << 6
	ctAskExpires   = 1 << 7
	ctAskDirection = 1 << 12
	ctAskAlias     = 1 << 13 // it was written as -m state
	ctAskAll       = 1<<14 - 1
)

// conntrack is struct xt_conntrack_mtinfo1 to 3.
type conntrack struct {
	addr, mask    [4]netip.Addr // as in ctAddrs
	port          [4]ports      // as in ctPorts
	expires       [2]uint32     // seconds
	proto         uint8
	ask, invert   uint16
	state, status uint16
}

// ctPart is one field of a tuple that can be asked for.
type ctPart struct {
	ask    uint16
	option string
	key    rules.CtKey
	dir    rules.CtDir
}

// ctAddrs and ctPorts stand in the order of the struct, which is that of the
// options too.
var ctAddrs = [4]ctPart{
	{1 << 2, "--ctorigsrc", rules.CtSrc, rules.CtDirOriginal},
	{1 << 3, "--ctorigdst", rules.CtDst, rules.CtDirOriginal},
	{1 << 4, "--ctreplsrc", rules.CtSrc, rules.CtDirReply},
	{1 << 5, "--ctrepldst", rules.CtDst, rules.CtDirReply},
}

var ctPorts = [4]ctPart{
	{1 << 8, "--ctorigsrcport", rules.CtProtoSrc, rules.CtDirOriginal},
	{1 << 9, "--ctorigdstport", rules.CtProtoDst, rules.CtDirOriginal},
	{1 << 10, "--ctreplsrcport", rules.CtProtoSrc, rules.CtDirReply},
	{1 << 11, "--ctrepldstport", rules.CtProtoDst, rules.CtDirReply},
}

// decodeConntrack reads one revision. Revision 1 has masks of one byte; up to
// 2 a port is one, in network order, from 3 on a range in the machine's.
func decodeConntrack(revision uint8) func(*Context, *reader) Extension {
	return func(c *Context, r *reader) Extension {
		x := &conntrack{}
		for i := range x.addr {
			x.addr[i], x.mask[i] = r.addr(c.Family), r.addr(c.Family)
		}
		x.expires = [2]uint32{r.u32(), r.u32()}
		proto := r.u16()
		for i := range x.port {
			if revision < 3 {
				n := r.be16()
				x.port[i] = ports{n, n}
			} else {
				x.port[i].lo = r.u16()
			}
		}
		x.ask, x.invert = r.u16(), r.u16()
		if revision == 1 {
			x.state, x.status = uint16(r.u8()), uint16(r.u8())
		} else {
			x.state, x.status = r.u16(), r.u16()
		}
		for i := range x.port {
			if revision >= 3 {
				x.port[i].hi = r.u16()
			}
		}
		x.proto = uint8(proto)
		switch {
		case (x.ask|x.invert)&^ctAskAll != 0:
			r.fail("conntrack: flags %#x, inverted %#x", x.ask, x.invert)
		case x.ask&ctAskProto != 0 && proto > 0xff:
			r.fail("conntrack: protocol %d", proto)
		}
		return x
	}
}

// Statements follows conntrack_mt: with an entry all that is asked for has to
// hold; without one the state alone decides, and not asked for it does not
// hold.
func (x *conntrack) Statements(c *Context) []rules.Statement {
	entry := x.entry(c)
	if x.ask&ctAskState == 0 {
		if len(entry) == 0 {
			entry = []rules.Condition{hasEntry(c)}
		}
		return statements(entry)
	}
	state := x.stateCondition(c)
	if len(entry) == 0 {
		return []rules.Statement{state}
	}
	if !x.withoutEntry() {
		return append([]rules.Statement{state}, statements(entry)...)
	}
	return []rules.Statement{state, &rules.AnyOf{Span: c.Span, Parts: []rules.Condition{
		noEntry(c), &rules.AllOf{Span: c.Span, Parts: entry},
	}}}
}

func statements(conditions []rules.Condition) []rules.Statement {
	out := make([]rules.Statement, len(conditions))
	for i, cond := range conditions {
		out[i] = cond
	}
	return out
}

// entry is what is asked of the entry. Without one each of these is No, also
// inverted.
func (x *conntrack) entry(c *Context) []rules.Condition {
	var out []rules.Condition
	if inv, ok := x.asks(ctAskDirection); ok {
		// the packet is the first: it goes the original way
		dir := rules.CtDirOriginal
		if inv {
			dir = rules.CtDirReply
		}
		out = append(out, &rules.Match{Span: c.Span, Left: &rules.Ct{Key: rules.CtDirection, Dir: rules.CtDirNone}, Op: rules.CmpEq, Right: []byte{byte(dir)}})
	}
	for i, a := range ctAddrs {
		if inv, ok := x.asks(a.ask); ok {
			mask := x.mask[i].AsSlice()
			out = append(out, masked(c.Span, &rules.Ct{Key: a.key, Dir: a.dir, Len: len(mask)}, mask, maskedBytes(x.addr[i].AsSlice(), mask), inv))
		}
	}
	if inv, ok := x.asks(ctAskProto); ok {
		out = append(out, masked(c.Span, &rules.Ct{Key: rules.CtProtocol, Dir: rules.CtDirOriginal}, []byte{0xff}, []byte{x.proto}, inv))
	}
	for i, p := range ctPorts {
		if inv, ok := x.asks(p.ask); ok {
			out = append(out, within(c.Span, &rules.Ct{Key: p.key, Dir: p.dir}, be16(x.port[i].lo), be16(x.port[i].hi), inv))
		}
	}
	if inv, ok := x.asks(ctAskStatus); ok {
		out = append(out, anyBit(c, &rules.Ct{Key: rules.CtStatus, Dir: rules.CtDirNone}, uint32(x.status), inv))
	}
	if _, ok := x.asks(ctAskExpires); ok {
		out = append(out, hasEntry(c), &rules.Open{Span: c.Span, Name: "conntrack --ctexpire", From: rules.FromTime})
	}
	return out
}

func (x *conntrack) asks(what uint16) (invert, ok bool) { return x.invert&what != 0, x.ask&what != 0 }

// withoutEntry tells whether the state that is asked for can be that of a
// packet without an entry.
func (x *conntrack) withoutEntry() bool {
	inverted, _ := x.asks(ctAskState)
	const all = ctStateInvalid | ctStateUntracked
	if inverted {
		return x.state&all != all
	}
	return x.state&all != 0
}

func (x *conntrack) stateCondition(c *Context) rules.Condition {
	inverted, _ := x.asks(ctAskState)
	return ctStateCondition(c, ctStateBits(x.state), natBits(x.state), inverted)
}

// Alias is the name by which iptables-save prints it.
func (x *conntrack) Alias() string {
	if x.ask&ctAskAlias != 0 {
		return "state"
	}
	return "conntrack"
}

// Save follows conntrack_dump.
func (x *conntrack) Save(_ *Context, o *Options) {
	if inv, ok := x.asks(ctAskState); ok {
		option := "--ctstate"
		if x.ask&ctAskAlias != 0 {
			option = "--state"
		}
		o.Opt(inv, option, stateNames(x.state))
	}
	if inv, ok := x.asks(ctAskProto); ok {
		o.Opt(inv, "--ctproto", strconv.Itoa(int(x.proto)))
	}
	for i, a := range ctAddrs {
		if inv, ok := x.asks(a.ask); ok {
			o.Opt(inv, a.option, hostMask(x.addr[i], x.mask[i]))
		}
	}
	for i, p := range ctPorts {
		if inv, ok := x.asks(p.ask); ok {
			text := x.port[i]
			if text.hi == 0 {
				text.hi = text.lo
			}
			o.Opt(inv, p.option, text.String())
		}
	}
	if inv, ok := x.asks(ctAskStatus); ok {
		o.Opt(inv, "--ctstatus", statusNames(x.status))
	}
	if inv, ok := x.asks(ctAskExpires); ok {
		text := strconv.FormatUint(uint64(x.expires[0]), 10)
		if x.expires[0] != x.expires[1] {
			text = fmt.Sprintf("%d:%d", x.expires[0], x.expires[1])
		}
		o.Opt(inv, "--ctexpire", text)
	}
	if inv, ok := x.asks(ctAskDirection); ok {
		dir := "ORIGINAL"
		if inv {
			dir = "REPLY"
		}
		o.Word("--ctdir", dir)
	}
}

// statusWords are IPS_* as --ctstatus has them.
var statusWords = []struct {
	bit  uint16
	name string
}{{1, "EXPECTED"}, {2, "SEEN_REPLY"}, {4, "ASSURED"}, {8, "CONFIRMED"}}

func statusNames(status uint16) string {
	if status == 0 {
		return "NONE"
	}
	var out []string
	for _, w := range statusWords {
		if status&w.bit != 0 {
			out = append(out, w.name)
		}
	}
	return strings.Join(out, ",")
}
