package walk

import (
	"math/bits"

	"github.com/ntdiag/ntdiag/rules"
)

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
	if e.cur.live.Truth == rules.No {
		return
	}
	v = e.chooseValue(s, v)
	v.OneOf, v.Absent = nil, rules.No
	if !v.IsKnown() || s.Target == rules.AssignPayload {
		e.writes++
	}
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

// maxValues bounds how many values of a choice are gone through one by one.
const maxValues = 32

// chooseValue leaves one of the values that the expression may yield.
func (e *ruleRun) chooseValue(s *rules.Assign, v rules.Value) rules.Value {
	if e.opt.Choose == nil || len(v.OneOf) == 0 || len(v.OneOf) > maxValues {
		return v
	}
	ways := make([]Way, len(v.OneOf))
	for i := range ways {
		ways[i] = Way{Kind: Is, Value: v.OneOf[i]}
		if byLot(&v) {
			ways[i].Share = 1 / float64(len(ways))
		}
	}
	_, open := v.Sources()
	way := e.choose(s, v, rules.Answer{Unknown: open}, ways)
	e.went = rules.Yes
	return way.Value
}

// assignCt: without an entry nothing is set, but a zone, which makes the
// template that the entry will follow. A packet that has one keeps it
// (nft_ct_set_zone_eval, xt_ct_target).
func (e *ruleRun) assignCt(d *rules.Ct, v rules.Value, x rules.Expr) {
	p := &e.cur.p
	if d.Key == rules.CtZone && e.opt.Ahead {
		if p.Tracked == rules.No && p.Template != rules.HasTemplate {
			p.Ct.Zone, p.Ct.ZoneDirs = v, zoneDirs(d.Dir)
			p.Template, p.Untracked = rules.HasTemplate, rules.No
		}
		return
	}
	if d.Key == rules.CtZone {
		if p.Tracked != rules.No || p.Template == rules.HasTemplate {
			return
		}
		first := p.Template == rules.NoTemplate
		p.Template = rules.HasTemplate
		// the entry's own zone decides: a way that sets another one did not
		// make this entry. One that must have been taken was, and an earlier
		// rule, which is not known to have matched, has set the zone
		if first && v.IsKnown() && p.Ct.Zone.IsKnown() {
			if a := p.Ct.Zone.Equal(v.Bytes()); a.Truth == rules.No && e.cur.live.Truth != rules.Yes {
				e.lose()
			}
		}
		return
	}
	if p.Tracked == rules.No {
		return
	}
	var to *rules.Value
	switch d.Key {
	case rules.CtMark:
		to = &p.Ct.Mark
	case rules.CtLabels:
		// labels are added to those that are there (nf_connlabels_replace)
		to, v = &p.Ct.Labels, (&rules.Bool2{Op: rules.BitOr, X: d, Y: x}).Eval(p)
	default:
		return
	}
	if p.Tracked == rules.Unknown {
		v = rules.Join(*to, v) // there may be no entry to set it in
	}
	v.Absent, v.AbsentBy = rules.No, 0
	*to = v
}

// zoneDirs are the directions that a zone set for dir counts for.
func zoneDirs(dir rules.CtDir) uint8 {
	if dir == rules.CtDirNone {
		return 1<<rules.CtDirOriginal | 1<<rules.CtDirReply
	}
	return 1 << dir
}

// refine narrows the packet to what a condition that held says: the mark it
// compared, the interface it named.
func refine(p *rules.Packet, s rules.Statement) { refineAs(p, s, true) }

// refineAs is refine for a condition that held, or did not. That one bit is
// not as compared tells it too.
func refineAs(p *rules.Packet, s rules.Statement, held bool) {
	m, ok := s.(*rules.Match)
	if !ok || m.Op > rules.CmpNeq {
		return
	}
	x, mask, xor := m.Left, []byte(nil), []byte(nil)
	if b, ok := x.(*rules.Bitwise); ok {
		x, mask, xor = b.X, b.Mask, b.Xor
	}
	right := m.Right
	if held != (m.Op == rules.CmpEq) {
		if !oneBit(mask) || len(right) != len(mask) {
			return
		}
		right = append([]byte(nil), right...)
		for i := range mask {
			right[i] ^= mask[i]
		}
	}
	switch x := x.(type) {
	case *rules.Meta:
		switch x.Key {
		case rules.MetaMark:
			narrow(&p.Mark, right, mask, xor)
		case rules.MetaIifname:
			narrowIface(p, &p.Iif, right, mask)
		case rules.MetaOifname:
			narrowIface(p, &p.Oif, right, mask)
		}
	case *rules.Ct:
		if x.Key == rules.CtMark {
			narrow(&p.Ct.Mark, right, mask, xor)
		}
	}
}

func oneBit(mask []byte) bool {
	n := 0
	for _, b := range mask {
		n += bits.OnesCount8(b)
	}
	return n == 1
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
