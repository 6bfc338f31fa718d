package nft

import (
	"errors"
	"fmt"

	"github.com/ntdiag/ntdiag/rules"
)

// NFTA_LOOKUP_*.
const (
	attrLookupSet   = 1
	attrLookupSreg  = 2
	attrLookupDreg  = 3
	attrLookupSetID = 4
	attrLookupFlags = 5
)

// lookupInv is NFT_LOOKUP_F_INV.
const lookupInv = 1

// decodeLookup follows nft_lookup_init: without a destination register it is a
// condition, with the verdict register a verdict map, else a map.
func decodeLookup(d *decoder, a *attrs) error {
	name, sreg, flags := a.name(attrLookupSet), a.u32(attrLookupSreg), a.opt32(attrLookupFlags)
	if a.err != nil {
		return a.err
	}
	if flags&^lookupInv != 0 {
		return fmt.Errorf("lookup flags %#x are not known", flags)
	}
	set, key, err := d.key(name, sreg)
	if err != nil {
		return err
	}
	if !a.has(attrLookupDreg) {
		d.emit(&rules.InSet{Span: d.span(key), Key: key.x, Set: set, Invert: flags&lookupInv != 0})
		return nil
	}
	dreg := a.u32(attrLookupDreg)
	switch {
	case a.err != nil:
		return a.err
	case flags != 0:
		return errors.New("lookup in a map is inverted")
	case set.Flags&rules.SetMap == 0:
		return fmt.Errorf("set %q is not a map", name)
	case set.Verdicts() != (dreg == regV):
		return fmt.Errorf("map %q does not fit register %d", name, dreg)
	case dreg == regV:
		d.emit(&rules.VerdictMap{Span: d.span(key), Key: key.x, Set: set})
		return nil
	case set.DataLen <= 0 || set.DataLen > maxData:
		return fmt.Errorf("map %q has data of %d bytes", name, set.DataLen)
	}
	return d.load(dreg, &rules.MapLookup{Key: key.x, Set: set}, key)
}

// key finds a set and reads its key from a register.
func (d *decoder) key(name string, reg uint32) (*rules.Set, operand, error) {
	set := d.names.set(name)
	if set == nil {
		return nil, operand{}, fmt.Errorf("set %q is not in the table", name)
	}
	if set.KeyLen <= 0 || set.KeyLen > maxData {
		return nil, operand{}, fmt.Errorf("set %q has a key of %d bytes", name, set.KeyLen)
	}
	op, err := d.read(reg, set.KeyLen)
	return set, op, err
}
