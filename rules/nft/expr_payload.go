package nft

import (
	"fmt"

	"github.com/ntdiag/ntdiag/rules"
)

// NFTA_PAYLOAD_*.
const (
	attrPayloadDreg       = 1
	attrPayloadBase       = 2
	attrPayloadOffset     = 3
	attrPayloadLen        = 4
	attrPayloadSreg       = 5
	attrPayloadCsumType   = 6
	attrPayloadCsumOffset = 7
	attrPayloadCsumFlags  = 8
)

// decodePayload follows nft_payload_init and nft_payload_set_init.
func decodePayload(d *decoder, a *attrs) error {
	base, off, n := a.u32(attrPayloadBase), a.u32(attrPayloadOffset), a.u32(attrPayloadLen)
	set := rules.Assign{
		Target:     rules.AssignPayload,
		CsumType:   a.opt32(attrPayloadCsumType),
		CsumOffset: a.opt32(attrPayloadCsumOffset),
		CsumFlags:  a.opt32(attrPayloadCsumFlags),
	}
	switch {
	case a.err != nil:
		return a.err
	case base > uint32(rules.PayloadInner) && (base != uint32(rules.PayloadTunnel) || !d.inTunnel):
		return fmt.Errorf("payload base %d is not known", base)
	case off > maxOffset:
		return fmt.Errorf("payload offset %d is beyond any packet", off)
	case n == 0 || n > maxData:
		return fmt.Errorf("payload length is %d", n)
	}
	set.Dest = d.made.payloads.One(rules.Payload{Base: rules.PayloadBase(base), Off: int(off), Len: int(n)})
	return d.loadOrAssign(a, attrPayloadDreg, attrPayloadSreg, set)
}

// maxOffset is more than any packet is long.
const maxOffset = 0xffff
