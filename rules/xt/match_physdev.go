package xt

import "github.com/ntdiag/ntdiag/rules"

// physdevOptions are XT_PHYSDEV_OP_* in the order in which iptables prints
// them.
var physdevOptions = []struct {
	flag uint8
	name string
	dev  func(*physdev) string // nil for an option without a device
}{
	{0x08, "--physdev-is-in", nil},
	{0x01, "--physdev-in", func(x *physdev) string { return x.in }},
	{0x10, "--physdev-is-out", nil},
	{0x02, "--physdev-out", func(x *physdev) string { return x.out }},
	{0x04, "--physdev-is-bridged", nil},
}

const physdevAll = 0x1f // XT_PHYSDEV_OP_MASK

// physdev is struct xt_physdev_info. The masks only say how much of a name
// counts, which its + says too.
type physdev struct {
	in, out     string
	ask, invert uint8
}

func decodePhysdev(_ *Context, r *reader) Extension {
	x := &physdev{in: r.str(ifnameLen)}
	r.skip(ifnameLen)
	x.out = r.str(ifnameLen)
	r.skip(ifnameLen)
	x.invert, x.ask = r.u8(), r.u8()
	if x.ask == 0 || x.ask&^physdevAll != 0 {
		r.fail("physdev: flags %#x", x.ask)
	}
	return x
}

// onBridge are the kinds of devices by which a packet can come that has passed
// a bridge before: the bridge, and what can sit on one.
var onBridge = []string{"bridge", "vlan", "macvlan", "macvtap", "ipvlan", "ipvtap", "vrf"}

// Statements follows physdev_mt. A packet that did not come through a bridge
// has no bridge ports, and matches if all that is asked for is inverted. By
// which port another one came no entry tells.
func (x *physdev) Statements(c *Context) []rules.Statement {
	bridged := &rules.AnyOf{Span: c.Span}
	for _, kind := range onBridge {
		bridged.Parts = append(bridged.Parts, &rules.Match{Span: c.Span, Left: &rules.Meta{Key: rules.MetaIifkind}, Op: rules.CmpEq, Right: pad(kind, 16)})
	}
	ports := &rules.Open{Span: c.Span, Name: "physdev", From: rules.FromLink}
	if x.ask&^x.invert == 0 {
		return []rules.Statement{&rules.AnyOf{Span: c.Span, Parts: []rules.Condition{&rules.NotOf{Span: c.Span, Part: bridged}, ports}}}
	}
	return []rules.Statement{bridged, ports}
}

func (x *physdev) Save(_ *Context, o *Options) {
	for _, p := range physdevOptions {
		if x.ask&p.flag == 0 {
			continue
		}
		o.Opt(x.invert&p.flag != 0, p.name)
		if p.dev != nil {
			o.Word(p.dev(x))
		}
	}
}
