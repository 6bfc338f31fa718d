package nft

import (
	"bytes"
	"errors"
	"fmt"
	"sort"

	"github.com/ntdiag/ntdiag/rules"
)

// NFTA_SET_ELEM_LIST_*.
const (
	attrElemListTable = 1
	attrElemListSet   = 2
	attrElemListElems = 3
)

// NFTA_SET_ELEM_*.
const (
	attrElemKey      = 1
	attrElemData     = 2
	attrElemFlags    = 3
	attrElemTimeout  = 4
	attrElemExpires  = 5
	attrElemUserdata = 6
	attrElemExpr     = 7
	attrElemObjref   = 9
	attrElemKeyEnd   = 10
	attrElemExprs    = 11
)

const (
	elemIntervalEnd = 1 // NFT_SET_ELEM_INTERVAL_END
	elemCatchall    = 2 // NFT_SET_ELEM_CATCHALL
)

// rawElement is one NFTA_LIST_ELEM, not yet looked into.
type rawElement []byte

// AddElements takes a NFT_MSG_NEWSETELEM (nf_tables_fill_setelem); a set's
// elements may come in several.
func (b *Builder) AddElements(payload []byte) error {
	t, name, a, err := b.openIn("elements of set", payload, attrElemListTable, attrElemListSet)
	if err != nil {
		return err
	}
	s := t.sets[name]
	if s == nil {
		t.note("set %q was not listed, but has elements", name)
		return nil
	}
	err = eachAttr(b.order, a.val[attrElemListElems], func(_ int, val []byte) {
		s.raw = append(s.raw, val)
	})
	if err != nil || a.err != nil {
		err = errors.Join(err, a.err)
		t.note("elements of set %q: %v", name, err)
		s.Missing = err.Error()
	}
	return nil
}

// bound is an element, or the mark that ends the interval before it.
type bound struct {
	rules.Element
	end bool
}

// elements decodes the raw elements into the set. An error says that what is
// there is not all there is.
func (p *setParts) elements(t *tableParts, s scope) error {
	var bad error
	bounds := make([]bound, 0, len(p.raw))
	for _, raw := range p.raw {
		e, err := p.element(raw, t, s)
		if err != nil {
			bad = err
			continue
		}
		bounds = append(bounds, e)
	}
	if p.Flags&(rules.SetInterval|rules.SetConcat) == rules.SetInterval {
		p.Elements = intervals(bounds)
		return bad
	}
	p.Elements = make([]rules.Element, 0, len(bounds))
	for _, e := range bounds {
		if !e.end {
			p.Elements = append(p.Elements, plain(e.Element))
		}
	}
	return bad
}

// element decodes one (nf_tables_fill_setelem).
func (p *setParts) element(raw rawElement, t *tableParts, s scope) (bound, error) {
	a := parseAttrs(s.order, raw)
	flags := a.opt32(attrElemFlags)
	e := bound{end: flags&elemIntervalEnd != 0, Element: rules.Element{
		Catchall: flags&elemCatchall != 0,
		Timeout:  a.opt64(attrElemTimeout), Expires: a.opt64(attrElemExpires),
		Object: a.str(attrElemObjref), Comment: cstring(userdata(a.val[attrElemUserdata], udataComment)),
	}}
	if !e.Catchall {
		e.Key = p.keyOf(a, attrElemKey)
		if a.has(attrElemKeyEnd) {
			e.KeyEnd = p.keyOf(a, attrElemKeyEnd)
		}
	}
	if a.has(attrElemData) {
		p.data(a, &e.Element, s)
	}
	if a.err != nil {
		return e, fmt.Errorf("element: %w", a.err)
	}
	var err error
	if e.Exprs, err = s.inner(a, attrElemExpr, attrElemExprs); err != nil {
		t.note("element of set %q: %v", p.Name, err)
	}
	return e, nil
}

// keyOf is a key of the set's length.
func (p *setParts) keyOf(a *attrs, n int) []byte {
	k := a.value(n)
	if a.err == nil && len(k) != p.KeyLen {
		a.fail(fmt.Errorf("key has %d bytes, not %d", len(k), p.KeyLen))
	}
	return k
}

// data is what a map holds: a verdict, or register bytes. Where the map holds
// intervals the bytes are both ends, one after the other, and Data keeps both.
func (p *setParts) data(a *attrs, e *rules.Element, s scope) {
	if !p.Verdicts() {
		e.Data = a.value(attrElemData)
		if a.err == nil && len(e.Data) != p.DataLen {
			a.fail(fmt.Errorf("data has %d bytes, not %d", len(e.Data), p.DataLen))
		}
		return
	}
	v, err := decodeVerdict(a, attrElemData)
	if err != nil {
		a.fail(err)
		return
	}
	v.Chain = s.names.chain(v.ChainName)
	e.Verdict = v
}

// plain drops the end of an interval of one key.
func plain(e rules.Element) rules.Element {
	if e.KeyEnd != nil && bytes.Equal(e.Key, e.KeyEnd) {
		e.KeyEnd = nil
	}
	return e
}

// intervals joins beginnings with their ends: in a set of intervals an element
// stands for the keys from its own up to the next element, which can be a
// beginning or an end mark (__nft_rbtree_lookup). At one key the beginning
// counts. The last interval, when nothing ends it, reaches to all ones.
func intervals(bounds []bound) []rules.Element {
	var catchall []rules.Element
	sorted := make([]bound, 0, len(bounds))
	for _, b := range bounds {
		if b.Catchall {
			catchall = append(catchall, b.Element)
		} else {
			sorted = append(sorted, b)
		}
	}
	sort.SliceStable(sorted, func(i, j int) bool {
		if c := bytes.Compare(sorted[i].Key, sorted[j].Key); c != 0 {
			return c < 0
		}
		return !sorted[i].end && sorted[j].end
	})
	out := make([]rules.Element, 0, len(sorted)+len(catchall))
	for i := range sorted {
		e := sorted[i].Element
		switch {
		case sorted[i].end:
			continue
		case e.KeyEnd != nil:
		default:
			e.KeyEnd = before(sorted[i+1:], e.Key)
		}
		out = append(out, plain(e))
	}
	return append(out, catchall...)
}

// before is the last key ahead of the next bound that lies beyond key.
func before(next []bound, key []byte) []byte {
	end := make([]byte, len(key))
	for _, b := range next {
		if bytes.Equal(b.Key, key) {
			continue
		}
		copy(end, b.Key)
		for i := len(end) - 1; i >= 0; i-- {
			end[i]--
			if end[i] != 0xff {
				break
			}
		}
		return end
	}
	for i := range end {
		end[i] = 0xff
	}
	return end
}
