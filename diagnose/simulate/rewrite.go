package simulate

import (
	"net/netip"
	"strconv"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/packet"
	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/walk"
)

// rewrite is nf_nat_setup_info and nf_nat_manip_pkt for the rule that was met,
// or the null binding without one.
func (w *way) rewrite(p *rules.Packet, m rules.Manip) {
	c := w.met
	w.met = nil
	if p.Tracked != rules.Yes || w.asked[m] {
		return
	}
	w.asked[m] = true
	done := map[rules.Manip]host.Status{rules.ManipSrc: host.StatusSrcNATDone, rules.ManipDst: host.StatusDstNATDone}[m]
	w.status(p, done, rules.Yes)
	if c == nil {
		return
	}
	n := w.setUp(p, m, c)
	if w.out.Verdict != "" {
		return
	}
	w.tuple[m] = n.To
	if m == rules.ManipDst {
		w.out.DNAT = n
		w.becomeDst(p, n)
	} else {
		w.out.SNAT = n
		w.becomeSrc(p, n)
	}
	w.script.facts.epoch++
}

// setUp is the range that the rule gives, as the packet meets it.
func (w *way) setUp(p *rules.Packet, m rules.Manip, c *walk.Candidate) *NAT {
	if c.NAT != nil && c.NAT.Kind == rules.Redirect && p.Iif.State == rules.IfaceAssumed {
		w.used |= rules.Of(rules.FromIif) // the address is that device's
	}
	n := &NAT{Manip: m, Kind: kindOf(c), Rule: c.Rule, From: w.tuple[m]}
	t := c.Targets[0]
	if c.NAT != nil && c.NAT.Kind == rules.Redirect {
		t.Addrs = redirected(p, t.Addrs)
	}
	if len(t.Addrs) > 1 {
		addrs := t.Addrs
		i := w.script.pick(len(addrs), func(i int) string { return "address " + addrs[i].String() })
		t.Addrs = addrs[i : i+1]
	}
	if t.AnyAddr && t.Local != nil && w.noAddress(p, c) {
		w.stop(VerdictDrop, c.Rule, nil, n.Kind+" finds no address on the device")
		return n
	}
	n.target = t
	n.aim(w.flow)
	return n
}

// aim is what the target makes of From.
func (n *NAT) aim(f *host.Flow) {
	n.To.Lo, n.To.Hi = n.target.Range(n.From.Lo)
	if n.From.Lo != n.From.Hi && n.To.Lo == n.From.Lo {
		n.To.Hi = n.From.Hi // it stays whatever it is
	}
	n.port(f)
}

// For is the rewrite of f where n is that of a flow of another tuple that takes
// the same way: the same rule's, of the ends of f. It is none for ICMP, of which
// a rewrite of one end is one of the other.
func (n *NAT) For(f *host.Flow) *NAT {
	if n == nil || f.IsICMP() {
		return nil
	}
	out, from := *n, f.Ends()[n.Manip].From
	out.From.Lo, out.From.Hi = from.Addr, from.Addr
	if out.From.HasPort {
		out.From.PortLo, out.From.PortHi = from.Port, from.Port
	}
	out.aim(f)
	return &out
}

// redirected is the address of the device that redirect takes
// (nf_nat_redirect_ipv6): the first of its list, or, for a link-local
// destination, the first link-local one.
func redirected(p *rules.Packet, addrs []netip.Addr) []netip.Addr {
	dst, ok := p.Addr(true)
	if !ok {
		return addrs
	}
	for i, a := range addrs {
		if a.IsLinkLocalUnicast() == dst.IsLinkLocalUnicast() || !dst.IsLinkLocalUnicast() {
			return addrs[i : i+1]
		}
	}
	return addrs
}

// clashes: with one source port to choose from the kernel does not look whether
// it is taken, and the entry is refused when it is confirmed
// (__nf_conntrack_confirm).
func (w *way) clashes() rules.Sources {
	if n := w.out.SNAT; n != nil && n.To.Port == PortFixed && n.Changes() {
		return rules.Of(rules.FromNAT)
	}
	return 0
}

