package nft

import (
	"fmt"

	"github.com/ntdiag/ntdiag/rules"
)

// NFTA_QUOTA_*.
const (
	attrQuotaBytes    = 1
	attrQuotaFlags    = 2
	attrQuotaConsumed = 4
)

const (
	quotaInv      = 1 // NFT_QUOTA_F_INV
	quotaDepleted = 2 // NFT_QUOTA_F_DEPLETED
)

// decodeQuota follows nft_quota_do_init.
func decodeQuota(d *decoder, a *attrs) error {
	flags := a.opt32(attrQuotaFlags)
	st := &rules.Quota{
		Span: d.span(), Bytes: a.u64(attrQuotaBytes), Consumed: a.opt64(attrQuotaConsumed), Over: flags&quotaInv != 0,
	}
	switch {
	case a.err != nil:
		return a.err
	case flags&^(quotaInv|quotaDepleted) != 0:
		return fmt.Errorf("quota flags %#x are not known", flags)
	}
	d.emit(st)
	return nil
}
