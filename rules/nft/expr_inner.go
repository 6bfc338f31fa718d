package nft

import (
	"fmt"

	"github.com/ntdiag/ntdiag/rules"
)

// NFTA_INNER_*.
const (
	attrInnerNum     = 1
	attrInnerType    = 2
	attrInnerFlags   = 3
	attrInnerHdrSize = 4
	attrInnerExpr    = 5
)

// innerMask is NFT_INNER_MASK.
const innerMask = rules.InnerHdrSize | rules.InnerLink | rules.InnerNetwork | rules.InnerTransport

// decodeInner follows nft_inner_init: it holds one payload or meta expression,
// whose register the result goes to.
func decodeInner(d *decoder, a *attrs) error {
	x := &rules.Inner{
		Type: rules.InnerType(a.u32(attrInnerType)), Flags: rules.InnerFlags(a.u32(attrInnerFlags)),
		HdrSize: a.u32(attrInnerHdrSize),
	}
	num, nested := a.opt32(attrInnerNum), a.bytes(attrInnerExpr)
	switch {
	case a.err != nil:
		return a.err
	case num != 0:
		return fmt.Errorf("inner header %d is not known", num)
	case x.Flags&^innerMask != 0:
		return fmt.Errorf("inner flags %#x are not known", uint32(x.Flags))
	}
	raw, err := rawExpr(d.order, nested)
	if err != nil {
		return fmt.Errorf("inner: %w", err)
	}
	if raw.Name != "payload" && raw.Name != "meta" {
		return fmt.Errorf("inner expression %s is not known", raw.Name)
	}
	row := d.exprs[raw.Name]
	in := &decoder{scope: d.scope, covered: make([]bool, 1), raw: &raw, inTunnel: true}
	in.attrs.parseStrict(d.order, raw.Data, row.last)
	if in.attrs.err == nil {
		in.attrs.err = row.decode(in, &in.attrs)
	}
	switch {
	case in.attrs.err != nil:
		return fmt.Errorf("inner %s: %w", raw.Name, in.attrs.err)
	case len(in.loads) != 1:
		return fmt.Errorf("inner %s loads nothing", raw.Name)
	}
	x.X = in.loads[0].x
	return d.load(in.attrs.u32(attrMetaDreg), x) // NFTA_META_DREG is NFTA_PAYLOAD_DREG
}