// taken is the outcome of such a way when the port is taken.
func (o *Outcome) taken() (Outcome, bool) {
	n := o.SNAT
	if o.Verdict != VerdictAccept || n == nil || n.To.Port != PortFixed || !n.Changes() {
		return Outcome{}, false
	}
	t := *o
	t.Verdict, t.Stated, t.Local, t.Out = VerdictDrop, false, false, ""
	t.Why = "another flow to the same destination has that source (insert_failed)"
	t.When = []string{"the source port is taken"}
	return t, true
}

// noAddress tells whether the kernel drops the packet for want of an address
// (nf_nat_masquerade_ipv4, nf_nat_redirect_ipv4). A device that is known and
// addresses that were read leave no other reason.
func (w *way) noAddress(p *rules.Packet, c *walk.Candidate) bool {
	if c.NAT == nil || w.lacks(host.PartAddrs) {
		return false
	}
	dev, known := p.Oif, true
	if c.NAT.Kind == rules.Redirect {
		dev = p.Iif
	} else {
		_, known = p.Addr(true)
	}
	return known && dev.State != rules.IfaceUnknown
}

func kindOf(c *walk.Candidate) string {
	switch {
	case c.NAT == nil:
		return rules.HookManip(c.Hook).String()
	case c.NAT.Flags&rules.NATNetmap != 0:
		return rules.Netmap.String()
	}
	return c.NAT.Kind.String()
}

// port follows get_unique_tuple and nf_nat_l4proto_unique_tuple.
func (n *NAT) port(f *host.Flow) {
	t := &n.target
	n.To.HasPort, n.To.PortLo, n.To.PortHi = n.From.HasPort, n.From.PortLo, n.From.PortHi
	src := n.Manip == rules.ManipSrc
	switch {
	case !f.HasPorts() && !f.IsICMP():
		n.To.Port = PortNone
	case t.AnyPort:
		n.To.Port, n.To.HasPort = PortAny, false
	case t.HasPort && t.Offset && n.From.HasPort && !t.Random:
		p := t.Shifted(n.From.PortLo)
		n.To.Port, n.To.HasPort, n.To.PortLo, n.To.PortHi = PortOffset, true, p, p
	case t.HasPort && t.PortMin == t.PortMax:
		n.To.Port, n.To.HasPort, n.To.PortLo, n.To.PortHi = PortFixed, true, t.PortMin, t.PortMin
	case t.HasPort:
		n.To.Port, n.To.HasPort, n.To.PortLo, n.To.PortHi = PortRange, true, t.PortMin, t.PortMax
		if t.Random {
			n.To.Port = PortRandom
		}
	case (src || f.IsICMP()) && t.Random:
		n.To.Port = PortRandom
		n.To.PortLo, n.To.PortHi = defaultRange(f, n.From)
	case src:
		n.To.Port = PortKept
	default:
		n.To.Port = PortStays
	}
}

// defaultRange are the ports tried without a range: those of the same sort as
// the port was, below 512, below 1024, or above.
func defaultRange(f *host.Flow, from To) (lo, hi uint16) {
	switch {
	case f.IsICMP():
		return 0, 65535
	case !from.HasPort:
		return 1, 65535
	case from.PortLo < 512:
		return 1, 511
	case from.PortLo < 1024:
		return 600, 1023
	}
	return 1024, 65535
}

// becomeDst changes the destination. Where the range leaves the packet as it
// is nothing is written (nf_nat_packet looks at IPS_DST_NAT), also not over
// what a rule has written into it.
func (w *way) becomeDst(p *rules.Packet, n *NAT) {
	same := sameEnd(n)
	w.status(p, host.StatusDstNAT, same.Not())
	if same == rules.Yes {
		return
	}
	setAddr(p, true, n.To)
	w.setPort(p, 2, n.To)
	if w.flow.IsICMP() && n.To.Port == PortRandom {
		// the id of a query is one for both ends
		w.setPort(p, 0, n.To)
		w.tuple[rules.ManipSrc] = w.end(p, false)
	}
	p.Ct.Reply.Src = single(n.To)
	if w.flow.HasPorts() {
		p.Ct.Reply.SrcPort = n.To.PortLo
		p.Ct.ReplyOpen = p.Ct.ReplyOpen || n.To.PortLo != n.To.PortHi || !n.To.HasPort
	}
}

