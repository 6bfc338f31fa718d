package nft

import "github.com/ntdiag/ntdiag/rules"

// decodeNotrack follows nft_notrack_eval; there are no attributes.
func decodeNotrack(d *decoder, _ *attrs) error {
	d.emit(&rules.Notrack{Span: d.span()})
	return nil
}
