package nft

import (
	"fmt"

	"github.com/ntdiag/ntdiag/rules"
)

// NFTA_SET_*.
const (
	attrSetTable    = 1
	attrSetName     = 2
	attrSetFlags    = 3
	attrSetKeyType  = 4
	attrSetKeyLen   = 5
	attrSetDataType = 6
	attrSetDataLen  = 7
	attrSetPolicy   = 8
	attrSetDesc     = 9
	attrSetID       = 10
	attrSetTimeout  = 11
	attrSetGC       = 12
	attrSetUserdata = 13
	attrSetObjType  = 15
	attrSetHandle   = 16
	attrSetExpr     = 17
	attrSetExprs    = 18
)

// NFTA_SET_DESC_*, and NFTA_SET_FIELD_LEN inside NFTA_SET_DESC_CONCAT.
const (
	attrDescSize   = 1
	attrDescConcat = 2
	attrFieldLen   = 1
)

// udataSetComment is NFTNL_UDATA_SET_COMMENT.
const udataSetComment = 7

// setParts is a set with its elements as they came.
type setParts struct {
	*rules.Set
	bounds bounds
	bad    error // why what is there is not all there is
}

// AddSet takes a NFT_MSG_NEWSET (nf_tables_fill_set).
func (b *Builder) AddSet(payload []byte) error {
	t, name, a, err := b.openIn("set", payload, attrSetTable, attrSetName)
	if err != nil {
		return err
	}
	if t.sets[string(name)] != nil {
		t.note("set %q was listed twice", name)
		return nil
	}
	s := &rules.Set{
		Table: t.Table, Name: string(name), ID: a.opt32(attrSetID), Handle: a.opt64(attrSetHandle),
		Flags:   rules.SetFlags(a.opt32(attrSetFlags)),
		KeyType: a.opt32(attrSetKeyType), DataType: a.opt32(attrSetDataType),
		KeyLen: int(min(a.opt32(attrSetKeyLen), maxLen)), DataLen: int(min(a.opt32(attrSetDataLen), maxLen)),
		ObjType: rules.ObjectType(a.opt32(attrSetObjType)), Timeout: a.opt64(attrSetTimeout),
		GCInterval: a.opt32(attrSetGC), Policy: a.opt32(attrSetPolicy),
		UserData: b.keeper.Share(a.get(attrSetUserdata)),
		Comment:  cstring(userdata(a.get(attrSetUserdata), udataSetComment)),
	}
	desc := a.nest(attrSetDesc)
	s.Size = desc.opt32(attrDescSize)
	s.FieldLens = fieldLens(s, desc)
	a.note(desc.err)
	if a.err != nil {
		t.note("set %q: %v", name, a.err)
		s.Missing = "the set's own description is damaged: " + a.err.Error()
	}
	keepIn(b.keeper, a, attrSetExpr, attrSetExprs)
	b.decoder.scope = t.scope
	if s.Exprs, err = b.decoder.inner(a, attrSetExpr, attrSetExprs); err != nil {
		t.note("set %q: %v", name, err)
	}
	t.sets[s.Name] = &setParts{Set: s}
	t.Sets = append(t.Sets, s)
	return nil
}

// maxLen keeps a senseless length from becoming a negative int.
const maxLen = 0xffff

// fieldLens are the lengths of a concatenated key's fields: as the kernel was
// told, else as the key's type says; nil when neither adds up to the key.
func fieldLens(s *rules.Set, desc *attrs) []int {
	var out []int
	if desc.has(attrDescConcat) {
		desc.note(eachAttr(desc.order, desc.get(attrDescConcat), func(_ int, val []byte) {
			field := parseAttrs(desc.order, val)
			out = append(out, int(min(field.u32(attrFieldLen), maxLen)))
			desc.note(field.err)
		}))
		if addsUp(out, s.KeyLen) {
			return out
		}
		desc.fail(fmt.Errorf("fields of %v bytes are not a key of %d", out, s.KeyLen))
	}
	return typeLens(s.KeyType, s.KeyLen)
}

func addsUp(lens []int, total int) bool {
	n := 0
	for _, l := range lens {
		if l <= 0 {
			return false
		}
		n += align4(l)
	}
	return len(lens) > 0 && n == align4(total)
}

// datatypeBits is how many bits a field of a concatenated key type has
// (TYPE_BITS of nft).
const datatypeBits = 6

// typeLens derives the fields' lengths from nft's number for the type of a
// concatenation, nil when it is not one or does not fit. One field of a type
// without a length of its own takes what is left.
func typeLens(keyType uint32, keyLen int) []int {
	var out []int
	for t := keyType; t != 0; t >>= datatypeBits {
		out = append([]int{datatypeLens[t&(1<<datatypeBits-1)]}, out...)
	}
	if len(out) < 2 {
		return nil
	}
	if open, at := openField(out); open == 1 {
		rest := align4(keyLen)
		for _, n := range out {
			rest -= align4(n)
		}
		out[at] = rest
	}
	if !addsUp(out, keyLen) {
		return nil
	}
	return out
}

// openField counts the fields without a length, and says which is the last.
func openField(lens []int) (n, at int) {
	for i, l := range lens {
		if l == 0 {
			n, at = n+1, i
		}
	}
	return n, at
}

// datatypeLens is the length in bytes of nft's datatypes by number (enum
// datatypes), 0 for those of any length.
var datatypeLens = [1 << datatypeBits]int{
	2: 1, 7: 4, 8: 16, 9: 6, 10: 2, 11: 2, 12: 1, 13: 2, 14: 1, 15: 1, 16: 1, 17: 1, 18: 8, 19: 4,
	20: 4, 21: 2, 22: 4, 23: 4, 24: 4, 25: 4, 26: 4, 27: 1, 28: 4, 29: 1, 30: 16, 31: 1, 32: 1,
	33: 1, 34: 1, 35: 4, 36: 1, 37: 1, 38: 4, 39: 1, 40: 4, 41: 16, 42: 1, 43: 8, 44: 4, 45: 1, 46: 8,
}

// finish puts the elements in their order.
func (p *setParts) finish(t *tableParts) {
	if p.bad != nil {
		t.note("elements of set %q: %v", p.Name, p.bad)
		if p.Missing == "" {
			p.Missing = p.bad.Error()
		}
	}
	p.Elements = p.bounds.elements(p.Flags&(rules.SetInterval|rules.SetConcat) == rules.SetInterval)
	p.bounds = bounds{}
	newPrinter(t.Family, t.scope.order).sort(p.Set)
	p.Prepare()
}
