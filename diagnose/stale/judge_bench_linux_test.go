package stale_test

import (
	"net/netip"
	"testing"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/lab/scale"
	"github.com/ntdiag/ntdiag/diagnose/stale"
	"github.com/ntdiag/ntdiag/rules"
)

// services is how many the node has that a Judge is measured with.
const services = 1000

// kubeFlow is a flow from the client to a service, by an endpoint.
func kubeFlow(service int, endpoint netip.Addr) *host.Flow {
	a := netip.MustParseAddr
	return &host.Flow{
		Family: rules.FamilyIPv4, ID: 1, Has: host.HasID,
		Status:   host.StatusConfirmed | host.StatusSeenReply | host.StatusSrcNAT | host.StatusDstNAT | host.StatusSrcNATDone | host.StatusDstNATDone,
		Original: rules.Tuple{Proto: host.ProtoTCP, Src: a("10.0.0.10"), Dst: scale.Service(service), SrcPort: 40000, DstPort: scale.ServicePort},
		Reply:    rules.Tuple{Proto: host.ProtoTCP, Src: endpoint, Dst: a("192.168.1.2"), SrcPort: scale.EndpointPort, DstPort: 2345},
	}
}

// plainFlow meets no service.
func plainFlow() *host.Flow {
	a := netip.MustParseAddr
	return &host.Flow{
		Family: rules.FamilyIPv4, ID: 1, Has: host.HasID, Status: host.StatusConfirmed | host.StatusSrcNATDone | host.StatusDstNATDone,
		Original: rules.Tuple{Proto: host.ProtoTCP, Src: a("10.0.0.10"), Dst: a("192.168.1.80"), SrcPort: 40000, DstPort: 443},
		Reply:    rules.Tuple{Proto: host.ProtoTCP, Src: a("192.168.1.80"), Dst: a("10.0.0.10"), SrcPort: 443, DstPort: 40000},
	}
}

// BenchmarkJudge judges one flow by the rules of a node with 1,000 services.
func BenchmarkJudge(b *testing.B) {
	needTools(b, scale.Tools()...)
	for i := range scale.Shapes {
		shape := &scale.Shapes[i]
		n := newBench(b)
		n.load(b, shape.Loader, shape.Text(scale.Cluster{Services: services}))
		judge := stale.New(n.snapshot(b))
		for _, f := range []struct {
			name string
			flow *host.Flow
			want stale.Fate
		}{
			{"fresh", kubeFlow(services-1, scale.Endpoint(services-1, 1)), stale.Fresh},
			{"stale", kubeFlow(services-1, scale.Endpoint(services, 1)), stale.Stale},
			{"plain", plainFlow(), stale.Fresh},
		} {
			b.Run(shape.Name+"/"+f.name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if v := judge.Judge(f.flow); v.Fate != f.want {
						b.Fatalf("%s: %s", v.Fate, v.Why)
					}
				}
			})
		}
	}
}
