package rules

// Queue hands the packet to a program (nft_queue). The program lets it go on,
// drops it, or has the hook run once more; it can set marks. Where an entry
// was made, the packet was let go on.
type Queue struct {
	Span
	Num, Total uint16 // queues Num to Num+Total-1
	Bypass     bool   // without a program it goes on
	Fanout     bool   // the cpu chooses the queue, not a hash
	// From is the queue's number from a register; then Num and Total say
	// nothing.
	From Expr
}

// Test tells whether the packet is queued.
func (s *Queue) Test(p *Packet) Answer { return Present(p, s.From) }

// SetBack is the packet as a program may have left it: its marks are not
// known (NFQA_MARK, NFQA_CT, NFQA_PRIORITY). What it wrote into the headers is
// not looked at.
func (*Queue) SetBack(p *Packet) {
	p.Mark = UnknownBytes(4, FromQueue)
	p.Priority = UnknownBytes(4, FromQueue)
	p.Ct.Mark = UnknownBytes(4, FromQueue)
	p.Ct.Labels = UnknownBytes(16, FromQueue)
}
