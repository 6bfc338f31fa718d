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
	_ = eachAttr(order, b, func(int, []byte) { n++ })
	out := list(n)[:0]
	var bad error
	err := eachAttr(order, b, func(_ int, val []byte) {
		one, err := rawExpr(order, val)
		if err != nil {
			one, bad = rules.RawExpr{Data: val}, err
		}
		one.Data = keep(one.Data)
		out = append(out, one)
	})
	if err != nil {
		return append(out, rules.RawExpr{Data: keep(b)}), err
	}
	return out, bad
}

// rawExpr reads one: NFTA_EXPR_NAME and NFTA_EXPR_DATA.
func rawExpr(order binary.ByteOrder, b []byte) (rules.RawExpr, error) {
	var x rules.RawExpr
	err := eachAttr(order, b, func(typ int, val []byte) {
		switch typ {
		case attrExprName:
			x.Name = exprName(val)
		case attrExprData:
			x.Data = val
		}
	})
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
	if s, ok := frequentNames[string(b)]; ok {
		return s
	}
	return cstring(b)
}

// frequentNames maps each name to itself.
var frequentNames = map[string]string{
	"meta": "meta", "payload": "payload", "cmp": "cmp", "immediate": "immediate",
	"counter": "counter", "lookup": "lookup", "nat": "nat", "bitwise": "bitwise",
	"ct": "ct", "masq": "masq", "match": "match", "target": "target",
}