func (w *way) becomeSrc(p *rules.Packet, n *NAT) {
	same := sameEnd(n)
	if n.To.Port == PortKept && same == rules.Yes {
		same = rules.Unknown // should the port be taken
	}
	w.status(p, host.StatusSrcNAT, same.Not())
	setAddr(p, false, n.To)
	w.setPort(p, 0, n.To)
	p.Ct.Reply.Dst = single(n.To)
	p.Ct.ReplyOpen = true
}

// sameEnd tells whether the rewrite leaves the end as it is.
func sameEnd(n *NAT) rules.Truth {
	a, b := n.From, n.To
	t := overlap(a.Lo, a.Hi, b.Lo, b.Hi)
	if b.Port == PortKept || b.Port == PortStays || b.Port == PortNone || !a.HasPort {
		return t
	}
	switch {
	case !b.HasPort || b.PortLo != b.PortHi && b.PortLo <= a.PortLo && a.PortLo <= b.PortHi || b.Port == PortRandom:
		return t.And(rules.Unknown)
	}
	return t.And(rules.TruthOf(a.PortLo == b.PortLo && b.PortLo == b.PortHi))
}

func overlap(alo, ahi, blo, bhi netip.Addr) rules.Truth {
	switch {
	case !alo.IsValid() || !blo.IsValid():
		return rules.Unknown
	case ahi.Less(blo) || bhi.Less(alo):
		return rules.No
	case alo == ahi && blo == bhi:
		return rules.Yes
	}
	return rules.Unknown
}

func single(t To) netip.Addr {
	if t.Lo == t.Hi {
		return t.Lo
	}
	return netip.Addr{}
}

// status sets bits of the entry's status, or leaves them open.
func (w *way) status(p *rules.Packet, bit host.Status, t rules.Truth) {
	v := p.Ct.Status
	b := rules.KnownUint(p.ByteOrder(), 4, uint64(bit))
	for i := range v.N {
		v.Bits[i] &^= b.Bits[i]
		switch t {
		case rules.Yes:
			v.Bits[i] |= b.Bits[i]
			v.Known[i] |= b.Bits[i]
		case rules.Unknown:
			v.Known[i] &^= b.Bits[i]
			if b.Bits[i] != 0 {
				v.From[i] = rules.FromNAT
			}
		}
	}
	p.Ct.Status = v
}

// setAddr writes an address; of a range the bits that all of it shares.
func setAddr(p *rules.Packet, dst bool, t To) {
	if t.Lo.IsValid() && t.Lo == t.Hi {
		p.SetAddr(dst, t.Lo)
		return
	}
	off, n := 12, 4
	if p.Family == rules.FamilyIPv6 {
		off, n = 8, 16
	}
	if dst {
		off += n
	}
	p.Net.Open(off, n, rules.FromNAT)
	if t.Lo.IsValid() {
		share(&p.Net, off, t.Lo.AsSlice(), t.Hi.AsSlice())
	}
}

// share writes the leading bits that lo and hi have in common.
func share(im *rules.Image, off int, lo, hi []byte) {
	for i := range lo {
		diff := lo[i] ^ hi[i]
		known := byte(0xff)
		for diff != 0 {
			known <<= 1
			diff >>= 1
		}
		im.Bits[off+i], im.Known[off+i] = lo[i]&known, known
		if known != 0xff {
			return
		}
	}
}

