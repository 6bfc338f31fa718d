package survey

import "github.com/ntdiag/ntdiag/diagnose/host"

// DNS is UDP to port 53.
type DNS struct {
	Flows, Unreplied int
	// SNAT and DNAT are those whose source or destination is rewritten.
	SNAT, DNAT int
	// Examples are some whose source is, of different clients or addresses where
	// there are any.
	Examples []host.Flow
}

const (
	dnsPort     = 53
	maxExamples = 8
)

func (s *Survey) dns(f *host.Flow, replied bool) {
	if f.Original.DstPort != dnsPort && f.Reply.SrcPort != dnsPort {
		return
	}
	d := &s.DNS
	d.Flows++
	if !replied {
		d.Unreplied++
	}
	if f.Original.Dst != f.Reply.Src || f.Original.DstPort != f.Reply.SrcPort {
		d.DNAT++
	}
	if !f.SourceRewritten() {
		return
	}
	d.SNAT++
	if len(d.Examples) == maxExamples {
		return
	}
	for i := range d.Examples {
		e := &d.Examples[i]
		if e.Original.Src == f.Original.Src && e.Reply.Dst == f.Reply.Dst {
			return
		}
	}
	d.Examples = append(d.Examples, *f)
}
