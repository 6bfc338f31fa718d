package nft

import (
	"fmt"

	"github.com/ntdiag/ntdiag/rules"
)

// NFTA_REJECT_*.
const (
	attrRejectType = 1
	attrRejectCode = 2
)

const (
	rejectTCPReset = 1 // NFT_REJECT_TCP_RST
	rejectTypeMax  = 2 // NFT_REJECT_ICMPX_UNREACH
)

// decodeReject follows nft_reject_init: a TCP reset has no code.
func decodeReject(d *decoder, a *attrs) error {
	st := &rules.Reject{Span: d.span(), Type: a.u32(attrRejectType)}
	if a.has(attrRejectCode) || st.Type != rejectTCPReset {
		st.Code = a.u8(attrRejectCode)
	}
	switch {
	case a.err != nil:
		return a.err
	case st.Type > rejectTypeMax:
		return fmt.Errorf("reject type %d is not known", st.Type)
	}
	d.emit(st)
	return nil
}
