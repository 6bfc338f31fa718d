package scale

import (
	"net/netip"
	"strings"

	"github.com/ntdiag/ntdiag/diagnose/lab"
)

// Node is a host with its devices, addresses and routes, that forwards and
// keeps when flows began; it has no rules and no flows yet.
func Node(l *lab.Lab) (*lab.Host, error) {
	node, err := l.Host("node")
	if err != nil {
		return nil, err
	}
	if err := node.Sysctl("net.ipv4.ip_forward=1", "net.netfilter.nf_conntrack_timestamp=1"); err != nil {
		return nil, err
	}
	for _, far := range []struct {
		name, dev  string
		here, peer netip.Prefix
	}{
		{"pods", PodDevice, netip.PrefixFrom(PodGateway, PodNet.Bits()), netip.PrefixFrom(pod(0), PodNet.Bits())},
		{"gateway", UplinkDevice, netip.PrefixFrom(NodeAddr, NodeNet.Bits()), netip.PrefixFrom(Gateway, NodeNet.Bits())},
	} {
		h, err := l.Host(far.name)
		if err != nil {
			return nil, err
		}
		err = l.Link(lab.End{Host: node, Dev: far.dev, Addrs: []netip.Prefix{far.here}},
			lab.End{Host: h, Dev: "eth0", Addrs: []netip.Prefix{far.peer}})
		if err != nil {
			return nil, err
		}
	}
	return node, node.Route(netip.MustParsePrefix("0.0.0.0/0"), Gateway)
}

// Load loads the rules of c into a host.
func (s *Shape) Load(h *lab.Host, c Cluster) error {
	_, err := h.Run(s.Text(c), s.Loader[0], s.Loader[1:]...)
	return err
}

// Fill makes flows 0 to n-1 in a host's table. Rules have to be loaded first:
// without any conntrack does not set up NAT.
func Fill(h *lab.Host, c Cluster, n int) error {
	return h.Fill(n, func(i int) lab.Entry {
		f, _ := At(c, i)
		return f.Entry()
	})
}

// Entry is the flow as Fill makes it.
func (f *Flow) Entry() lab.Entry {
	return lab.Entry{Proto: tcp, Src: f.Src, Dst: f.Dst, DNAT: f.DNAT, NAT: f.SNAT, Assured: true}
}

// Tools are the programs that the shapes need.
func Tools() (out []string) {
	for i := range Shapes {
		out = append(out, Shapes[i].Loader[0])
	}
	return out
}

// Args is the flow as `ntdiag explain` and as conntrack take it.
func (f *Flow) Args() (ntdiag, conntrack []string) {
	port := func(a netip.AddrPort) string { return a.String()[strings.LastIndexByte(a.String(), ':')+1:] }
	return []string{"tcp", f.Src.String(), f.Dst.String()},
		[]string{"-p", "tcp", "-s", f.Src.Addr().String(), "-d", f.Dst.Addr().String(), "--sport", port(f.Src), "--dport", port(f.Dst)}
}
