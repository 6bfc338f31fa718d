package xt

import (
	"fmt"
	"net/netip"

	"github.com/ntdiag/ntdiag/rules"
)

// natRange is struct nf_nat_range2, and what its elder forms say.
type natRange struct {
	kind      natKind
	flags     rules.NATFlags
	min, max  netip.Addr
	plow, phi uint16
	base      uint16
}

// natKind is how a target reads its range.
type natKind struct {
	kind rules.NATKind
	opt  string // its option
	// ports: it takes ports alone (--to-ports); the address is the machine's
	// choice, and the kernel refuses one (masquerade_tg_check and its kin).
	ports bool
}

var (
	snat       = natKind{kind: rules.SNAT, opt: "--to-source"}
	dnat       = natKind{kind: rules.DNAT, opt: "--to-destination"}
	masquerade = natKind{kind: rules.Masquerade, opt: "--to-ports", ports: true}
	redirect   = natKind{kind: rules.Redirect, opt: "--to-ports", ports: true}
	netmap     = natKind{kind: rules.Netmap, opt: "--to"}
)

// xtNATFlags are the flags that the kernel reads of a target's range.
const xtNATFlags = rules.NATMapIPs | rules.NATProtoSpecified | rules.NATProtoRandom | rules.NATPersistent |
	rules.NATFullyRandom | rules.NATProtoOffset

// decodeNAT0 reads a struct nf_nat_ipv4_multi_range_compat, which holds one
// range: the kernel refuses more.
func decodeNAT0(k natKind) func(*Context, *reader) Extension {
	return func(_ *Context, r *reader) Extension {
		if n := r.u32(); n != 1 {
			r.fail("%d ranges", n)
		}
		x := &natRange{kind: k, flags: rules.NATFlags(r.u32()), min: r.addr4(), max: r.addr4(), plow: r.be16(), phi: r.be16()}
		return x.check(r)
	}
}

// decodeNAT1 reads a struct nf_nat_range.
func decodeNAT1(k natKind) func(*Context, *reader) Extension {
	return func(c *Context, r *reader) Extension { return decodeRange(k, c, r).check(r) }
}

// decodeNAT2 reads a struct nf_nat_range2.
func decodeNAT2(k natKind) func(*Context, *reader) Extension {
	return func(c *Context, r *reader) Extension {
		x := decodeRange(k, c, r)
		x.base = r.be16()
		return x.check(r)
	}
}

func decodeRange(k natKind, c *Context, r *reader) *natRange {
	return &natRange{
		kind: k, flags: rules.NATFlags(r.u32()), min: r.addr(c.Family), max: r.addr(c.Family), plow: r.be16(), phi: r.be16(),
	}
}

func (x *natRange) check(r *reader) Extension {
	switch {
	case x.flags&^xtNATFlags != 0:
		r.fail("flags %#x", uint32(x.flags))
	case x.kind.ports && x.flags&rules.NATMapIPs != 0:
		r.fail("an address range, where the machine chooses")
	case x.kind.kind == rules.Netmap && x.flags&rules.NATMapIPs == 0:
		r.fail("no address range")
	}
	return x
}

// Statements follows xt_snat_target_v2, xt_dnat_target_v2, netmap_tg4 and the
// other targets of xt_nat.c, xt_MASQUERADE.c, xt_REDIRECT.c and xt_NETMAP.c.
func (x *natRange) Statements(c *Context) []rules.Statement {
	n := &rules.NAT{Span: c.Span, Kind: x.kind.kind, Family: c.Family, Flags: x.flags, PortBase: x.base}
	if x.kind.kind == rules.Netmap {
		n.Flags |= rules.NATNetmap
	}
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
	if x.kind.kind == rules.Netmap {
		o.Word(x.kind.opt, addressText(x.min.AsSlice(), rules.RangeMask(x.min.AsSlice(), x.max.AsSlice())))
		return
	}
	to := x.addresses()
	if ports := x.ports(); ports != "" {
		if !x.kind.ports {
			to += ":"
		}
		to += ports
	}
	if to != "" {
		o.Word(x.kind.opt, to)
	}
	for _, f := range natFlagWords {
		if x.flags&f.flag != 0 {
			o.Word(f.word)
		}
	}
}

// addresses is A or A-B, of IPv6 between brackets where ports follow.
func (x *natRange) addresses() string {
	if x.flags&rules.NATMapIPs == 0 {
		return ""
	}
	to := addrText(x.min)
	if x.max != x.min {
		to += "-" + addrText(x.max)
	}
	if x.min.Is6() && x.flags&rules.NATProtoSpecified != 0 {
		to = "[" + to + "]"
	}
	return to
}

// ports is P, P-Q or, for a map of ports that begins at another, P-Q/BASE.
func (x *natRange) ports() string {
	if x.flags&rules.NATProtoSpecified == 0 {
		return ""
	}
	to := fmt.Sprint(x.plow)
	if x.phi != x.plow {
		to += fmt.Sprintf("-%d", x.phi)
	}
	if x.flags&rules.NATProtoOffset != 0 {
		to += fmt.Sprintf("/%d", x.base)
	}
	return to
}

var natFlagWords = []struct {
	flag rules.NATFlags
	word string
}{{rules.NATProtoRandom, "--random"}, {rules.NATFullyRandom, "--random-fully"}, {rules.NATPersistent, "--persistent"}}
