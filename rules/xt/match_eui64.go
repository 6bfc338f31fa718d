package xt

import "github.com/ntdiag/ntdiag/rules"

// eui64 is an int that says nothing: the match has no options.
type eui64 struct{}

func decodeEUI64(_ *Context, r *reader) Extension {
	r.skip(4)
	return eui64{}
}

// Statements follows eui64_mt6: the second half of the source address is made
// of the Ethernet source address, with ff:fe in its middle. No entry tells the
// Ethernet address, but an address without ff:fe there is none of those.
func (eui64) Statements(c *Context) []rules.Statement {
	return []rules.Statement{
		fromEthernet(c),
		&rules.Match{Span: c.Span, Left: network(layouts[c.Family].saddr+11, 2), Op: rules.CmpEq, Right: []byte{0xff, 0xfe}},
		&rules.Open{Span: c.Span, Name: "eui64", From: rules.FromLink},
	}
}

func (eui64) Save(*Context, *Options) {}
