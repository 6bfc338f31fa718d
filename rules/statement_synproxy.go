package rules

// SynproxyFlags is NF_SYNPROXY_OPT_* (include/uapi/linux/netfilter/nf_synproxy.h).
type SynproxyFlags uint32

const (
	SynproxyMSS       SynproxyFlags = 1 << 0
	SynproxyWscale    SynproxyFlags = 1 << 1
	SynproxySackPerm  SynproxyFlags = 1 << 2
	SynproxyTimestamp SynproxyFlags = 1 << 3
)

// Synproxy answers a SYN in the place of the server, and connects to it only
// when the client goes on (nft_synproxy).
type Synproxy struct {
	Span
	MSS    uint16
	Wscale uint8
	Flags  SynproxyFlags
	// Plain: a SYN and an ACK alone, without the other, FIN or RST, as the
	// target of xtables has it (synproxy_tg4).
	Plain bool
}

// Test tells whether the packet is taken away: a SYN and an ACK always are
// (nft_synproxy_eval_v4). What the entry was then made by is the SYN that this
// host sends to the server.
func (s *Synproxy) Test(p *Packet) Answer {
	if p.Proto != protoTCP {
		return Decided(false)
	}
	syn, ack := tcpFlag(p, tcpSYN), tcpFlag(p, tcpACK)
	if !s.Plain {
		return syn.Or(ack)
	}
	ends := tcpFlag(p, tcpFIN).Or(tcpFlag(p, tcpRST))
	return syn.Or(ack).And(syn.And(ack).Not()).And(ends.Not())
}

// Bits of the 14th byte of the TCP header.
const (
	tcpFIN = 0x01
	tcpSYN = 0x02
	tcpRST = 0x04
	tcpACK = 0x10
)

// tcpFlag tells whether a flag is set in the packet, which is of TCP.
func tcpFlag(p *Packet, bit byte) Answer {
	v := p.Trans.Read(13, 1)
	if v.Known[0]&bit == 0 {
		return Answer{Unknown: Of(FromTCPHeader)}
	}
	return Answer{Truth: TruthOf(v.Bits[0]&bit != 0), Assumed: Of(v.From[0])}
}
