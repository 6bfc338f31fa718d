package nft

import (
	"fmt"
	"strings"

	"github.com/ntdiag/ntdiag/rules"
)

// osfTTLNames is by OsfTTL.
var osfTTLNames = [...]string{"", "ttl loose ", "ttl skip "}

// osfText follows osf_expr_print.
func osfText(x *rules.Osf) typed {
	out := "osf "
	if int(x.TTL) < len(osfTTLNames) {
		out += osfTTLNames[x.TTL]
	}
	if x.Version {
		out += "version"
	} else {
		out += "name"
	}
	return typed{text: out, typ: typeString, n: x.Width(), host: true}
}

// xfrmRows is by XfrmKey.
var xfrmRows = [...]metaRow{
	rules.XfrmDaddrIP4: {name: "ip daddr", typ: typeIPAddr, net: true},
	rules.XfrmDaddrIP6: {name: "ip6 daddr", typ: typeIP6Addr, net: true},
	rules.XfrmSaddrIP4: {name: "ip saddr", typ: typeIPAddr, net: true},
	rules.XfrmSaddrIP6: {name: "ip6 saddr", typ: typeIP6Addr, net: true},
	rules.XfrmReqID:    {name: "reqid", typ: typeInteger},
	rules.XfrmSPI:      {name: "spi", typ: typeInteger, net: true},
}

// xfrmText follows xfrm_expr_print.
func xfrmText(x *rules.Xfrm) typed {
	out := "ipsec in"
	if x.Out {
		out = "ipsec out"
	}
	if x.Index != 0 {
		out += fmt.Sprintf(" spnum %d", x.Index)
	}
	if !x.Key.Known() {
		return typed{text: fmt.Sprintf("%s [ %d ? ]", out, x.Key), typ: typeBitmask, n: x.Width()}
	}
	row := xfrmRows[x.Key]
	return typed{text: out + " " + row.name, typ: row.typ, n: x.Width(), host: !row.net}
}

// tunnelText is a tunnel's metadata; nft knows of no mode.
func tunnelText(x *rules.Tunnel) typed {
	if x.Key == rules.TunnelPath {
		return typed{text: "tunnel path", typ: typeBoolean, n: 1, host: true}
	}
	return typed{text: "tunnel id", typ: typeInteger, n: 4, host: true}
}

// The tunnels that nft names (proto_find_inner), and the fields of their own
// headers.
var (
	headerVXLAN = &header{name: "vxlan", base: rules.PayloadTunnel, fields: []field{
		{name: "flags", off: 0, bits: 8, typ: typeBitmask},
		{name: "vni", off: 32, bits: 24, typ: typeInteger},
	}}
	headerGeneve = &header{name: "geneve", base: rules.PayloadTunnel, fields: []field{
		{name: "type", off: 16, bits: 16, typ: typeEthertype},
		{name: "vni", off: 32, bits: 24, typ: typeInteger},
	}}
	headerGRE    = &header{name: "gre", base: rules.PayloadTunnel}
	headerGRETap = &header{name: "gretap", base: rules.PayloadTunnel}

	tunnels = map[rules.InnerType]*header{
		rules.InnerVXLAN: headerVXLAN, rules.InnerGeneve: headerGeneve,
		rules.InnerGRE: headerGRE, rules.InnerGRETap: headerGRETap,
	}
)

func tunnelName(x *rules.Inner) string {
	if h := tunnels[x.Type]; h != nil {
		return h.name
	}
	return fmt.Sprintf("[ inner %d ? ]", x.Type)
}

// innerOf takes the step inside a tunnel off the left side of a comparison.
func innerOf(e rules.Expr) (*rules.Inner, rules.Expr) {
	switch x := e.(type) {
	case *rules.Inner:
		return x, x.X
	case *rules.Bitwise:
		if in, ok := x.X.(*rules.Inner); ok {
			return in, &rules.Bitwise{X: in.X, Mask: x.Mask, Xor: x.Xor}
		}
	}
	return nil, nil
}

// inside runs f with what is known of the packet inside the tunnel, and names
// the tunnel in what f adds.
func (p *printer) inside(x *rules.Inner, f func()) {
	name := tunnelName(x)
	n := len(p.items)
	p.enter(name, x)
	f()
	p.leave(name)
	for i := n; i < len(p.items); i++ {
		p.items[i] = inTunnel(name, p.items[i])
	}
}

func (p *printer) innerExpr(x *rules.Inner) typed {
	name := tunnelName(x)
	p.enter(name, x)
	t := p.expr(x.X)
	p.leave(name)
	t.text = inTunnel(name, t.text)
	return t
}

// enter changes the packet's layers for those of the packet inside.
func (p *printer) enter(name string, x *rules.Inner) {
	in := p.within[name]
	if in == nil {
		in = &layers{family: rules.FamilyUnspec, icmpType: -1}
		in.headers[rules.PayloadTunnel] = tunnels[x.Type]
		if x.Flags&rules.InnerLink != 0 {
			in.headers[rules.PayloadLink] = headerEther
		}
		if p.within == nil {
			p.within = map[string]*layers{}
		}
		p.within[name] = in
	}
	p.layers, *in = *in, p.layers
}

func (p *printer) leave(name string) {
	in := p.within[name]
	p.layers, *in = *in, p.layers
}

// inTunnel names the tunnel, unless the field is of its own header.
func inTunnel(name, text string) string {
	if text == "" || strings.HasPrefix(text, name+" ") {
		return text
	}
	return name + " " + text
}
