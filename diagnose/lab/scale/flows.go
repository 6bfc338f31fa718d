package scale

import (
	"net/netip"

	"github.com/ntdiag/ntdiag/diagnose/explain"
	"github.com/ntdiag/ntdiag/diagnose/stale"
	"github.com/ntdiag/ntdiag/rules"
)

// Flow is one entry: its original tuple, and what its ends were rewritten to;
// an end that is not valid is not rewritten. All are TCP, established.
type Flow struct {
	Src, Dst   netip.AddrPort
	DNAT, SNAT netip.AddrPort
	// last: it went to the last endpoint of its service.
	last bool
}

// Tuple is its original one.
func (f *Flow) Tuple() rules.Tuple {
	return rules.Tuple{Proto: tcp, Src: f.Src.Addr(), Dst: f.Dst.Addr(), SrcPort: f.Src.Port(), DstPort: f.Dst.Port()}
}

const tcp = 6

// Kind is flows of which the same is true.
type Kind struct {
	Name string
	// Share of 100 flows.
	Share int
	flow  func(c Cluster, k int) Flow // the kth of this kind
	// Fate, and Class of those that are stale.
	Fate  stale.Fate
	Class stale.Class
	// dnat and snat are the grades of its rewrites: "" for an end that is not
	// rewritten.
	dnat, snat explain.Grade
}

// Grades are those of the rewrites of f, a flow of the kind, by manip: "" for an
// end that is not rewritten.
func (k *Kind) Grades(s *Shape, f *Flow) [2]explain.Grade {
	dnat := k.dnat
	if dnat == explain.GradeInferred && f.last && s.lastPlain {
		dnat = explain.GradeExact
	}
	return [2]explain.Grade{rules.ManipSrc: k.snat, rules.ManipDst: dnat}
}

// pods is how many there are that open connections.
const pods = 4000

// Kinds lists them. Chance chose the endpoint, so that the rule that made a
// DNAT is inferred, by what it makes. With a mark, which nothing tells, what
// leaves pods would have met the masquerade of services first.
var Kinds = []Kind{
	{Name: "pod to service", Share: 55, flow: podToService, Fate: stale.Fresh, dnat: explain.GradeInferred},
	{Name: "outside to service", Share: 20, flow: outsideToService, Fate: stale.Fresh, dnat: explain.GradeInferred, snat: explain.GradeExact},
	{Name: "pod to outside", Share: 20, flow: podToOutside, Fate: stale.Fresh, snat: explain.GradeInferred},
	{Name: "endpoint gone", Share: 2, flow: endpointGone, Fate: stale.Stale, Class: stale.TargetChanged, dnat: explain.GradeNone},
	{Name: "service gone", Share: 2, flow: serviceGone, Fate: stale.Stale, Class: stale.RuleGone, dnat: explain.GradeNone},
	{Name: "never masqueraded", Share: 1, flow: neverMasqueraded, Fate: stale.Stale, Class: stale.NotYetNAT},
}

// At is flow i of a table, and its kind: those of each kind lie evenly spread.
func At(c Cluster, i int) (Flow, *Kind) {
	round, at := i/100, i%100*37%100 // 37 and 100 have no common divisor
	for k := range Kinds {
		kind := &Kinds[k]
		if at < kind.Share {
			return kind.flow(c, round*kind.Share+at), kind
		}
		at -= kind.Share
	}
	panic("shares are not 100 in all")
}

// Count is how many of n flows are of each kind.
func Count(c Cluster, n int) map[*Kind]int {
	out := map[*Kind]int{}
	for i := range n {
		at := i % 100 * 37 % 100
		for k := range Kinds {
			if at < Kinds[k].Share {
				out[&Kinds[k]]++
				break
			}
			at -= Kinds[k].Share
		}
	}
	return out
}

// fromPod is a source that no other flow of its kind has; first keeps kinds
// apart.
func fromPod(first, k int) netip.AddrPort {
	return netip.AddrPortFrom(pod(k%pods), uint16(first+k/pods))
}

func at(a netip.Addr, port int) netip.AddrPort { return netip.AddrPortFrom(a, uint16(port)) }

// choice is the service and the endpoint of flow k, over all of them.
func (c Cluster) choice(k int) (service, endpoint int) {
	n := k % (c.Services * Endpoints)
	return n / Endpoints, n % Endpoints
}

func podToService(c Cluster, k int) Flow {
	s, e := c.choice(k)
	return Flow{last: e == Endpoints-1, Src: fromPod(1024, k), Dst: at(Service(s), ServicePort), DNAT: at(Endpoint(s, e), EndpointPort)}
}

func outsideToService(c Cluster, k int) Flow {
	s, e := c.choice(k)
	return Flow{
		last: e == Endpoints-1,
		Src:  at(client(k%50000), 20000+k/50000), Dst: at(Service(s), ServicePort),
		DNAT: at(Endpoint(s, e), EndpointPort), SNAT: at(PodGateway, 1024+k/(c.Services*Endpoints)),
	}
}

func podToOutside(_ Cluster, k int) Flow {
	return Flow{Src: fromPod(20000, k), Dst: at(site(k%50000), 443), SNAT: at(NodeAddr, 1024+k/50000)}
}

func endpointGone(c Cluster, k int) Flow {
	s, _ := c.choice(k)
	return Flow{Src: fromPod(40000, k), Dst: at(Service(s), ServicePort), DNAT: at(goneEndpoint(k), EndpointPort)}
}

func serviceGone(c Cluster, k int) Flow {
	s, e := c.choice(k)
	return Flow{Src: fromPod(45000, k), Dst: at(goneService(k), ServicePort), DNAT: at(Endpoint(s, e), EndpointPort)}
}

func neverMasqueraded(_ Cluster, k int) Flow {
	return Flow{Src: fromPod(50000, k), Dst: at(site(k%50000), 443)}
}
