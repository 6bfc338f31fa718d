package nft

import (
	"fmt"

	"github.com/ntdiag/ntdiag/rules"
)

// NFTA_CT_*.
const (
	attrCtDreg      = 1
	attrCtKey       = 2
	attrCtDirection = 3
	attrCtSreg      = 4
)

// decodeCt follows nft_ct_get_init and nft_ct_set_init.
func decodeCt(d *decoder, a *attrs) error {
	x := &rules.Ct{Key: rules.CtKey(a.u32(attrCtKey)), Dir: rules.CtDirNone}
	if a.has(attrCtDirection) {
		x.Dir = rules.CtDir(a.u8(attrCtDirection))
	}
	switch {
	case a.err != nil:
		return a.err
	case x.Key > rules.CtID:
		return fmt.Errorf("ct key %d is not known", x.Key)
	case x.Dir != rules.CtDirNone && x.Dir > rules.CtDirReply:
		return fmt.Errorf("ct direction %d is not known", x.Dir)
	}
	if d.family == rules.FamilyIPv4 && (x.Key == rules.CtSrc || x.Key == rules.CtDst) {
		x.Len = 4
	}
	return d.loadOrAssign(a, attrCtDreg, attrCtSreg, rules.Assign{Target: rules.AssignCt, Dest: x})
}
