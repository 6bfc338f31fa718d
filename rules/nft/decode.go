// Package nft turns nf_tables netlink messages into the rule model: a rule's
// register program becomes typed statements, with nothing left out.
//
// Attribute numbers are those of include/uapi/linux/netfilter/nf_tables.h.
// Numbers in attributes are in network order; values that go through
// registers are as the kernel's registers hold them.
package nft

import (
	"encoding/binary"
	"slices"

	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/keep"
	"github.com/ntdiag/ntdiag/rules/xt"
)

// decoder reads the expressions of one rule in order, keeping what each
// register holds.
type decoder struct {
	scope

	at      int // index of the present raw expression
	raw     *rules.RawExpr
	regs    [regSlots]slot
	writes  int
	loads   []loaded
	out     []placed
	covered []bool
	attrs   attrs
	xt      xt.Context
	words   map[string]string
	made    products
	// inTunnel: an expression inside an inner one, which can ask for the
	// tunnel's own header.
	inTunnel bool
}

// products are the things that rules are full of.
type products struct {
	lists    keep.Slab[rules.Statement]
	matches  keep.Slab[rules.Match]
	counters keep.Slab[rules.Counter]
	payloads keep.Slab[rules.Payload]
	metas    keep.Slab[rules.Meta]
	verdicts keep.Slab[rules.Verdict]
}

// scope is what a list of expressions is decoded in.
type scope struct {
	order  binary.ByteOrder
	family rules.Family
	names  names
	// exprs is the table of that name.
	exprs map[string]exprRow
}

// names finds the sets and chains of the rule's table.
type names struct {
	set   func(string) *rules.Set
	chain func([]byte) *rules.Chain
	ipset func(uint16) *rules.IPSet
}

// loaded is one write of a register.
type loaded struct {
	at   int
	x    rules.Expr
	made []int
}

// placed is a statement and the raw expression that it stands at.
type placed struct {
	at int
	st rules.Statement
}

// DecodeRule fills the statements and the comment of r from its raw
// expressions and user data. Sets and chains are looked up in table by name.
func DecodeRule(order binary.ByteOrder, table *rules.Table, r *rules.Rule) {
	n := names{
		set: table.Set, ipset: noNames.ipset,
		chain: func(name []byte) *rules.Chain { return table.Chain(string(name)) },
	}
	if table.Ruleset != nil {
		n.ipset = table.Ruleset.IPSet
	}
	d := &decoder{scope: scope{order, table.Family, n, exprs}}
	d.rule(r)
}

func (d *decoder) rule(r *rules.Rule) {
	r.Statements = d.list(r.Raw)
	if r.Comment = cstring(userdata(r.UserData, udataRuleComment)); r.Comment == "" {
		r.Comment = rules.CommentIn(r.Statements)
	}
}

// udataRuleComment is NFTNL_UDATA_RULE_COMMENT.
const udataRuleComment = 0

// list decodes a rule's expressions, or those of a set's elements. The
// spans of the statements together hold every index of raw.
func (d *decoder) list(raw []rules.RawExpr) []rules.Statement {
	d.regs, d.writes = [regSlots]slot{}, 0
	d.loads, d.out = d.loads[:0], d.out[:0]
	d.covered = slices.Grow(d.covered[:0], len(raw))[:len(raw)]
	clear(d.covered)
	for i := range raw {
		d.at, d.raw = i, &raw[i]
		d.expression(&raw[i])
	}
	d.placeUnread()
	slices.SortStableFunc(d.out, func(a, b placed) int { return a.at - b.at })
	out := d.made.lists.List(len(d.out))
	for i, p := range d.out {
		out[i] = p.st
	}
	return out
}

// expression decodes one; what is not understood becomes opaque.
func (d *decoder) expression(raw *rules.RawExpr) {
	row, ok := d.exprs[raw.Name]
	if !ok {
		d.opaque(raw, &rules.Opaque{Name: raw.Name, Why: "expression is not known", MayEnd: true}, true)
		return
	}
	d.attrs.parseStrict(d.order, raw.Data, row.last)
	err := d.attrs.err
	if err == nil {
		err = row.decode(d, &d.attrs)
	}
	if err != nil {
		o := &rules.Opaque{Name: raw.Name, Why: err.Error(), MayNAT: row.nats, MayEnd: row.ends}
		d.opaque(raw, o, row.writes)
	}
}

// opaque places o; writes tells that it may have written registers.
func (d *decoder) opaque(raw *rules.RawExpr, o *rules.Opaque, writes bool) {
	o.Span, o.Raw = d.span(), raw.Data
	d.emit(o)
	if writes {
		d.taint(o.Name + ": " + o.Why)
	}
}

// emit places a statement at the present expression.
func (d *decoder) emit(st rules.Statement) {
	for _, i := range st.Covers() {
		d.covered[i] = true
	}
	d.out = append(d.out, placed{d.at, st})
}

// placeUnread makes a statement of every load that no statement read, the
// last first, since that one stands for the loads it was computed from.
func (d *decoder) placeUnread() {
	for i := len(d.loads) - 1; i >= 0; i-- {
		if l := d.loads[i]; !d.covered[l.at] {
			d.at = l.at
			d.emit(&rules.Load{Span: l.made, Expr: l.x})
		}
	}
}
