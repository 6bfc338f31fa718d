package explain

import (
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

// rewritten makes the packet what the reply tuple says it became. Where the
// entry's tuples agree the packet is left as it is, also what a rule wrote into
// it (nf_nat_packet looks at IPS_DST_NAT).
func rewritten(p *rules.Packet, f *host.Flow, m rules.Manip) {
	o, r := f.Original, f.Reply
	icmp := f.IsICMP()
	switch m {
	case rules.ManipDst:
		setStatus(p, host.StatusDstNATDone)
		if o.Dst == r.Src && (icmp || o.DstPort == r.SrcPort) {
			break
		}
		setStatus(p, host.StatusDstNAT)
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
		p.Ct.Reply, p.Ct.ReplyOpen = r, false
		setStatus(p, host.StatusSrcNATDone)
		if f.SourceRewritten() {
			setStatus(p, host.StatusSrcNAT)
		}
	}
}

// setStatus sets bits of the entry's status, whatever else is known of it.
func setStatus(p *rules.Packet, bits host.Status) {
	v := &p.Ct.Status
	set := rules.KnownUint(p.ByteOrder(), 4, uint64(bits))
	for i := range min(v.N, set.N) {
		v.Bits[i] |= set.Bits[i]
		v.Known[i] |= set.Bits[i]
	}
}
