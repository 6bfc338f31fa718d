package nft

import "github.com/ntdiag/ntdiag/rules"

// declaration is the line that says what a set holds. key and data are
// refined by what the user data says of them.
func (p *printer) declaration(s *rules.Set, key, data *typed) string {
	word, k, d := "type", typeText(*key), ""
	tk, okKey := p.typeof(s, udataSetKeyTypeof)
	if okKey {
		refine(key, tk)
		word, k = "typeof", tk.text
	}
	if s.Flags&rules.SetMap != 0 {
		d = typeText(*data)
		if td, ok := p.typeof(s, udataSetDataTypeof); ok && okKey {
			refine(data, td)
			d = td.text
		} else if okKey && !s.Verdicts() {
			word, k = "type", typeText(*key)
		}
		if b := userdata(s.UserData, udataSetDataInterval); !isZero(b) {
			d = "interval " + d
		}
	}
	if s.Flags&rules.SetObject != 0 {
		d = objectRows[s.ObjType].name
	}
	if d != "" {
		d = " : " + d
	}
	return word + " " + k + d
}

// refine takes the types, but not the byte order and the widths, from what
// the set was declared with.
func refine(t *typed, by typed) {
	if len(t.parts) == 0 && len(by.parts) == 0 {
		t.typ = by.typ
		return
	}
	for i := range t.parts {
		if i < len(by.parts) {
			t.parts[i].typ = by.parts[i].typ
		}
	}
}

// NFTNL_UDATA_SET_*, and NFTNL_UDATA_SET_TYPEOF_*.
const (
	udataSetAutoMerge    = 2
	udataSetKeyTypeof    = 3
	udataSetDataTypeof   = 4
	udataSetDataInterval = 6
	udataTypeofExpr      = 0
	udataTypeofData      = 1
)

// The expressions of nft (enum expr_types) that a typeof can name.
const (
	exprPayload = 7
	exprMeta    = 9
	exprCt      = 12
	exprConcat  = 13
	exprNumgen  = 23
)

// typeof reads the expression that a set was declared with.
func (p *printer) typeof(s *rules.Set, which byte) (typed, bool) {
	b := userdata(s.UserData, which)
	if b == nil {
		return typed{}, false
	}
	return p.typeofExpr(userdata(b, udataTypeofExpr), userdata(b, udataTypeofData))
}

func (p *printer) typeofExpr(kind, data []byte) (typed, bool) {
	if len(kind) != 4 {
		return typed{}, false
	}
	// the fields of each kind are numbers in the host's order
	num := func(n byte) uint32 {
		if b := userdata(data, n); len(b) == 4 {
			return p.order.Uint32(b)
		}
		return ^uint32(0)
	}
	switch p.order.Uint32(kind) {
	case exprMeta:
		return p.meta(&rules.Meta{Key: rules.MetaKey(num(0))}), true
	case exprCt:
		return p.ct(&rules.Ct{Key: rules.CtKey(num(0)), Dir: rules.CtDir(num(1))}), true
	case exprPayload:
		return typeofPayload(num(0), num(1))
	case exprNumgen:
		return numgen(&rules.Numgen{Random: num(0) == 1, Modulus: num(1), Offset: num(2)}), true
	case exprConcat:
		return p.typeofConcat(data)
	}
	return typed{}, false
}

func (p *printer) typeofConcat(data []byte) (typed, bool) {
	out := typed{typ: typeInteger}
	for i := byte(0); i < 16; i++ {
		b := userdata(data, i)
		if b == nil {
			break
		}
		part, ok := p.typeofExpr(userdata(b, udataTypeofExpr), userdata(b, udataTypeofData))
		if !ok {
			return typed{}, false
		}
		if i > 0 {
			out.text += " . "
		}
		out.text += part.text
		out.parts = append(out.parts, part)
	}
	return out, len(out.parts) > 0
}

// typeofHeaders is nft's enum proto_desc_id.
var typeofHeaders = [...]*header{
	1: headerAH, 2: headerESP, 3: headerComp, 4: headerICMP, 5: headerIGMP, 6: headerUDP, 7: headerUDPLite,
	8: headerTCP, 9: headerDCCP, 10: headerSCTP, 11: headerTh, 12: headerIP, 13: headerIP6, 14: headerICMP6,
	15: headerARP, 16: headerVlan, 17: headerEther,
}

// typeofPayload: fields are numbered from 1 in the order of their header.
func typeofPayload(desc, f uint32) (typed, bool) {
	if int64(desc) >= int64(len(typeofHeaders)) || typeofHeaders[desc] == nil {
		return typed{}, false
	}
	h := typeofHeaders[desc]
	if h == headerVlan && f >= 3 {
		f-- // nft has a field dei and its other name, cfi
	}
	if f < 1 || int64(f) > int64(len(h.fields)) {
		return typed{}, false
	}
	x := h.fields[f-1]
	return typed{text: h.name + " " + x.name, typ: x.typ, n: (x.bits + 7) / 8}, true
}
