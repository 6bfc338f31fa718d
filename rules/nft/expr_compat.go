package nft

import (
	"errors"
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

// decodeCompatMatch is an xtables match inside nf_tables (nft_match_eval): a
// condition, which writes no register and gives no verdict.
func decodeCompatMatch(d *decoder, a *attrs) error {
	b, err := compatBlob(d, a)
	if err != nil {
		return err
	}
	d.emitXT(xt.Match(d.xtContext(), &b))
	return nil
}

// decodeCompatTarget is an xtables target (nft_target_eval_xt): it may do
// anything but write a register.
func decodeCompatTarget(d *decoder, a *attrs) error {
	b, err := compatBlob(d, a)
	if err != nil {
		o := &rules.Opaque{Name: "target", Why: err.Error(), MayEnd: true, MayNAT: b.Name == "" || xt.IsNAT(b.Name)}
		d.opaque(d.raw, o, false)
		return nil
	}
	d.emitXT(xt.Target(d.xtContext(), &b))
	return nil
}

func compatBlob(d *decoder, a *attrs) (xt.Blob, error) {
	b := xt.Blob{Name: d.word(a.get(attrCompatName))}
	if b.Name == "" {
		return b, errors.New("xtables extension without a name")
	}
	rev := a.u32(attrCompatRev)
	b.Info = a.bytes(attrCompatInfo)
	switch {
	case a.err != nil:
		return b, fmt.Errorf("xtables extension %s: %w", b.Name, a.err)
	case rev > 0xff:
		return b, fmt.Errorf("xtables extension %s: revision %d", b.Name, rev)
	}
	b.Revision = uint8(rev)
	return b, nil
}

// word is a string that rules say again and again: it is made once.
func (d *decoder) word(b []byte) string {
	b = cbytes(b)
	w, ok := d.words[string(b)]
	if !ok {
		w = string(b)
		if d.words == nil {
			d.words = map[string]string{}
		}
		d.words[w] = w
	}
	return w
}

// xtContext is good until the next one.
func (d *decoder) xtContext() *xt.Context {
	d.xt = xt.Context{Order: d.order, Family: d.family, Span: d.span(), IPSet: d.names.ipset, Proto: d.proto()}
	return &d.xt
}

func (d *decoder) emitXT(list []rules.Statement) {
	for _, st := range list {
		if o, ok := st.(*rules.Opaque); ok {
			o.Raw = d.raw.Data
		}
		d.emit(st)
	}
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
