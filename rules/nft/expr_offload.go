package nft

import "github.com/ntdiag/ntdiag/rules"

// attrFlowTableName is NFTA_FLOW_TABLE_NAME.
const attrFlowTableName = 1

// decodeFlowOffload follows nft_flow_offload_init.
func decodeFlowOffload(d *decoder, a *attrs) error {
	st := &rules.FlowOffload{Span: d.span(), Flowtable: a.name(attrFlowTableName)}
	if a.err != nil {
		return a.err
	}
	d.emit(st)
	return nil
}
