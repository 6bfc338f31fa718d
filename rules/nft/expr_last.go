package nft

import "github.com/ntdiag/ntdiag/rules"

// NFTA_LAST_*; attribute 3 pads.
const (
	attrLastSet   = 1
	attrLastMsecs = 2
)

// decodeLast follows nft_last_dump.
func decodeLast(d *decoder, a *attrs) error {
	st := &rules.Last{Span: d.span(), Set: a.opt32(attrLastSet) != 0, Ago: a.opt64(attrLastMsecs)}
	if a.err != nil {
		return a.err
	}
	d.emit(st)
	return nil
}
