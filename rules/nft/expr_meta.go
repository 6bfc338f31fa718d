package nft

import (
	"fmt"

	"github.com/ntdiag/ntdiag/rules"
)

// NFTA_META_*.
const (
	attrMetaDreg = 1
	attrMetaKey  = 2
	attrMetaSreg = 3
)

// decodeMeta follows nft_meta_get_init and nft_meta_set_init.
func decodeMeta(d *decoder, a *attrs) error {
	key := a.u32(attrMetaKey)
	if a.err != nil {
		return a.err
	}
	if key > uint32(rules.MetaBriIifhwaddr) {
		return fmt.Errorf("meta key %d is not known", key)
	}
	return d.loadOrAssign(a, attrMetaDreg, attrMetaSreg, rules.Assign{
		Target: rules.AssignMeta, Dest: d.made.metas.One(rules.Meta{Key: rules.MetaKey(key)}),
	})
}

// loadOrAssign is for expressions that either load set.Dest into the register
// of attribute dreg, or write that of sreg to it.
func (d *decoder) loadOrAssign(a *attrs, dreg, sreg int, set rules.Assign) error {
	switch {
	case a.has(dreg) == a.has(sreg):
		return fmt.Errorf("one of the attributes %d and %d must be given", dreg, sreg)
	case a.has(dreg):
		reg := a.u32(dreg)
		if a.err != nil {
			return a.err
		}
		return d.load(reg, set.Dest)
	}
	reg := a.u32(sreg)
	if a.err != nil {
		return a.err
	}
	v, err := d.read(reg, set.Dest.Width())
	if err != nil {
		return err
	}
	st := set // of its own: set is not to escape where it is a load
	st.Span, st.Value = d.span(v), v.x
	d.emit(&st)
	return nil
}
