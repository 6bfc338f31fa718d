package invalid

import (
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

// Fit says as which packet of its flow a packet fits an entry. Conntrack looks
// at packets before NAT: those of the original direction have the original
// tuple then, answers the reply tuple. An end that is as it looks After that
// was rewritten elsewhere, or not here: the packet came another way than the
// flow's other packets.
type Fit struct {
	Reply              bool
	SrcAfter, DstAfter bool
}

// Odd tells whether the packet is not as its flow's packets come here.
func (f Fit) Odd() bool { return f.SrcAfter || f.DstAfter }

func (f Fit) String() string {
	way, done := "original direction", "as it looks behind the "
	src, dst := f.SrcAfter, f.DstAfter // by SNAT and by DNAT
	if f.Reply {
		way, done = "reply direction", "as it looks with the "
		src, dst = dst, src
	}
	text := ""
	switch {
	case src && dst:
		text = "NAT"
	case src:
		text = "SNAT"
	case dst:
		text = "DNAT"
	default:
		return way
	}
	if f.Reply {
		text += " undone"
	}
	return way + ", " + done + text
}

// fits calls yield with every tuple that a packet of f can have, each once, and
// as what; first those that its packets have at conntrack's hooks.
func fits(f *host.Flow, yield func(Fit, rules.Tuple)) {
	o, r := f.Original, f.Reply
	icmp := f.IsICMP()
	snat, dnat := o.Src != r.Dst || o.SrcPort != r.DstPort, o.Dst != r.Src || o.DstPort != r.SrcPort
	if icmp {
		snat, dnat = o.Src != r.Dst || o.SrcPort != r.SrcPort, o.Dst != r.Src
	}
	yield(Fit{}, o)
	yield(Fit{Reply: true}, r)
	for after := 1; after < 4; after++ {
		s, d := after&1 != 0, after&2 != 0 // behind SNAT, behind DNAT
		if s && !snat || d && !dnat {
			continue
		}
		t, u := o, r
		if s {
			t.Src, u.Dst = r.Dst, o.Src
		}
		if d {
			t.Dst, u.Src = r.Src, o.Dst
		}
		switch {
		case icmp && s: // the id goes with the source of the query
			t.SrcPort, u.SrcPort = r.SrcPort, o.SrcPort
		case icmp:
		default:
			if s {
				t.SrcPort, u.DstPort = r.DstPort, o.SrcPort
			}
			if d {
				t.DstPort, u.SrcPort = r.SrcPort, o.DstPort
			}
		}
		yield(Fit{SrcAfter: s, DstAfter: d}, t)
		yield(Fit{Reply: true, SrcAfter: d, DstAfter: s}, u)
	}
}

// quoted turns the fit of a packet that an ICMP error quotes: it is as it came
// to the host that sends the error, behind the NAT of this one. What comes of
// it is the fit of the same packet before, Odd when the NAT of this host was
// not done to it, or not whole.
func (f Fit) quoted(flow *host.Flow) Fit {
	e := flow.Ends()
	snat, dnat := e[rules.ManipSrc].From != e[rules.ManipSrc].To, e[rules.ManipDst].From != e[rules.ManipDst].To
	if f.Reply {
		snat, dnat = dnat, snat
	}
	f.SrcAfter, f.DstAfter = f.SrcAfter != snat, f.DstAfter != dnat
	return f
}

// Tuple is the packet's, as conntrack makes it (nf_ct_get_tuple); whole is
// false where the message does not tell all of it.
func (p *Packet) Tuple() (t rules.Tuple, whole bool) {
	t = rules.Tuple{Proto: p.Proto, Src: p.Src, Dst: p.Dst}
	t.SrcPort, t.DstPort = p.ends()
	probe := host.Flow{Original: t}
	switch {
	case !p.Src.IsValid() || !p.Dst.IsValid():
		return t, false
	case probe.IsICMP():
		return t, p.Has&(HasICMP|HasICMPID) == HasICMP|HasICMPID
	case probe.HasPorts():
		return t, p.Has&HasPorts != 0
	}
	return t, true
}
