package xt

import "github.com/ntdiag/ntdiag/rules"

// XT_IPVS_*.
const (
	ipvsProperty = 1 << 0
	ipvsProto    = 1 << 1
	ipvsVaddr    = 1 << 2
	ipvsVport    = 1 << 3
	ipvsDir      = 1 << 4
	ipvsMethod   = 1 << 5
	ipvsVportctl = 1 << 6
)

// ipvsMethods are IP_VS_CONN_F_MASQ, _TUNNEL and _DROUTE.
var ipvsMethods = map[uint8]string{0: "MASQ", 2: "IPIP", 3: "GATE"}

// ipvs is struct xt_ipvs_mtinfo.
type ipvs struct {
	vaddr, vmask    []byte
	vport, vportctl uint16
	proto, method   uint8
	invert, asks    uint8
}

func decodeIPVS(c *Context, r *reader) Extension {
	n := addressBits(c.Family) / 8
	x := &ipvs{vaddr: r.bytes(16)[:n], vmask: r.bytes(16)[:n], vport: r.be16(), proto: r.u8(), method: r.u8()}
	x.vportctl, x.invert, x.asks = r.be16(), r.u8(), r.u8()
	return x
}

// Statements follows ipvs_mt: whether IPVS handled the packet, the entry does
// not tell; the first packet is no reply.
func (x *ipvs) Statements(c *Context) []rules.Statement {
	if x.asks&ipvsDir != 0 && x.invert&ipvsDir != 0 {
		return fixed(c, false)
	}
	return openOn(c, "ipvs", rules.FromIPVS)
}

func (x *ipvs) Save(_ *Context, o *Options) {
	if x.asks == ipvsProperty {
		o.Opt(x.invert&ipvsProperty != 0, "--ipvs")
	}
	x.option(o, ipvsProto, "--vproto", utoa(uint32(x.proto)))
	x.option(o, ipvsVaddr, "--vaddr", hostText(x.vaddr, x.vmask))
	x.option(o, ipvsVport, "--vport", utoa(uint32(x.vport)))
	if x.asks&ipvsDir != 0 {
		dir := "ORIGINAL"
		if x.invert&ipvsDir != 0 {
			dir = "REPLY"
		}
		o.Word("--vdir", dir)
	}
	method := ipvsMethods[x.method]
	if method == "" {
		method = "UNKNOWN"
	}
	x.option(o, ipvsMethod, "--vmethod", method)
	x.option(o, ipvsVportctl, "--vportctl", utoa(uint32(x.vportctl)))
}

func (x *ipvs) option(o *Options, bit uint8, name, value string) {
	if x.asks&bit != 0 {
		o.Opt(x.invert&bit != 0, name, value)
	}
}
