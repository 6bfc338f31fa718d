package nft

import (
	"fmt"

	"github.com/ntdiag/ntdiag/rules"
)

// NFTA_OBJREF_*.
const (
	attrObjrefType    = 1
	attrObjrefName    = 2
	attrObjrefSetSreg = 3
	attrObjrefSetName = 4
	attrObjrefSetID   = 5
)

// decodeObjref follows nft_objref_init and nft_objref_map_init.
func decodeObjref(d *decoder, a *attrs) error {
	if !a.has(attrObjrefSetName) {
		st := &rules.ObjRef{
			Span: d.span(), Type: rules.ObjectType(a.u32(attrObjrefType)), Name: a.name(attrObjrefName),
		}
		if a.err != nil {
			return a.err
		}
		d.emit(st)
		return nil
	}
	name, sreg := a.name(attrObjrefSetName), a.u32(attrObjrefSetSreg)
	if a.err != nil {
		return a.err
	}
	set, key, err := d.key(name, sreg)
	if err != nil {
		return err
	}
	if set.Flags&rules.SetObject == 0 {
		return fmt.Errorf("set %q does not hold objects", name)
	}
	d.emit(&rules.ObjRef{Span: d.span(key), Type: set.ObjType, Key: key.x, Set: set})
	return nil
}
