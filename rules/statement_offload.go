package rules

// FlowOffload puts the flow into a flowtable, after which its packets pass the
// hooks by (nft_flow_offload).
type FlowOffload struct {
	Span
	Flowtable string
}

// Test follows nft_flow_offload_eval: an entry that is not confirmed yet, as
// that of a first packet, ends the rule.
func (*FlowOffload) Test(*Packet) Answer { return Decided(false) }
