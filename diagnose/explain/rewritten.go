package explain

import (
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/packet"
	"github.com/ntdiag/ntdiag/rules"
)

// rewritten makes the packet what the reply tuple says it became. Where the
// entry's tuples agree the packet is left as it is, also what a rule wrote into
// it (nf_nat_packet looks at IPS_DST_NAT).
func rewritten(p *rules.Packet, f *host.Flow, m rules.Manip) {
	o, r := f.Original, f.Reply
	icmp := f.IsICMP()
	st := uint64(0)
	if p.Ct.Status.IsKnown() {
		st = p.Ct.Status.Uint(packet.Order(p.Host.(*host.Snapshot)))
	}
	switch m {
	case rules.ManipDst:
		st |= uint64(host.StatusDstNATDone)
		if o.Dst == r.Src && (icmp || o.DstPort == r.SrcPort) {
			break
		}
		st |= uint64(host.StatusDstNAT)
		p.SetAddr(true, r.Src)
		if !icmp && p.Trans.N > 4 && f.HasPorts() {
			p.Trans.Set(2, []byte{byte(r.SrcPort >> 8), byte(r.SrcPort)}, rules.FromEntry)
		}
		p.Ct.Reply.Src = r.Src
		if !icmp {
			p.Ct.Reply.SrcPort = r.SrcPort
		}
	case rules.ManipSrc:
		p.SetAddr(false, r.Dst)
		p.Ct.Reply = r
		st |= uint64(host.StatusSrcNATDone)
	}
	p.Ct.Status = rules.KnownUint(packet.Order(p.Host.(*host.Snapshot)), 4, st)
}
