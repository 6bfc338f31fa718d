package xt

import (
	"fmt"

	"github.com/ntdiag/ntdiag/rules"
)

// realm is struct xt_realm_info.
type realm struct {
	id, mask uint32
	invert   bool
}

func decodeRealm(_ *Context, r *reader) Extension {
	return &realm{id: r.u32(), mask: r.u32(), invert: r.u8() != 0}
}

// Statements follows realm_mt.
func (x *realm) Statements(c *Context) []rules.Statement {
	return []rules.Statement{masked(c.Span, &rules.Meta{Key: rules.MetaRtclassid}, c.u32(x.mask), c.u32(x.id), x.invert)}
}

// Save: realm 0 has a name in rt_realms as iproute2 comes; what an
// administrator adds to the file is printed as a number.
func (x *realm) Save(_ *Context, o *Options) {
	text := fmt.Sprintf("0x%x", x.id)
	switch {
	case x.mask != 0xffffffff:
		text += fmt.Sprintf("/0x%x", x.mask)
	case x.id == 0:
		text = "cosmos"
	}
	o.Opt(x.invert, "--realm", text)
}
