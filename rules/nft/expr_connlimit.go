package nft

import (
	"fmt"

	"github.com/ntdiag/ntdiag/rules"
)

// NFTA_CONNLIMIT_*.
const (
	attrConnlimitCount = 1
	attrConnlimitFlags = 2
)

// connlimitInv is NFT_CONNLIMIT_F_INV.
const connlimitInv = 1

// decodeConnlimit follows nft_connlimit_do_init.
func decodeConnlimit(d *decoder, a *attrs) error {
	flags := a.opt32(attrConnlimitFlags)
	st := &rules.Connlimit{Span: d.span(), Count: a.u32(attrConnlimitCount), Over: flags&connlimitInv != 0}
	switch {
	case a.err != nil:
		return a.err
	case flags&^connlimitInv != 0:
		return fmt.Errorf("connlimit flags %#x are not known", flags)
	}
	d.emit(st)
	return nil
}
