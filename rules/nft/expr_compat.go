package nft

import (
	"fmt"

	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/xt"
)

// NFTA_MATCH_*, NFTA_TARGET_*: the same numbers for both.
const (
	attrCompatName = 1
	attrCompatRev  = 2
	attrCompatInfo = 3
)

// decodeCompatMatch is an xtables match inside nf_tables (nft_match_eval).
func decodeCompatMatch(d *decoder, a *attrs) error { return d.compat(a, xt.Match) }

// decodeCompatTarget is an xtables target (nft_target_eval_xt).
func decodeCompatTarget(d *decoder, a *attrs) error { return d.compat(a, xt.Target) }

func (d *decoder) compat(a *attrs, decode func(*xt.Context, *xt.Blob) []rules.Statement) error {
	b := xt.Blob{Name: a.name(attrCompatName), Info: a.bytes(attrCompatInfo)}
	rev := a.u32(attrCompatRev)
	switch {
	case a.err != nil:
		return fmt.Errorf("xtables extension: %w", a.err)
	case rev > 0xff:
		return fmt.Errorf("xtables extension %s: revision %d", b.Name, rev)
	}
	b.Revision = uint8(rev)
	c := &xt.Context{Order: d.order, Family: d.family, Span: d.span(), Chain: d.names.chain, IPSet: d.names.ipset, Proto: d.proto()}
	for _, st := range decode(c, &b) {
		if o, ok := st.(*rules.Opaque); ok {
			o.Raw = d.raw.Data
		}
		d.emit(st)
	}
	return nil
}

// proto is the protocol that the rule has asked for so far, 0 for any.
func (d *decoder) proto() uint8 {
	for i := range d.out {
		m, ok := d.out[i].st.(*rules.Match)
		if !ok || m.Op != rules.CmpEq || len(m.Right) != 1 {
			continue
		}
		switch x := m.Left.(type) {
		case *rules.Meta:
			if x.Key == rules.MetaL4proto {
				return m.Right[0]
			}
		case *rules.Payload:
			if d.family == rules.FamilyIPv4 && *x == (rules.Payload{Base: rules.PayloadNetwork, Off: 9, Len: 1}) {
				return m.Right[0]
			}
		}
	}
	return 0
}
