package walk

import "github.com/ntdiag/ntdiag/rules"

// assign writes what nft_meta, nft_ct and nft_payload set.
func (e *ruleRun) assign(s *rules.Assign) {
	v := s.Value.Eval(&e.cur.p)
	switch v.Absent {
	case rules.Yes:
		e.condition(s, rules.Answer{Truth: rules.No, Assumed: v.AbsentBy})
		return
	case rules.Unknown:
		e.condition(s, rules.Answer{Unknown: v.AbsentBy})
	}
	v.OneOf, v.Absent = nil, rules.No
	p := &e.cur.p
	switch d := s.Dest.(type) {
	case *rules.Meta:
		switch d.Key {
		case rules.MetaMark:
			p.Mark = v
		case rules.MetaPriority:
			p.Priority = v
		}
	case *rules.Ct:
		e.assignCt(d, v, s.Value)
	case *rules.Payload:
		switch d.Base {
		case rules.PayloadNetwork:
			p.Net.Write(d.Off, v)
		case rules.PayloadTransport:
			p.Trans.Write(d.Off, v)
		}
	}
}

// assignCt: without an entry nothing is set, but a zone, which makes the
// template that the entry will follow (nft_ct_set_zone_eval).
func (e *ruleRun) assignCt(d *rules.Ct, v rules.Value, x rules.Expr) {
	p := &e.cur.p
	if d.Key == rules.CtZone {
		// the entry's own zone decides: a way that sets another one did not
		// make this entry. One that must have been taken was, and a later rule
		// has set the zone anew
		if p.Tracked == rules.No && v.IsKnown() && p.Ct.Zone.IsKnown() {
			if a := p.Ct.Zone.Equal(v.Bytes()); a.Truth == rules.No && e.cur.live.Truth != rules.Yes {
				e.drop()
			}
		}
		return
	}
	if p.Tracked != rules.Yes {
		return
	}
	switch d.Key {
	case rules.CtMark:
		p.Ct.Mark = v
	case rules.CtLabels:
		// labels are added to those that are there (nf_connlabels_replace)
		p.Ct.Labels = (&rules.Bool2{Op: rules.BitOr, X: d, Y: x}).Eval(p)
	}
}

// refine narrows the packet to what a condition that held says: the mark it
// compared, the interface it named.
func refine(p *rules.Packet, s rules.Statement) {
	m, ok := s.(*rules.Match)
	if !ok || m.Op != rules.CmpEq {
		return
	}
	x, mask, xor := m.Left, []byte(nil), []byte(nil)
	if b, ok := x.(*rules.Bitwise); ok {
		x, mask, xor = b.X, b.Mask, b.Xor
	}
	switch x := x.(type) {
	case *rules.Meta:
		switch x.Key {
		case rules.MetaMark:
			narrow(&p.Mark, m.Right, mask, xor)
		case rules.MetaIifname:
			narrowIface(p, &p.Iif, m.Right, mask)
		case rules.MetaOifname:
			narrowIface(p, &p.Oif, m.Right, mask)
		}
	case *rules.Ct:
		if x.Key == rules.CtMark {
			narrow(&p.Ct.Mark, m.Right, mask, xor)
		}
	}
}

func narrow(v *rules.Value, right, mask, xor []byte) {
	v.OneOf = nil
	for i := range min(v.N, len(right)) {
		bits, want := byte(0xff), right[i]
		if mask != nil {
			bits, want = mask[i], right[i]^xor[i]
		}
		v.Bits[i] = v.Bits[i]&^bits | want&bits
		v.Known[i] |= bits
	}
}

func narrowIface(p *rules.Packet, dev *rules.Iface, right, mask []byte) {
	if mask != nil || len(right) != 16 || p.Host == nil || dev.State != rules.IfaceUnknown {
		return
	}
	n := 0
	for n < len(right) && right[n] != 0 {
		n++
	}
	if link, ok := p.Host.LinkByName(string(right[:n])); ok {
		*dev = rules.Iface{State: rules.IfaceAssumed, Link: link}
	}
}
