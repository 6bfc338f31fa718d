package rules

// TProxy gives the packet to a transparent socket of this host (nft_tproxy):
// what is sent to the packet's own address, or to Addr and Port, is what the
// socket has to listen on. The addresses stay; routing has to deliver it.
type TProxy struct {
	Span
	Family Family // FamilyUnspec for both
	// Addr and Port are nil where the packet's own are kept.
	Addr, Port Expr
	// Drops: without such a socket the packet is dropped, as the target of
	// xtables does it, where nf_tables goes on with the next rule.
	Drops bool
}

// Test follows nft_tproxy_eval: without a socket that is transparent the rule
// ends, and no entry tells what sockets there were. With Drops a packet that
// made an entry has found one (tproxy_tg4).
func (s *TProxy) Test(p *Packet) Answer {
	if p.Proto != protoTCP && p.Proto != protoUDP || s.Family != FamilyUnspec && s.Family != p.Family {
		return Decided(false)
	}
	a := Present(p, s.Addr, s.Port)
	if a.Truth == No || s.Drops {
		return a
	}
	return Answer{Unknown: a.Unknown | Of(FromSocket)}
}

// Present tells whether every operand can be loaded; nil ones can. One that is
// not there ends the rule.
func Present(p *Packet, xs ...Expr) Answer {
	a := Decided(true)
	for _, x := range xs {
		if x == nil {
			continue
		}
		switch v := x.Eval(p); v.Absent {
		case Yes:
			a = a.And(Answer{Truth: No, Assumed: v.AbsentBy})
		case Unknown:
			a = a.And(Answer{Unknown: v.AbsentBy})
		}
	}
	return a
}