// setPort writes a port, or the id of an ICMP query. One that is kept unless
// it is taken is assumed to be.
func (w *way) setPort(p *rules.Packet, off int, t To) {
	switch {
	case w.flow.IsICMP() && off == 0:
		off = 4
	case !w.flow.HasPorts() || p.Trans.N < 4:
		return
	}
	switch {
	case t.Port == PortKept:
		for i := range 2 {
			if p.Trans.Known[off+i] == 0xff {
				p.Trans.From[off+i] = rules.FromNAT
			}
		}
		return
	case t.HasPort && t.PortLo == t.PortHi:
		p.Trans.Set(off, []byte{byte(t.PortLo >> 8), byte(t.PortLo)}, rules.FromEntry)
		return
	}
	p.Trans.Open(off, 2, rules.FromNAT)
	if t.HasPort {
		share(&p.Trans, off, []byte{byte(t.PortLo >> 8), byte(t.PortLo)}, []byte{byte(t.PortHi >> 8), byte(t.PortHi)})
	}
}

// track is init_conntrack: the tuple of the entry is that of the packet as it
// comes to conntrack, whatever a rule wrote into it before.
func (w *way) track(p *rules.Packet) {
	w.tracked = true
	for m := range w.tuple {
		w.tuple[m] = w.end(p, rules.Manip(m) == rules.ManipDst)
	}
	t := w.flow.Original
	t.Src, t.Dst = single(w.tuple[rules.ManipSrc]), single(w.tuple[rules.ManipDst])
	if w.flow.HasPorts() {
		t.SrcPort, t.DstPort = w.tuple[rules.ManipSrc].PortLo, w.tuple[rules.ManipDst].PortLo
	}
	w.out.Original = w.tuple
	if z := p.Ct.Zone; z.IsKnown() {
		w.out.Zone, w.out.ZoneKnown = uint16(z.Uint(p.ByteOrder())), true
	}
	p.Ct.Original, p.Ct.Reply = t, packet.Inverse(t)
	p.Ct.OriginalOpen = !w.tuple[rules.ManipSrc].HasPort && w.flow.HasPorts()
	p.Ct.ReplyOpen = p.Ct.OriginalOpen
}

// end is one end of the packet as it is, as far as it is known.
func (w *way) end(p *rules.Packet, dst bool) To {
	var t To
	off, n := 12, 4
	if p.Family == rules.FamilyIPv6 {
		off, n = 8, 16
	}
	at := 0
	if dst {
		off, at = off+n, 2
	}
	v := p.Net.Read(off, n)
	t.Lo, t.Hi = addrBounds(&v)
	switch {
	case w.flow.IsICMP():
		at = 4
	case !w.flow.HasPorts():
		return t
	}
	port := p.Trans.Read(at, 2)
	if port.IsKnown() {
		t.HasPort = true
		t.PortLo = uint16(port.Bits[0])<<8 | uint16(port.Bits[1])
		t.PortHi = t.PortLo
	}
	return t
}

func addrBounds(v *rules.Value) (lo, hi netip.Addr) {
	known := 0
	a, b := make([]byte, v.N), make([]byte, v.N)
	for i := range v.N {
		a[i], b[i] = v.Bits[i], v.Bits[i]|^v.Known[i]
		known |= int(v.Known[i])
	}
	if known == 0 {
		return lo, hi
	}
	lo, _ = netip.AddrFromSlice(a)
	hi, _ = netip.AddrFromSlice(b)
	return lo, hi
}

// Addrs is the range of addresses as text, "" when they are not known.
func (t To) Addrs() string {
	switch {
	case !t.Lo.IsValid():
		return ""
	case t.Lo == t.Hi:
		return t.Lo.String()
	}
	return t.Lo.String() + "-" + t.Hi.String()
}

// Ports is the range of ports as text, "" when they are not known or there are
// none.
func (t To) Ports() string {
	switch {
	case !t.HasPort:
		return ""
	case t.PortLo == t.PortHi:
		return strconv.Itoa(int(t.PortLo))
	}
	return strconv.Itoa(int(t.PortLo)) + "-" + strconv.Itoa(int(t.PortHi))
}
