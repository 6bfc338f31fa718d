package xt

import "github.com/ntdiag/ntdiag/rules"

// XT_DEVGROUP_*.
const (
	devgroupSrc       = 1
	devgroupInvertSrc = 2
	devgroupDst       = 4
	devgroupInvertDst = 8
)

// devgroup is struct xt_devgroup_info.
type devgroup struct{ flags, src, srcMask, dst, dstMask uint32 }

func decodeDevgroup(_ *Context, r *reader) Extension {
	x := &devgroup{r.u32(), r.u32(), r.u32(), r.u32(), r.u32()}
	if x.flags&^(devgroupSrc|devgroupInvertSrc|devgroupDst|devgroupInvertDst) != 0 {
		r.fail("devgroup: flags %#x", x.flags)
	}
	return x
}

// Statements follows devgroup_mt. The kernel takes it only in chains where
// there is such a device.
func (x *devgroup) Statements(c *Context) []rules.Statement {
	var out []rules.Statement
	if x.flags&devgroupSrc != 0 {
		out = append(out, masked(c.Span, &rules.Meta{Key: rules.MetaIifgroup}, c.u32(x.srcMask), c.u32(x.src&x.srcMask), x.flags&devgroupInvertSrc != 0))
	}
	if x.flags&devgroupDst != 0 {
		out = append(out, masked(c.Span, &rules.Meta{Key: rules.MetaOifgroup}, c.u32(x.dstMask), c.u32(x.dst&x.dstMask), x.flags&devgroupInvertDst != 0))
	}
	return out
}

func (x *devgroup) Save(_ *Context, o *Options) {
	if x.flags&devgroupSrc != 0 {
		o.Opt(x.flags&devgroupInvertSrc != 0, "--src-group", groupText(x.src, x.srcMask))
	}
	if x.flags&devgroupDst != 0 {
		o.Opt(x.flags&devgroupInvertDst != 0, "--dst-group", groupText(x.dst, x.dstMask))
	}
}

// groupText: of /etc/iproute2/group only the line that it comes with is known.
func groupText(group, mask uint32) string {
	if group == 0 && mask == 0xffffffff {
		return "default"
	}
	return maskedHex(group, mask)
}
