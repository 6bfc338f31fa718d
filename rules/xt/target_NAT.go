package xt

import (
	"fmt"
	"net/netip"

	"github.com/ntdiag/ntdiag/rules"
)

// natRange is struct nf_nat_range2, and what its elder forms say.
type natRange struct {
	kind       natKind
	flags      rules.NATFlags
	min, max   netip.Addr
	plow, phi  uint16
	base       uint16
	hasAddress bool
}

// natKind is how a target reads its range.
type natKind struct {
	kind rules.NATKind
	opt  string // its option
}

var dnat = natKind{rules.DNAT, "--to-destination"}

// decodeNAT2 reads a struct nf_nat_range2.
func decodeNAT2(k natKind) func(*Context, *reader) Extension {
	return func(c *Context, r *reader) Extension {
		x := &natRange{kind: k, flags: rules.NATFlags(r.u32())}
		x.min, x.max = r.addr(c.Family), r.addr(c.Family)
		x.plow, x.phi, x.base = r.be16(), r.be16(), r.be16()
		return x
	}
}

func (x *natRange) Statements(c *Context) []rules.Statement {
	n := &rules.NAT{Span: c.Span, Kind: x.kind.kind, Family: c.Family, Flags: x.flags}
	if x.flags&rules.NATMapIPs != 0 {
		n.AddrMin = &rules.Const{Data: x.min.AsSlice()}
		if x.max != x.min {
			n.AddrMax = &rules.Const{Data: x.max.AsSlice()}
		}
	}
	if x.flags&rules.NATProtoSpecified != 0 {
		n.PortMin = &rules.Const{Data: be16(x.plow)}
		if x.phi != x.plow {
			n.PortMax = &rules.Const{Data: be16(x.phi)}
		}
	}
	return []rules.Statement{n}
}

func (x *natRange) Save(_ *Context, o *Options) {
	to := ""
	if x.flags&rules.NATMapIPs != 0 {
		v6 := x.min.Is6() && x.flags&rules.NATProtoSpecified != 0
		to = x.min.String()
		if x.max != x.min {
			to += "-" + x.max.String()
		}
		if v6 {
			to = "[" + to + "]"
		}
	}
	if x.flags&rules.NATProtoSpecified != 0 {
		to += fmt.Sprintf(":%d", x.plow)
		if x.phi != x.plow {
			to += fmt.Sprintf("-%d", x.phi)
		}
		if x.flags&rules.NATProtoOffset != 0 {
			to += fmt.Sprintf("/%d", x.base)
		}
	}
	o.Word(x.kind.opt, to)
	for _, f := range natFlagWords {
		if x.flags&f.flag != 0 {
			o.Word(f.word)
		}
	}
}

var natFlagWords = []struct {
	flag rules.NATFlags
	word string
}{{rules.NATProtoRandom, "--random"}, {rules.NATFullyRandom, "--random-fully"}, {rules.NATPersistent, "--persistent"}}
