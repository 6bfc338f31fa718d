package nft

import (
	"fmt"

	"github.com/ntdiag/ntdiag/rules"
)

// NFTA_TUNNEL_KEY_*.
const (
	attrTunnelObjID    = 1
	attrTunnelObjIP    = 2
	attrTunnelObjIP6   = 3
	attrTunnelObjTOS   = 5
	attrTunnelObjTTL   = 6
	attrTunnelObjSport = 7
	attrTunnelObjDport = 8
	attrTunnelObjOpts  = 9
)

// tunnelBody follows nft_tunnel_obj_dump. Inside the two nests of addresses
// NFTA_TUNNEL_KEY_IP_SRC and _DST are 1 and 2.
func tunnelBody(a *attrs) []string {
	out := []string{fmt.Sprintf("id %d", a.u32(attrTunnelObjID))}
	for _, nest := range []struct {
		attr   int
		family rules.Family
	}{{attrTunnelObjIP, rules.FamilyIPv4}, {attrTunnelObjIP6, rules.FamilyIPv6}} {
		in, t := a.nest(nest.attr), addressOf(nest.family)
		for i, name := range []string{"saddr", "daddr"} {
			if b := in.val[i+1]; len(b) == t.n && !isZero(b) {
				out = append(out, nest.family.String()+" "+name+" "+t.typ.format(b))
			}
		}
	}
	if n := number(a.val[attrTunnelObjSport]); n != 0 {
		out = append(out, fmt.Sprintf("sport %d", n))
	}
	if n := number(a.val[attrTunnelObjDport]); n != 0 {
		out = append(out, fmt.Sprintf("dport %d", n))
	}
	if n := number(a.val[attrTunnelObjTOS]); n != 0 {
		out = append(out, fmt.Sprintf("tos %d", n))
	}
	if n := number(a.val[attrTunnelObjTTL]); n != 0 {
		out = append(out, fmt.Sprintf("ttl %d", n))
	}
	return append(out, tunnelOptions(a, a.nest(attrTunnelObjOpts))...)
}

// tunnelOptions reads NFTA_TUNNEL_KEY_OPTS_*: VXLAN 1 with its group policy 1,
// ERSPAN 2 with version 1, index 2, hardware id 3 and direction 4, and a list
// of Geneve options 3 with class 1, type 2 and data 3.
func tunnelOptions(obj, a *attrs) []string {
	switch {
	case a.has(1):
		return []string{"vxlan {", fmt.Sprintf("\tgbp %d", a.nest(1).opt32(1)), "}"}
	case a.has(2):
		in := a.nest(2)
		version := in.opt32(1)
		out := []string{"erspan {", fmt.Sprintf("\tversion %d", version)}
		if version == 1 {
			return append(out, fmt.Sprintf("\tindex %d", in.opt32(2)), "}")
		}
		direction := "ingress"
		if number(in.val[4]) != 0 {
			direction = "egress"
		}
		return append(out, "\tdirection "+direction, fmt.Sprintf("\tid %d", number(in.val[3])), "}")
	case a.has(3):
		out := []string{"geneve {"}
		_ = eachAttr(a.order, obj.val[attrTunnelObjOpts], func(_ int, val []byte) {
			o := parseAttrs(a.order, val)
			out = append(out, fmt.Sprintf("\tclass 0x%x opt-type 0x%x data \"0x%x\"", number(o.val[1]), number(o.val[2]), o.val[3]))
		})
		return append(out, "}")
	}
	return nil
}
