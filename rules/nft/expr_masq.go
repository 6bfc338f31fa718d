package nft

import "github.com/ntdiag/ntdiag/rules"

// NFTA_MASQ_*.
const (
	attrMasqFlags    = 1
	attrMasqProtoMin = 2
	attrMasqProtoMax = 3
)

// decodeMasq follows nft_masq_init.
func decodeMasq(d *decoder, a *attrs) error {
	st := &rules.NAT{Kind: rules.Masquerade, Family: d.family}
	return d.emitNAT(a, st, attrMasqProtoMin, attrMasqProtoMax, attrMasqFlags, operand{})
}
