package xt

import (
	"strings"

	"github.com/ntdiag/ntdiag/rules"
)

// multiportMax is XT_MULTI_PORTS.
const multiportMax = 15

// multiport is struct xt_multiport_v1. Ports are in the machine's order.
type multiport struct {
	which  *multiportSide
	ports  []ports
	invert bool
}

// multiportSide is enum xt_multiport_flags: which ports of the packet count,
// by their offset in its header.
type multiportSide struct {
	option  string
	offsets []int
}

var multiportSides = [...]multiportSide{
	{"--sports", []int{0}}, {"--dports", []int{2}}, {"--ports", []int{0, 2}},
}

func decodeMultiport(_ *Context, r *reader) Extension {
	x := &multiport{}
	side, count := r.u8(), int(r.u8())
	var n [multiportMax]uint16
	for i := range n {
		n[i] = r.u16()
	}
	ranges := r.bytes(multiportMax)
	x.invert = r.u8() != 0
	if int(side) >= len(multiportSides) || count > multiportMax {
		r.fail("multiport: kind %d of %d ports", side, count)
		return x
	}
	x.which = &multiportSides[side]
	for i := 0; i < count; i++ {
		p := ports{n[i], n[i]}
		if ranges[i] != 0 {
			// multiport_valid_ranges
			if i++; i >= count || ranges[i] != 0 || n[i] < p.lo {
				r.fail("multiport: port range that is none")
				return x
			}
			p.hi = n[i]
		}
		x.ports = append(x.ports, p)
	}
	return x
}

// Statements follows multiport_mt. The kernel takes it only for protocols
// that have ports.
func (x *multiport) Statements(c *Context) []rules.Statement {
	if len(x.ports) == 1 && len(x.which.offsets) == 1 {
		return []rules.Statement{x.ports[0].condition(c, x.which.offsets[0], x.invert)}
	}
	list := &rules.AnyOf{Span: c.Span, Invert: x.invert}
	for _, p := range x.ports {
		for _, off := range x.which.offsets {
			list.Parts = append(list.Parts, p.condition(c, off, false))
		}
	}
	return []rules.Statement{list}
}

func (x *multiport) Save(_ *Context, o *Options) {
	list := make([]string, len(x.ports))
	for i, p := range x.ports {
		list[i] = p.String()
	}
	o.Opt(x.invert, x.which.option, strings.Join(list, ","))
}
