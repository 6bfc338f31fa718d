package nft

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/keep"
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

// AddElements takes a NFT_MSG_NEWSETELEM (nf_tables_fill_setelem); a set's
// elements may come in several.
func (b *Builder) AddElements(payload []byte) error {
	t, name, a, err := b.openIn("elements of set", payload, attrElemListTable, attrElemListSet)
	if err != nil {
		return err
	}
	p := t.sets[string(name)]
	switch {
	case p == nil:
		t.note("set %q was not listed, but has elements", name)
		return nil
	case b.ready:
		t.note("elements of set %q come after the rules", name)
		p.Missing = "they come after the rules"
		return nil
	}
	err = eachAttr(b.order, a.get(attrElemListElems), func(_ int, val []byte) {
		e, err := b.elementOf(t, p, val)
		if err != nil {
			p.bad = err
			return
		}
		p.bounds.add(e)
	})
	if err != nil || a.err != nil {
		err = errors.Join(err, a.err)
		t.note("elements of set %q: %v", name, err)
		p.Missing = err.Error()
	}
	return nil
}

// elementOf decodes one (nf_tables_fill_setelem).
func (b *Builder) elementOf(t *tableParts, p *setParts, raw []byte) (bound, error) {
	a := &b.element
	a.parse(b.order, raw)
	flags := a.opt32(attrElemFlags)
	e := bound{end: flags&elemIntervalEnd != 0, Element: rules.Element{
		Catchall: flags&elemCatchall != 0,
		Timeout:  a.opt64(attrElemTimeout), Expires: a.opt64(attrElemExpires),
		Object: a.str(attrElemObjref), Comment: cstring(userdata(a.get(attrElemUserdata), udataComment)),
	}}
	if !e.Catchall {
		e.Key = b.keeper.Keep(p.keyOf(a, attrElemKey))
		if a.has(attrElemKeyEnd) {
			e.KeyEnd = b.keeper.Keep(p.keyOf(a, attrElemKeyEnd))
		}
	}
	if a.has(attrElemData) {
		b.data(t, p, &e.Element)
	}
	if a.err != nil {
		return e, fmt.Errorf("element: %w", a.err)
	}
	if !a.has(attrElemExpr) && !a.has(attrElemExprs) {
		return e, nil
	}
	var err error
	keepIn(b.keeper, a, attrElemExpr, attrElemExprs)
	b.decoder.scope = t.scope
	if e.Exprs, err = b.decoder.inner(a, attrElemExpr, attrElemExprs); err != nil {
		t.note("element of set %q: %v", p.Name, err)
	}
	return e, nil
}

// keepIn keeps attributes of a message.
func keepIn(k *keep.Bytes, a *attrs, numbers ...int) {
	for _, n := range numbers {
		if a.has(n) {
			a.val[n] = k.Keep(a.val[n])
		}
	}
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
func (b *Builder) data(t *tableParts, p *setParts, e *rules.Element) {
	a := &b.element
	if !p.Verdicts() {
		e.Data = b.keeper.Share(a.value(attrElemData))
		if a.err == nil && len(e.Data) != p.DataLen {
			a.fail(fmt.Errorf("data has %d bytes, not %d", len(e.Data), p.DataLen))
		}
		return
	}
	v, err := t.scope.verdict(a, attrElemData)
	if err != nil {
		a.fail(err)
		return
	}
	e.Verdict = b.verdicts.One(v)
	b.lead(t, e.Verdict)
}

// bound is an element, or the mark that ends the interval before it.
type bound struct {
	rules.Element
	end bool
}

// bounds are many, in pieces: a long list that grows would be copied each time.
type bounds struct {
	pieces [][]bound
	n      int
}

const boundsPiece = 256

func (b *bounds) add(x bound) {
	if b.n%boundsPiece == 0 {
		b.pieces = append(b.pieces, make([]bound, 0, min(boundsPiece, max(4, b.n))))
	}
	last := &b.pieces[len(b.pieces)-1]
	*last = append(*last, x)
	b.n++
}

func (b *bounds) at(i int32) *bound { return &b.pieces[i/boundsPiece][i%boundsPiece] }

// elements are the bounds as elements; intervals tells that each stands for
// the keys up to the next.
func (b *bounds) elements(intervals bool) []rules.Element {
	if intervals {
		return b.intervals()
	}
	out := make([]rules.Element, 0, b.n)
	for _, piece := range b.pieces {
		for i := range piece {
			if !piece[i].end {
				out = append(out, plain(piece[i].Element))
			}
		}
	}
	return out
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
func (b *bounds) intervals() []rules.Element {
	var catchall []rules.Element
	sorted := make([]int32, 0, b.n)
	for i := range int32(b.n) {
		if x := b.at(i); x.Catchall {
			catchall = append(catchall, x.Element)
		} else {
			sorted = append(sorted, i)
		}
	}
	slices.SortStableFunc(sorted, func(i, j int32) int {
		x, y := b.at(i), b.at(j)
		if c := bytes.Compare(x.Key, y.Key); c != 0 || x.end == y.end {
			return c
		}
		if y.end {
			return -1
		}
		return 1
	})
	out := make([]rules.Element, 0, len(sorted)+len(catchall))
	for i, at := range sorted {
		x := b.at(at)
		if x.end {
			continue
		}
		e := x.Element
		if e.KeyEnd == nil {
			e.KeyEnd = b.before(sorted[i+1:], e.Key)
		}
		out = append(out, plain(e))
	}
	return append(out, catchall...)
}

// before is the last key ahead of the next bound that lies beyond key.
func (b *bounds) before(next []int32, key []byte) []byte {
	end := make([]byte, len(key))
	for _, at := range next {
		x := b.at(at)
		if bytes.Equal(x.Key, key) {
			continue
		}
		copy(end, x.Key)
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
