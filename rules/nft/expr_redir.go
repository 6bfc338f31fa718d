package nft

import "github.com/ntdiag/ntdiag/rules"

// NFTA_REDIR_*.
const (
	attrRedirProtoMin = 1
	attrRedirProtoMax = 2
	attrRedirFlags    = 3
)

// decodeRedir follows nft_redir_init.
func decodeRedir(d *decoder, a *attrs) error {
	st := &rules.NAT{Kind: rules.Redirect, Family: d.family}
	return d.emitNAT(a, st, attrRedirProtoMin, attrRedirProtoMax, attrRedirFlags, operand{})
}
