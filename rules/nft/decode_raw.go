package nft

import (
	"encoding/binary"
	"fmt"

	"github.com/ntdiag/ntdiag/rules"
)

// inner decodes the statements that elements carry: one in attribute
// single, or a list of them in attribute list. The bytes must stay.
func (d *decoder) inner(a *attrs, single, list int) ([]rules.Statement, error) {
	var raw []rules.RawExpr
	switch {
	case a.has(list):
		var err error
		if raw, err = rawExprs(d.order, a.get(list)); err != nil {
			return nil, err
		}
	case a.has(single):
		one, err := rawExpr(d.order, a.get(single))
		if err != nil {
			return nil, err
		}
		raw = append(raw, one)
	default:
		return nil, nil
	}
	d.names = noNames
	out := d.list(raw)
	for _, st := range out {
		if o, ok := st.(*rules.Opaque); ok {
			return out, fmt.Errorf("statement %s of the elements: %s", o.Name, o.Why)
		}
	}
	return out, nil
}

// noNames is for expressions that can refer to no set or chain.
var noNames = names{
	set:   func(string) *rules.Set { return nil },
	chain: func([]byte) *rules.Chain { return nil },
	ipset: func(uint16) *rules.IPSet { return nil },
}

// rawExprs reads a list of expressions (NFTA_RULE_EXPRESSIONS and the like).
// What cannot be read as an expression is kept as one without a name.
func rawExprs(order binary.ByteOrder, b []byte) ([]rules.RawExpr, error) {
	return readExprs(order, b, func(n int) []rules.RawExpr { return make([]rules.RawExpr, n) }, func(b []byte) []byte { return b })
}

// readExprs is rawExprs with a list that is made elsewhere, and bytes that are
// kept.
func readExprs(order binary.ByteOrder, b []byte, list func(int) []rules.RawExpr, keep func([]byte) []byte) ([]rules.RawExpr, error) {
	n := 0
	for it := iterate(order, b); it.next(); {
		n++
	}
	out := list(n)[:0]
	var bad error
	it := iterate(order, b)
	for it.next() {
		one, err := rawExpr(order, it.val)
		if err != nil {
			one, bad = rules.RawExpr{Data: it.val}, err
		}
		one.Data = keep(one.Data)
		out = append(out, one)
	}
	if it.err != nil {
		return append(out, rules.RawExpr{Data: keep(b)}), it.err
	}
	return out, bad
}

// rawExpr reads one: NFTA_EXPR_NAME and NFTA_EXPR_DATA.
func rawExpr(order binary.ByteOrder, b []byte) (rules.RawExpr, error) {
	var x rules.RawExpr
	it := iterate(order, b)
	for it.next() {
		switch it.typ {
		case attrExprName:
			x.Name = exprName(it.val)
		case attrExprData:
			x.Data = it.val
		}
	}
	err := it.err
	if err == nil && x.Name == "" {
		err = fmt.Errorf("expression without a name")
	}
	return x, err
}

// exprName is the name without a copy where it is a known one: a ruleset
// repeats few names many times.
func exprName(b []byte) string {
	if n := len(b); n > 0 && b[n-1] == 0 {
		b = b[:n-1]
	}
	switch string(b) { // a table would cost more than what it is for
	case "meta":
		return "meta"
	case "payload":
		return "payload"
	case "cmp":
		return "cmp"
	case "immediate":
		return "immediate"
	case "counter":
		return "counter"
	case "lookup":
		return "lookup"
	case "nat":
		return "nat"
	case "bitwise":
		return "bitwise"
	case "ct":
		return "ct"
	case "masq":
		return "masq"
	case "match":
		return "match"
	case "target":
		return "target"
	}
	return cstring(b)
}
