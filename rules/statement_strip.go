package rules

// StripOption overwrites a TCP option with padding (nft_exthdr, `reset tcp
// option`).
type StripOption struct {
	Span
	Option uint8 // its kind
}

// Test follows nft_exthdr_tcp_strip_eval: an option that is not there lets the
// rule go on; a packet that is not of TCP ends it.
func (*StripOption) Test(p *Packet) Answer { return Decided(p.Proto == protoTCP) }
